"""A receivable as a value that cannot be built out of turn, and everything that can be done to it.

An ``AcknowledgedReceivable`` can only be built from the issued one and its debtor's acknowledgement, a
``FinancedReceivable`` only from one that is listed or reserved, a sale, and the seller's acceptance. What both have,
the two claims in parts and what is due on them, is an ``Account``. Days are local; whoever calls says which is today.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import NamedTuple, Self

from finance import parts as fractions
from finance import waterfall
from finance.claim import Claim
from finance.parts import ClaimKind, Part, Parts, Payout, Transferee
from finance.receivable import (
    DEFAULT_DAYS,
    FALLS_DUE,
    FALLS_OVERDUE,
    Act,
    State,
    check_actor,
    check_transition,
    is_default_possible,
    is_grace_over,
    refuse,
)
from finance.waterfall import Balance, Lateness


class Signed(NamedTuple):
    """A member's word on one receivable, its signature checked at the door."""

    receivable_id: bytes
    member: int


class Sale(NamedTuple):
    """A bank's word: what it advances, what it pays the seller, and what it is owed on top when paid late."""

    receivable_id: bytes
    bank: int
    advance_fen: int
    proceeds_fen: int
    costs_fen: int = 0
    lateness: Lateness = waterfall.NEVER_LATE
    with_recourse: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """What stands on a receivable: where it is in its life, both claims, their parts, and its flags.

    ``complete``: all its trades are claimed on the chain. ``next_part``: the number of the next part.
    """

    state: State
    balance: Balance
    parts: Parts
    next_part: int = 2
    complete: bool = False
    frozen: bool = False
    bought_back: bool = False

    def __post_init__(self) -> None:
        balance, parts = self.balance, self.parts
        assert fractions.open_of(parts, ClaimKind.HOLDER) == balance.advance_open_fen, "parts sum to the claim"
        assert fractions.open_of(parts, ClaimKind.RESIDUAL) == balance.residual_open_fen, "parts sum to the claim"
        if self.state is State.VOID:
            assert balance.open_fen == balance.redeemed_fen == 0, "nothing is owed, nothing was paid"
            return
        assert balance.open_fen + balance.redeemed_fen == balance.face_fen, "open + redeemed = face"
        assert (balance.open_fen == 0) == (self.state is State.SETTLED), "settled exactly when nothing is open"

    @property
    def live_fen(self) -> int:
        """What is open and still hoped for."""
        return 0 if self.state is State.WRITTEN_OFF else self.balance.open_fen

    @property
    def written_off_fen(self) -> int:
        return self.balance.open_fen if self.state is State.WRITTEN_OFF else 0


class Paid(NamedTuple):
    """What a payment came to: what it went to, and who got how much for which part."""

    shares: waterfall.Shares
    payouts: list[Payout]


def check_word(claim: Claim, act: Act, word: Signed) -> None:
    """Raises IllegalTransitionError unless the word is on this receivable, by whose act it is."""
    if word.receivable_id != claim.receivable_id:
        refuse("other_receivable", f"the signature to {act} names another receivable")
    check_actor(claim, act, word.member)


@dataclass(frozen=True, slots=True)
class IssuedReceivable:
    """Committed to by its period's root; nobody has said a word about it yet."""

    claim: Claim

    @property
    def state(self) -> State:
        return State.ISSUED

    def acknowledge(self, word: Signed, *, complete: bool = False) -> "AcknowledgedReceivable":
        whole = Part(1, ClaimKind.RESIDUAL, self.claim.creditor, self.claim.face_fen)
        balance = waterfall.unfinanced(self.claim.face_fen, self.claim.due_day)
        account = Account(State.ACKNOWLEDGED, balance, (whole,), complete=complete)
        return AcknowledgedReceivable(self, word, account=account)

    def reject(self, word: Signed) -> "RefusedReceivable":
        return RefusedReceivable(self, Act.REJECT, word)

    def cancel(self, word: Signed) -> "RefusedReceivable":
        return RefusedReceivable(self, Act.CANCEL, word)


@dataclass(frozen=True, slots=True)
class RefusedReceivable:
    """Its debtor does not owe this, it says, or its creditor takes it back. Nothing follows."""

    issued: IssuedReceivable
    act: Act
    word: Signed

    def __post_init__(self) -> None:
        assert self.act in (Act.REJECT, Act.CANCEL)
        check_word(self.claim, self.act, self.word)

    @property
    def claim(self) -> Claim:
        return self.issued.claim

    @property
    def state(self) -> State:
        return State.REJECTED if self.act is Act.REJECT else State.CANCELLED


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """What an acknowledged and a financed receivable have in common: both are paid, fall due, are held in parts."""

    account: Account

    @property
    def claim(self) -> Claim:
        raise NotImplementedError

    @property
    def state(self) -> State:
        return self.account.state

    @property
    def balance(self) -> Balance:
        return self.account.balance

    @property
    def parts(self) -> Parts:
        return self.account.parts

    def _check(self, act: Act, word: Signed) -> None:
        check_transition(self.state, act)
        check_word(self.claim, act, word)

    def _with(self, **changed: object) -> Self:
        return replace(self, account=replace(self.account, **changed))  # type: ignore[arg-type] # the names are those of its fields

    def complete(self) -> Self:
        """Its last trade is claimed on the chain."""
        return self._with(complete=True)

    # ------------------------------------------------------------------------------------ payment and calendar

    def repay(self, word: Signed, payment_fen: int, today: date) -> tuple[Self, Paid]:
        """The debtor pays: costs, interest, advance, residual, each to whom it is owed."""
        self._check(Act.REPAY, word)
        try:
            balance, shares = waterfall.pay(self.balance, payment_fen, today)
        except waterfall.OverpaidError as error:
            refuse("bad_amount", str(error))
        parts, payouts = fractions.paid(self.parts, shares)
        after = self._with(state=self._paid_state(balance), balance=balance, parts=parts)
        return after, Paid(shares, payouts)

    def _paid_state(self, balance: Balance) -> State:
        if balance.open_fen == 0:
            return State.SETTLED
        is_late = self.state in (State.OVERDUE, State.RECOURSE, State.DEFAULTED, State.WRITTEN_OFF)
        return self.state if is_late else State.PARTLY_PAID

    def mark(self, today: date) -> Self:
        """What the calendar makes of it by today: due, overdue, or nothing new."""
        marked = self
        if marked.state in FALLS_DUE and today >= self.claim.due_day:
            marked = marked._with(state=State.DUE)
        if marked.state in FALLS_OVERDUE and is_grace_over(self.claim.due_day, today):
            marked = marked._with(state=State.OVERDUE)
        return marked

    def declare_default(self, words: Sequence[Signed], today: date) -> Self:
        """Those who hold most of what is owed give up waiting."""
        self._check_majority(Act.DECLARE_DEFAULT, words)
        if not is_default_possible(self.claim.due_day, today):
            refuse("too_early", f"a default can be declared {DEFAULT_DAYS + 1} days after the due day")
        return self._with(state=State.DEFAULTED)

    def write_off(self, words: Sequence[Signed]) -> Self:
        """What is open is given up; what is paid later is recovered."""
        self._check_majority(Act.WRITE_OFF, words)
        return self._with(state=State.WRITTEN_OFF)

    def _check_majority(self, act: Act, words: Sequence[Signed]) -> None:
        check_transition(self.state, act)
        for word in words:
            check_word(self.claim, act, word)
        if not fractions.have_majority(self.parts, {word.member for word in words}):
            refuse("no_majority", f"to {act} takes more than half of the claim")

    # --------------------------------------------------------------------------------------------------- parts

    def split(self, word: Signed, part: int, amount_fen: int) -> Self:
        self._check_free(Act.SPLIT, word)
        number = self.account.next_part
        return self._in_parts(fractions.split(self.parts, part, amount_fen, word.member, next_number=number))

    def transfer(self, word: Signed, part: int, amount_fen: int, to: Transferee) -> Self:
        self._check_free(Act.TRANSFER, word)
        self._check_complete()
        number = self.account.next_part
        return self._in_parts(fractions.transfer(self.parts, part, amount_fen, to, word.member, next_number=number))

    def merge(self, word: Signed, part: int, other: int) -> Self:
        self._check_free(Act.MERGE, word)
        return self._in_parts(fractions.merge(self.parts, part, other, word.member))

    def pledge(self, word: Signed, part: int, pledgee: int, *, is_bank: bool) -> Self:
        self._check_free(Act.PLEDGE, word)
        self._check_complete()
        return self._in_parts(fractions.pledge(self.parts, part, pledgee, word.member, is_bank=is_bank))

    def release(self, word: Signed, part: int) -> Self:
        self._check(Act.RELEASE, word)
        return self._in_parts(fractions.release(self.parts, part, word.member))

    def _in_parts(self, after: Parts) -> Self:
        next_part = max(self.account.next_part, *(part.number + 1 for part in after))
        return self._with(parts=after, next_part=next_part)

    def _check_free(self, act: Act, word: Signed) -> None:
        self._check(act, word)
        if self.account.frozen:
            refuse("receivable_frozen", "the regulator froze the receivable")

    def _check_complete(self) -> None:
        if not self.account.complete:
            refuse("trades_unclaimed", "not all its trades are claimed on the chain yet")

    def set_frozen(self, *, frozen: bool) -> Self:
        """The regulator stops every sale and every move of parts; the debtor may still pay."""
        check_transition(self.state, Act.FREEZE)
        return self._with(frozen=frozen)


_UNSOLD = frozenset({State.ACKNOWLEDGED, State.LISTED, State.RESERVED, State.DISPUTED, State.VOID})
_SOLD_ONLY = frozenset({State.FINANCED, State.RECOURSE})


@dataclass(frozen=True, slots=True)
class AcknowledgedReceivable(Live):
    """Its debtor signed that it owes this, and waived its defences against later holders. All of it is residual."""

    issued: IssuedReceivable
    word: Signed

    def __post_init__(self) -> None:
        check_word(self.claim, Act.ACKNOWLEDGE, self.word)
        assert self.state not in _SOLD_ONLY, f"{self.state} and never sold"
        assert self.balance.advance_open_fen == 0, "an advance that nobody made"

    @property
    def claim(self) -> Claim:
        return self.issued.claim

    def show(self, word: Signed, today: date) -> Self:
        """List it: banks may see it and offer."""
        self._check_free(Act.LIST, word)
        self._check_complete()
        self._check_whole()
        if today >= self.claim.due_day:
            refuse("past_due", "the receivable falls due today or did before")
        return self._with(state=State.LISTED)

    def withdraw(self, word: Signed) -> Self:
        self._check(Act.WITHDRAW, word)
        return self._with(state=State.ACKNOWLEDGED)

    def reserve(self) -> Self:
        """An auction was won: nobody else can have it until the winner has paid, or not."""
        check_transition(self.state, Act.RESERVE)
        return self._with(state=State.RESERVED)

    def unreserve(self) -> Self:
        check_transition(self.state, Act.UNRESERVE)
        return self._with(state=State.LISTED)

    def finance(self, sale: Sale, acceptance: Signed) -> "FinancedReceivable":
        _check_sale(self, sale, acceptance)
        balance = waterfall.financed(self.balance, sale.advance_fen, sale.costs_fen, sale.lateness)
        return FinancedReceivable(self, sale, acceptance, account=_sold(self.account, sale, balance))

    def dispute(self, word: Signed) -> Self:
        """The debtor contests it before anybody paid for it. Against a later owner it waived its defences."""
        self._check(Act.DISPUTE, word)
        if not fractions.is_untouched(self.parts, self.claim.creditor):
            refuse("not_whole", "somebody else has a right in it already")
        return self._with(state=State.DISPUTED)

    def withdraw_dispute(self, word: Signed) -> Self:
        self._check(Act.WITHDRAW_DISPUTE, word)
        return self._with(state=State.ACKNOWLEDGED)

    def concede(self, word: Signed) -> Self:
        """The creditor agrees that it is not owed; its period and its trades can be claimed again."""
        self._check(Act.CONCEDE, word)
        return self._voided()

    def decide(self, *, is_void: bool) -> Self:
        """The regulator ends a dispute."""
        check_transition(self.state, Act.DECIDE)
        return self._voided() if is_void else self._with(state=State.ACKNOWLEDGED)

    def _voided(self) -> Self:
        return self._with(state=State.VOID, parts=(), balance=self.balance._replace(residual_open_fen=0))

    def _check_whole(self) -> None:
        if not fractions.is_whole(self.parts, self.claim.creditor):
            refuse("not_whole", "it must be one part, its creditor's own, and not pledged")


def _sold(before: Account, sale: Sale, balance: Balance) -> Account:
    number = before.next_part
    parts = fractions.sold(before.parts, sale.bank, sale.advance_fen, next_number=number)
    return replace(before, state=State.FINANCED, balance=balance, parts=parts, next_part=number + 1)


@dataclass(frozen=True, slots=True)
class FinancedReceivable(Live):
    """A bank advanced money on it: two claims, the holder's on the advance and the residual."""

    acknowledged: AcknowledgedReceivable
    sale: Sale
    acceptance: Signed

    def __post_init__(self) -> None:
        _check_sale(self.acknowledged, self.sale, self.acceptance)
        assert self.state not in _UNSOLD, f"{self.state} and sold"

    @property
    def claim(self) -> Claim:
        return self.acknowledged.claim

    def demand(self, word: Signed) -> Self:
        """A holder asks the seller to buy the claim back."""
        self._check(Act.DEMAND, word)
        if not self.sale.with_recourse or self.account.bought_back:
            refuse("no_recourse", "it was sold without recourse, or is bought back already")
        if not fractions.owns_claim(self.parts, word.member, ClaimKind.HOLDER):
            refuse("not_a_holder", "only who owns a part of the holder's claim may demand")
        return self._with(state=State.RECOURSE)

    def buy_back(self, word: Signed, today: date) -> tuple[Self, list[Payout]]:
        """The seller pays the holder's claim off, and has it back; the debtor owes what it owed."""
        self._check_free(Act.BUY_BACK, word)
        if self.balance.advance_open_fen == 0:
            refuse("nothing_open", "the holder is paid already")
        balance, price_fen = waterfall.buy_back(self.balance, today)
        parts, payouts = fractions.bought_back(self.parts, self.claim.creditor, price_fen)
        return self._with(state=State.OVERDUE, balance=balance, parts=parts, bought_back=True), payouts

    def compensate(self, word: Signed, amount_fen: int) -> None:
        """A dispute after the sale ends in a payment of the seller to the debtor: nothing changes here."""
        self._check(Act.COMPENSATE, word)
        if amount_fen <= 0:
            refuse("bad_amount", "a payment must be above 0")


def _check_sale(seller: AcknowledgedReceivable, sale: Sale, acceptance: Signed) -> None:
    check_transition(seller.state, Act.FINANCE)
    check_word(seller.claim, Act.FINANCE, acceptance)
    face_fen = seller.claim.face_fen
    if sale.receivable_id != seller.claim.receivable_id:
        refuse("other_receivable", "the offer is on another receivable")
    if seller.account.frozen:
        refuse("receivable_frozen", "the regulator froze the receivable")
    if not 0 < sale.proceeds_fen <= sale.advance_fen <= face_fen:
        refuse("bad_amount", "0 < proceeds <= advance <= face does not hold")
    if not 0 <= sale.costs_fen <= face_fen - sale.advance_fen:
        refuse("bad_amount", "the costs must not be above the residual")


def is_part_act(act: Act) -> bool:
    """Whether an act moves parts and leaves the state alone."""
    return act in (Act.SPLIT, Act.TRANSFER, Act.MERGE, Act.PLEDGE, Act.RELEASE)


Receivable = IssuedReceivable | RefusedReceivable | AcknowledgedReceivable | FinancedReceivable
