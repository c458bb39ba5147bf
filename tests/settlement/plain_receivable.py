"""One receivable as a slow plain model: every fen of a payment goes its way alone. What the contracts are held against.

All amounts are fen. A claim is a row of fen, part after part; of p fen that are paid on O, number j falls to the part
that holds fen number ceil(j O / p) of the row. That is the whole rule of sharing, said without a single rounding.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from settlement.fate_acts import DEFAULT_DAYS, GRACE_DAYS
from settlement.part_acts import MOST_PARTS
from settlement.receivable_acts import ChainState as S

RESIDUAL, HOLDER = 0, 1
LEAST_FEN = 100
MOVABLE = {S.ACKNOWLEDGED, S.FINANCED, S.DUE, S.PARTLY_PAID, S.OVERDUE, S.RECOURSE, S.DEFAULTED, S.WRITTEN_OFF}
RUNNING = {S.ACKNOWLEDGED, S.LISTED, S.FINANCED, S.DUE, S.PARTLY_PAID}
ILLEGAL = "illegal_transition"


@dataclass
class PlainPart:
    number: int
    claim: int
    owner: int
    open_fen: int
    pledgee: int = 0

    @property
    def payee(self) -> int:
        return self.pledgee or self.owner


class PlainOffer(NamedTuple):
    bank: int
    advance: int
    rate_ppm: int
    proceeds: int
    costs: int
    late_rate_ppm: int


@dataclass
class Plain:
    """Each act gives its refusal, or nothing and is done. ``cash`` is what everybody holds, fen."""

    creditor: int
    debtor: int
    banks: frozenset[int]
    due_day: int
    face_fen: int
    cash: Counter[int]
    today: int
    state: S = S.ACKNOWLEDGED
    parts: list[PlainPart] = field(default_factory=list)
    last_part: int = 1
    costs_due: int = 0
    interest_due: int = 0
    late_rate_ppm: int = 0
    year_days: int = 360
    accrued_day: int = 0
    with_recourse: bool = False
    frozen: bool = False
    redeemed_fen: int = 0

    def __post_init__(self) -> None:
        self.parts = [PlainPart(1, RESIDUAL, self.creditor, self.face_fen)]

    def open_of(self, claim: int) -> int:
        return sum(part.open_fen for part in self.parts if part.claim == claim)

    def part(self, number: int) -> PlainPart | None:
        return next((part for part in self.parts if part.number == number), None)

    # ---------------------------------------------------------------------------------------------- parts

    def movable(self, number: int) -> str:
        if self.state not in MOVABLE:
            return ILLEGAL
        if self.frozen:
            return "receivable_frozen"
        part = self.part(number)
        if part is None:
            return "no_such_part"
        return "pledged" if part.pledgee else ""

    def split(self, number: int, fen: int, to: int | None = None) -> str:
        refusal = self.movable(number)
        part = self.part(number)
        if refusal or part is None:
            return refusal
        if fen < LEAST_FEN or part.open_fen - fen < LEAST_FEN:
            return "part_too_small"
        if len(self.parts) == MOST_PARTS:
            return "too_many_parts"
        part.open_fen -= fen
        self.last_part += 1
        self.parts.append(PlainPart(self.last_part, part.claim, to or part.owner, fen))
        return ""

    def transfer(self, number: int, fen: int, to: int) -> str:
        refusal = self.movable(number)
        part = self.part(number)
        if refusal or part is None:
            return refusal
        if part.claim == HOLDER and to not in self.banks and to != self.creditor:
            return "not_a_bank"
        if fen != part.open_fen:
            return self.split(number, fen, to)
        part.owner = to
        return ""

    def merge(self, number: int, other: int) -> str:
        refusal = self.movable(number) or self.movable(other)
        into, gone = self.part(number), self.part(other)
        if refusal or into is None or gone is None:
            return refusal
        if into is gone or (into.owner, into.claim) != (gone.owner, gone.claim):
            return "not_mergeable"
        into.open_fen += gone.open_fen
        self.parts.remove(gone)
        return ""

    def pledge(self, number: int, pledgee: int) -> str:
        refusal = self.movable(number)
        part = self.part(number)
        if not refusal and part is not None:
            part.pledgee = pledgee
        return refusal

    def release(self, number: int) -> str:
        part = self.part(number)
        if part is None:
            return "no_such_part"
        if not part.pledgee:
            return "not_pledged"
        part.pledgee = 0
        return ""

    # ----------------------------------------------------------------------------------------------- sale

    def show(self) -> str:
        if self.state != S.ACKNOWLEDGED:
            return ILLEGAL
        if self.frozen:
            return "receivable_frozen"
        if len(self.parts) != 1 or self.parts[0].owner != self.creditor or self.parts[0].pledgee:
            return "not_whole"
        if self.today >= self.due_day:
            return "past_due"
        self.state = S.LISTED
        return ""

    def finance(self, offer: PlainOffer) -> str:
        refused = [
            ("not_listed", self.state != S.LISTED),
            ("receivable_frozen", self.frozen),
            ("past_due", self.today >= self.due_day),
            ("advance_above_face", offer.advance > self.face_fen),
            ("advance_above_rate", offer.advance * 10**6 > self.face_fen * offer.rate_ppm),
            ("costs_above_residual", offer.costs > self.face_fen - offer.advance),
        ]
        for refusal, holds in refused:
            if holds:
                return refusal
        self.parts[0].open_fen -= offer.advance
        self.parts = [part for part in self.parts if part.open_fen]
        self.last_part += 1
        self.parts.append(PlainPart(self.last_part, HOLDER, offer.bank, offer.advance))
        self.costs_due, self.late_rate_ppm, self.accrued_day = offer.costs, offer.late_rate_ppm, self.due_day
        self.with_recourse, self.state = True, S.FINANCED
        self.cash[offer.bank] -= offer.proceeds
        self.cash[self.creditor] += offer.proceeds
        return ""

    # ------------------------------------------------------------------------------------------- payments

    def accrue(self) -> None:
        if self.open_of(HOLDER) and self.today > self.accrued_day:
            exact = self.open_of(HOLDER) * self.late_rate_ppm * (self.today - self.accrued_day)
            self.interest_due += -(-exact // (self.year_days * 10**6))
            self.accrued_day = self.today

    def repay(self, fen: int) -> str:
        if self.state not in RUNNING | {S.OVERDUE, S.RECOURSE, S.DEFAULTED, S.WRITTEN_OFF}:
            return ILLEGAL
        if fen > self.open_of(HOLDER) + self.open_of(RESIDUAL):
            return "overpaid"
        if fen > self.cash[self.debtor]:
            return "insufficient_cash"
        self.accrue()
        to = self.waterfall(fen)
        self.pay(HOLDER, to["costs"] + to["interest"] + to["advance"], self.debtor)
        self.reduce(HOLDER, to["advance"])
        self.reduce(RESIDUAL, to["costs"] + to["interest"])
        self.pay(RESIDUAL, to["residual"], self.debtor)
        self.reduce(RESIDUAL, to["residual"])
        self.redeemed_fen += fen
        self.parts = [part for part in self.parts if part.open_fen]
        if not self.parts:
            self.state = S.SETTLED
        elif self.state in RUNNING:
            self.state = S.PARTLY_PAID
        return ""

    def waterfall(self, fen: int) -> Counter[str]:
        """Where each fen goes: costs and interest while the residual can carry them, the advance, the residual."""
        to: Counter[str] = Counter()
        advance, residual = self.open_of(HOLDER), self.open_of(RESIDUAL)
        for _ in range(fen):
            if self.costs_due and residual:
                to["costs"], self.costs_due, residual = to["costs"] + 1, self.costs_due - 1, residual - 1
            elif self.interest_due and residual:
                to["interest"], self.interest_due, residual = to["interest"] + 1, self.interest_due - 1, residual - 1
            elif advance:
                to["advance"], advance = to["advance"] + 1, advance - 1
            else:
                to["residual"], residual = to["residual"] + 1, residual - 1
        return to

    def chosen(self, claim: int, fen: int) -> list[PlainPart]:
        """The part that each fen of a payment on a claim falls to."""
        row = [part for part in self.parts if part.claim == claim for _ in range(part.open_fen)]
        return [row[-(-at * len(row) // fen) - 1] for at in range(1, fen + 1)]

    def pay(self, claim: int, fen: int, source: int) -> None:
        for part in self.chosen(claim, fen):
            self.cash[source] -= 1
            self.cash[part.payee] += 1

    def reduce(self, claim: int, fen: int) -> None:
        for part in self.chosen(claim, fen):
            part.open_fen -= 1

    # ----------------------------------------------------------------------------------------------- late

    def mark(self) -> None:
        if self.state in {S.ACKNOWLEDGED, S.LISTED, S.FINANCED} and self.today >= self.due_day:
            self.state = S.DUE
        if self.state in {S.DUE, S.PARTLY_PAID} and self.today > self.due_day + GRACE_DAYS:
            self.state = S.OVERDUE

    def demand(self, member: int) -> str:
        if self.state != S.OVERDUE:
            return ILLEGAL
        if not self.with_recourse:
            return "no_recourse"
        if not any(part.owner == member and part.claim == HOLDER for part in self.parts):
            return "not_a_holder"
        self.state = S.RECOURSE
        return ""

    def buy_back(self) -> str:
        if self.state != S.RECOURSE:
            return ILLEGAL
        if self.frozen:
            return "receivable_frozen"
        if not self.open_of(HOLDER):
            return "nothing_open"
        self.accrue()
        price = self.costs_due + self.interest_due + self.open_of(HOLDER)
        self.pay(HOLDER, price, self.creditor)
        for part in self.parts:
            if part.claim == HOLDER:
                part.owner, part.pledgee = self.creditor, 0
        self.costs_due = self.interest_due = self.late_rate_ppm = 0
        self.with_recourse, self.state = False, S.OVERDUE
        return ""

    def majority(self, members: set[int]) -> bool:
        claim = HOLDER if self.open_of(HOLDER) else RESIDUAL
        owned = sum(part.open_fen for part in self.parts if part.claim == claim and part.owner in members)
        return 2 * owned > self.open_of(claim)

    def declare_default(self, members: set[int]) -> str:
        if self.state not in {S.OVERDUE, S.RECOURSE}:
            return ILLEGAL
        if self.today <= self.due_day + DEFAULT_DAYS:
            return "too_early"
        if not self.majority(members):
            return "no_majority"
        self.state = S.DEFAULTED
        return ""

    def write_off(self, members: set[int]) -> str:
        if self.state != S.DEFAULTED:
            return ILLEGAL
        if not self.majority(members):
            return "no_majority"
        self.state = S.WRITTEN_OFF
        return ""

    # --------------------------------------------------------------------------------------------- disputed

    def dispute(self) -> str:
        if self.state not in {S.ACKNOWLEDGED, S.LISTED}:
            return ILLEGAL
        if any(part.owner != self.creditor or part.pledgee for part in self.parts):
            return "not_whole"
        self.state = S.DISPUTED
        return ""

    def withdraw_dispute(self) -> str:
        if self.state != S.DISPUTED:
            return ILLEGAL
        self.state = S.ACKNOWLEDGED
        return ""
