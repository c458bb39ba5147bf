"""A receivable's states, and the table of who may do what in which; ``life.py`` has the values that obey it.

::

    issued -> acknowledged <-> listed <-> reserved -> financed -> due -> partly_paid -> settled
       |            |             |           (listed -> financed: a direct sale)
       |            +-> disputed <+-> back, or void
       +-> rejected | cancelled
    due, partly_paid -> overdue -> recourse -> overdue (bought back) | defaulted -> written_off -> settled

``TRANSITIONS`` is the whole table; what is not in it raises ``IllegalTransitionError``. The same table stands in the
``Receivables`` contract, whose events move the database; here it decides what is worth sending, and why not.
What is unfinanced is simply paid: acknowledged -> due -> settled. *Pledged* and *frozen* are flags beside the state.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple, NoReturn

from finance.claim import Claim
from settlement import fate_acts
from settlement.receivable_acts import ChainState

GRACE_DAYS, DEFAULT_DAYS = fate_acts.GRACE_DAYS, fate_acts.DEFAULT_DAYS
"""How long after the due day a payment is no delay, and no default can be declared: as the contract has them."""


class State(StrEnum):
    """What the chain says. The names are the stable codes over HTTP and in the database."""

    ISSUED = "issued"
    ACKNOWLEDGED = "acknowledged"
    LISTED = "listed"
    RESERVED = "reserved"
    FINANCED = "financed"
    DUE = "due"
    PARTLY_PAID = "partly_paid"
    OVERDUE = "overdue"
    RECOURSE = "recourse"
    DEFAULTED = "defaulted"
    WRITTEN_OFF = "written_off"
    SETTLED = "settled"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    DISPUTED = "disputed"
    VOID = "void"

    @property
    def ended(self) -> bool:
        """Nothing follows: nobody is owed anything on it any more."""
        return self in ENDED


ENDED = frozenset({State.SETTLED, State.REJECTED, State.CANCELLED, State.VOID})


FALLS_DUE = (State.ACKNOWLEDGED, State.LISTED, State.FINANCED)
FALLS_OVERDUE = (State.DUE, State.PARTLY_PAID)
"""What the calendar moves."""


def chain_state(number: int) -> State:
    """A state by the number that the contract gives it."""
    return State(ChainState(number).name.lower())


class Act(StrEnum):
    """What moves a receivable, or its parts."""

    ACKNOWLEDGE = "acknowledge"
    REJECT = "reject"
    CANCEL = "cancel"
    LIST = "list"
    WITHDRAW = "withdraw"
    AUCTION = "auction"
    RESERVE = "reserve"
    UNRESERVE = "unreserve"
    FINANCE = "finance"
    FALL_DUE = "fall_due"
    FALL_OVERDUE = "fall_overdue"
    REPAY = "repay"
    DEMAND = "demand"
    BUY_BACK = "buy_back"
    DECLARE_DEFAULT = "declare_default"
    WRITE_OFF = "write_off"
    DISPUTE = "dispute"
    WITHDRAW_DISPUTE = "withdraw_dispute"
    CONCEDE = "concede"
    DECIDE = "decide"
    COMPENSATE = "compensate"
    SPLIT = "split"
    TRANSFER = "transfer"
    MERGE = "merge"
    PLEDGE = "pledge"
    RELEASE = "release"
    FREEZE = "freeze"


class Party(StrEnum):
    """Who acts: the creditor is the seller of the energy, the debtor its buyer."""

    CREDITOR = "creditor"
    DEBTOR = "debtor"
    HOLDER = "holder"  # any owner of the holder's claim
    MAJORITY = "majority holder"  # more than half of the holder's claim; of the residual, when there is none
    OWNER = "owner of the part"
    PLEDGEE = "pledgee of the part"
    REGULATOR = "regulator"
    SALES = "sale contract"
    ANYONE = "calendar"  # whoever sends it: only the day decides


class Rule(NamedTuple):
    """From which states an act moves a receivable, to which each, by whose word."""

    moves: Mapping[State, frozenset[State]]
    by: Party


def _rule(by: Party, *moves: tuple[str, str]) -> Rule:
    """``("issued listed", "void")``: from each of these to one of those; ``=`` stands for the state itself."""
    found: dict[State, frozenset[State]] = {}
    for before, after in moves:
        for state in map(State, before.split()):
            found[state] = frozenset(state if each == "=" else State(each) for each in after.split())
    return Rule(found, by)


_LATE = "overdue recourse defaulted written_off"
_SOLD = f"financed due partly_paid {_LATE}"

TRANSITIONS: dict[Act, Rule] = {
    Act.ACKNOWLEDGE: _rule(Party.DEBTOR, ("issued", "acknowledged")),
    Act.REJECT: _rule(Party.DEBTOR, ("issued", "rejected")),
    Act.CANCEL: _rule(Party.CREDITOR, ("issued", "cancelled")),
    Act.LIST: _rule(Party.CREDITOR, ("acknowledged", "listed")),
    Act.WITHDRAW: _rule(Party.CREDITOR, ("listed", "acknowledged")),
    Act.AUCTION: _rule(Party.CREDITOR, ("listed", "=")),
    Act.RESERVE: _rule(Party.SALES, ("listed", "reserved")),
    Act.UNRESERVE: _rule(Party.SALES, ("reserved", "listed")),
    Act.FINANCE: _rule(Party.CREDITOR, ("listed reserved", "financed")),
    Act.FALL_DUE: _rule(Party.ANYONE, ("acknowledged listed financed", "due")),
    Act.FALL_OVERDUE: _rule(Party.ANYONE, ("due partly_paid", "overdue")),
    Act.REPAY: _rule(
        Party.DEBTOR,
        ("acknowledged listed financed due partly_paid", "partly_paid settled"),
        (_LATE, "= settled"),
    ),
    Act.DEMAND: _rule(Party.HOLDER, ("overdue", "recourse")),
    Act.BUY_BACK: _rule(Party.CREDITOR, ("recourse", "overdue")),
    Act.DECLARE_DEFAULT: _rule(Party.MAJORITY, ("overdue recourse", "defaulted")),
    Act.WRITE_OFF: _rule(Party.MAJORITY, ("defaulted", "written_off")),
    Act.DISPUTE: _rule(Party.DEBTOR, ("acknowledged listed", "disputed")),
    Act.WITHDRAW_DISPUTE: _rule(Party.DEBTOR, ("disputed", "acknowledged")),
    Act.CONCEDE: _rule(Party.CREDITOR, ("disputed", "void")),
    Act.DECIDE: _rule(Party.REGULATOR, ("disputed", "acknowledged void")),
    Act.COMPENSATE: _rule(Party.CREDITOR, (f"{_SOLD} settled", "=")),
    Act.SPLIT: _rule(Party.OWNER, (f"acknowledged {_SOLD}", "=")),
    Act.TRANSFER: _rule(Party.OWNER, (f"acknowledged {_SOLD}", "=")),
    Act.MERGE: _rule(Party.OWNER, (f"acknowledged {_SOLD}", "=")),
    Act.PLEDGE: _rule(Party.OWNER, (f"acknowledged {_SOLD}", "=")),
    Act.RELEASE: _rule(Party.PLEDGEE, (f"acknowledged {_SOLD}", "=")),
    Act.FREEZE: _rule(Party.REGULATOR, (f"issued acknowledged listed reserved disputed {_SOLD}", "=")),
}


class IllegalTransitionError(Exception):
    """An act that a receivable's state, its parties, its parts or its figures do not allow.

    ``code``: ``illegal_transition`` (wrong state), ``not_a_party`` (wrong actor), ``bad_amount`` (wrong figure),
    ``other_receivable`` (the act names another one), ``receivable_frozen``, ``trades_unclaimed``, ``not_whole`` (in
    parts, transferred or pledged), ``past_due``, ``too_early``, ``no_recourse``, ``not_a_holder``, ``nothing_open``,
    ``no_majority``, and those of ``parts.py``. Where the contract refuses the same it uses the same word.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


def refuse(code: str, reason: str) -> NoReturn:
    raise IllegalTransitionError(code, reason)


def check_transition(before: State, act: Act) -> Rule:
    """The rule by which an act moves a receivable. Raises IllegalTransitionError when none does."""
    rule = TRANSITIONS[act]
    if before not in rule.moves:
        allowed = " or ".join(state for state in State if state in rule.moves)
        refuse("illegal_transition", f"the receivable is {before}; to {act} it, it must be {allowed}")
    return rule


def check_actor(claim: Claim, act: Act, actor: int) -> None:
    """Raises IllegalTransitionError when the act is the creditor's or the debtor's to do, and this is another member.

    Acts of owners, holders and pledgees are judged by the parts.
    """
    party = TRANSITIONS[act].by
    parties = {Party.CREDITOR: claim.creditor, Party.DEBTOR: claim.debtor}
    if party in parties and actor != parties[party]:
        refuse("not_a_party", f"only the {party} may {act} a receivable")


def is_reachable(before: State, after: State) -> bool:
    """Whether some act leads from one state to another: what a mirrored chain event must be."""
    return any(after in rule.moves.get(before, ()) for rule in TRANSITIONS.values())


# -------------------------------------------------------------------------------------------------- standing


class Standing(StrEnum):
    """Where a receivable stands with the calendar."""

    RUNNING = "running"
    DUE = "due"
    OVERDUE = "overdue"
    ENDED = "ended"


def standing(state: State, due_day: date, today: date) -> Standing:
    """Due from its due day on, overdue when the grace days are over too; what has ended is neither.

    What is on the chain also changes its state then, a little later; what is not there has only this.
    """
    if state.ended:
        return Standing.ENDED
    if today < due_day:
        return Standing.RUNNING
    return Standing.OVERDUE if is_grace_over(due_day, today) else Standing.DUE


def is_grace_over(due_day: date, today: date) -> bool:
    return today > due_day + timedelta(days=GRACE_DAYS)


def is_default_possible(due_day: date, today: date) -> bool:
    return today > due_day + timedelta(days=DEFAULT_DAYS)
