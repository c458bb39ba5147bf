"""A receivable's life: its states, who may do what in which, and values that cannot be built out of turn.

::

    issued -> acknowledged <-> listed -> financed -> partly_paid -> settled
       |           |              |          |                        ^
    rejected       +--------------+----------+---- paid in full ------+

``TRANSITIONS`` is the whole table; what is not in it raises ``IllegalTransitionError``. The same table stands in the
``Receivables`` contract, whose events move the database; here it decides what is worth sending, and why not.

An ``AcknowledgedReceivable`` can only be built from the issued one and its debtor's acknowledgement, a
``FinancedReceivable`` only from an acknowledged, listed one, a bank's offer and the seller's acceptance. *Due* and
*overdue* are no states: they follow from the due day and today (``standing``).
"""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import IntEnum, StrEnum
from typing import NamedTuple, NoReturn

from finance.claim import Claim
from finance.offer import Shares, share_payment

GRACE_DAYS = 3
"""Days after the due day on which a payment is still no delay (an assumption)."""


class State(StrEnum):
    """What the chain says. The names are the stable codes over HTTP and in the database."""

    ISSUED = "issued"
    ACKNOWLEDGED = "acknowledged"
    LISTED = "listed"
    FINANCED = "financed"
    PARTLY_PAID = "partly_paid"
    SETTLED = "settled"
    REJECTED = "rejected"

    @property
    def ended(self) -> bool:
        return self in {State.SETTLED, State.REJECTED}


class ChainState(IntEnum):
    """The same states as the contract numbers them."""

    ISSUED = 1
    ACKNOWLEDGED = 2
    LISTED = 3
    FINANCED = 5
    PARTLY_PAID = 7
    SETTLED = 12
    REJECTED = 13

    @property
    def state(self) -> State:
        return State(self.name.lower())


class Act(StrEnum):
    """What moves a receivable."""

    ACKNOWLEDGE = "acknowledge"
    REJECT = "reject"
    LIST = "list"
    WITHDRAW = "withdraw"
    FINANCE = "finance"
    REPAY = "repay"


class Party(StrEnum):
    """Who acts: the creditor is the seller of the energy, the debtor its buyer."""

    CREDITOR = "creditor"
    DEBTOR = "debtor"


class Rule(NamedTuple):
    """From which states an act moves a receivable, to which, by whose signature."""

    before: frozenset[State]
    after: frozenset[State]
    by: Party


TRANSITIONS: dict[Act, Rule] = {
    Act.ACKNOWLEDGE: Rule(frozenset({State.ISSUED}), frozenset({State.ACKNOWLEDGED}), Party.DEBTOR),
    Act.REJECT: Rule(frozenset({State.ISSUED}), frozenset({State.REJECTED}), Party.DEBTOR),
    Act.LIST: Rule(frozenset({State.ACKNOWLEDGED}), frozenset({State.LISTED}), Party.CREDITOR),
    Act.WITHDRAW: Rule(frozenset({State.LISTED}), frozenset({State.ACKNOWLEDGED}), Party.CREDITOR),
    Act.FINANCE: Rule(frozenset({State.LISTED}), frozenset({State.FINANCED}), Party.CREDITOR),
    Act.REPAY: Rule(
        frozenset({State.ACKNOWLEDGED, State.LISTED, State.FINANCED, State.PARTLY_PAID}),
        frozenset({State.PARTLY_PAID, State.SETTLED}),
        Party.DEBTOR,
    ),
}


class IllegalTransitionError(Exception):
    """An act that a receivable's state, its parties or its figures do not allow.

    ``code``: ``illegal_transition`` (wrong state), ``not_a_party`` (wrong actor), ``bad_amount`` (wrong figure),
    ``other_receivable`` (the act names another one).
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def refuse(code: str, reason: str) -> NoReturn:
    raise IllegalTransitionError(code, reason)


def check_transition(before: State, act: Act) -> Rule:
    """The rule by which an act moves a receivable. Raises IllegalTransitionError when none does."""
    rule = TRANSITIONS[act]
    if before not in rule.before:
        allowed = " or ".join(sorted(rule.before))
        refuse("illegal_transition", f"the receivable is {before}; to {act} it, it must be {allowed}")
    return rule


def check_actor(claim: Claim, act: Act, actor: int) -> None:
    """Raises IllegalTransitionError unless the act is this member's to do."""
    party = TRANSITIONS[act].by
    if actor != (claim.creditor if party is Party.CREDITOR else claim.debtor):
        refuse("not_a_party", f"only the {party} may {act} a receivable")


def is_reachable(before: State, after: State) -> bool:
    """Whether some act leads from one state to another: what a mirrored chain event must be."""
    return any(before in rule.before and after in rule.after for rule in TRANSITIONS.values())


# ------------------------------------------------------------------------------------- acts and typed values


class Signed(NamedTuple):
    """A member's word on one receivable, its signature checked at the door."""

    receivable_id: bytes
    member: int


class Offered(NamedTuple):
    """A bank's word: it advances so much and pays the seller the proceeds."""

    receivable_id: bytes
    bank: int
    advance_fen: int
    proceeds_fen: int


@dataclass(frozen=True, slots=True)
class IssuedReceivable:
    """Committed to by its period's root; nobody has said a word about it yet."""

    claim: Claim

    @property
    def state(self) -> State:
        return State.ISSUED

    def acknowledge(self, word: Signed) -> "AcknowledgedReceivable":
        return AcknowledgedReceivable(self, word)

    def reject(self, word: Signed) -> "RejectedReceivable":
        return RejectedReceivable(self, word)


def _check_word(claim: Claim, act: Act, word: Signed) -> None:
    if word.receivable_id != claim.receivable_id:
        refuse("other_receivable", f"the signature to {act} names another receivable")
    check_actor(claim, act, word.member)


@dataclass(frozen=True, slots=True)
class RejectedReceivable:
    """Its debtor does not owe this, it says. Nothing follows."""

    issued: IssuedReceivable
    word: Signed

    def __post_init__(self) -> None:
        _check_word(self.issued.claim, Act.REJECT, self.word)

    @property
    def claim(self) -> Claim:
        return self.issued.claim

    @property
    def state(self) -> State:
        return State.REJECTED


def _paid_state(claim: Claim, paid_fen: int, unpaid: State) -> State:
    if paid_fen == claim.face_fen:
        return State.SETTLED
    return State.PARTLY_PAID if paid_fen else unpaid


def _check_paid(claim: Claim, paid_fen: int) -> None:
    if not 0 <= paid_fen <= claim.face_fen:
        refuse("bad_amount", f"{paid_fen} fen paid of a face of {claim.face_fen}")


def _check_payment(claim: Claim, paid_fen: int, payment_fen: int) -> None:
    left_fen = claim.face_fen - paid_fen
    if not 0 < payment_fen <= left_fen:
        refuse("bad_amount", f"a payment must be above 0 and at most what is left, {left_fen} fen")


@dataclass(frozen=True, slots=True)
class AcknowledgedReceivable:
    """Its debtor signed that it owes this, and waived its defences against later holders. All of it is the seller's."""

    issued: IssuedReceivable
    word: Signed
    listed: bool = False
    paid_fen: int = 0

    def __post_init__(self) -> None:
        _check_word(self.claim, Act.ACKNOWLEDGE, self.word)
        _check_paid(self.claim, self.paid_fen)

    @property
    def claim(self) -> Claim:
        return self.issued.claim

    @property
    def state(self) -> State:
        return _paid_state(self.claim, self.paid_fen, State.LISTED if self.listed else State.ACKNOWLEDGED)

    def show(self, word: Signed) -> "AcknowledgedReceivable":
        """List it: banks may see it and offer."""
        check_transition(self.state, Act.LIST)
        _check_word(self.claim, Act.LIST, word)
        return replace(self, listed=True)

    def withdraw(self, word: Signed) -> "AcknowledgedReceivable":
        check_transition(self.state, Act.WITHDRAW)
        _check_word(self.claim, Act.WITHDRAW, word)
        return replace(self, listed=False)

    def finance(self, offer: Offered, acceptance: Signed) -> "FinancedReceivable":
        return FinancedReceivable(self, offer, acceptance)

    def repay(self, word: Signed, payment_fen: int) -> "AcknowledgedReceivable":
        """A payment without a bank: all of it goes to the creditor, and it can no longer be financed."""
        check_transition(self.state, Act.REPAY)
        _check_word(self.claim, Act.REPAY, word)
        _check_payment(self.claim, self.paid_fen, payment_fen)
        return replace(self, paid_fen=self.paid_fen + payment_fen)

    def share(self, payment_fen: int) -> Shares:
        """Who would get what of a payment."""
        return share_payment(self.claim.face_fen, 0, self.paid_fen, payment_fen)


@dataclass(frozen=True, slots=True)
class FinancedReceivable:
    """A bank advanced money on it: two claims, the bank's on the advance and the seller's on the residual."""

    acknowledged: AcknowledgedReceivable
    offer: Offered
    acceptance: Signed
    paid_fen: int = 0

    def __post_init__(self) -> None:
        check_transition(self.acknowledged.state, Act.FINANCE)
        _check_word(self.claim, Act.FINANCE, self.acceptance)
        if self.offer.receivable_id != self.claim.receivable_id:
            refuse("other_receivable", "the offer is on another receivable")
        if not 0 < self.offer.proceeds_fen <= self.offer.advance_fen <= self.claim.face_fen:
            refuse("bad_amount", "0 < proceeds <= advance <= face does not hold")
        _check_paid(self.claim, self.paid_fen)

    @property
    def claim(self) -> Claim:
        return self.acknowledged.claim

    @property
    def state(self) -> State:
        return _paid_state(self.claim, self.paid_fen, State.FINANCED)

    @property
    def residual_fen(self) -> int:
        return self.claim.face_fen - self.offer.advance_fen

    def repay(self, word: Signed, payment_fen: int) -> "FinancedReceivable":
        check_transition(self.state, Act.REPAY)
        _check_word(self.claim, Act.REPAY, word)
        _check_payment(self.claim, self.paid_fen, payment_fen)
        return replace(self, paid_fen=self.paid_fen + payment_fen)

    def share(self, payment_fen: int) -> Shares:
        """Who would get what of a payment: the bank its advance first, then the seller its residual."""
        return share_payment(self.claim.face_fen, self.offer.advance_fen, self.paid_fen, payment_fen)


Receivable = IssuedReceivable | RejectedReceivable | AcknowledgedReceivable | FinancedReceivable


# -------------------------------------------------------------------------------------------------- standing


class Standing(StrEnum):
    """Where a receivable stands with the calendar."""

    RUNNING = "running"
    DUE = "due"
    OVERDUE = "overdue"
    ENDED = "ended"


def standing(state: State, due_day: date, today: date) -> Standing:
    """Due from its due day on, overdue when the grace days are over too; what is settled or rejected is neither."""
    if state.ended:
        return Standing.ENDED
    if today < due_day:
        return Standing.RUNNING
    return Standing.DUE if today <= due_day + timedelta(days=GRACE_DAYS) else Standing.OVERDUE
