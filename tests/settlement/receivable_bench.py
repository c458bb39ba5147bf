"""One receivable of 100 CNY on the deployed contracts, brought to any state of its life: what its tests act on.

The seller is owed by the factory; a bank may buy 80 of it for 78, with recourse, with costs of 1 CNY and 6 % a year
when late; three trades are in it. Every method that names an act gives its call, signed by whoever should sign it.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from settlement import calls, fate_acts, merkle, part_acts, receivable_acts, sale_acts
from settlement.acts import Approval
from settlement.chain import Call
from settlement.part_acts import Part, Pledge, TradeClaim, Transfer
from settlement.receivable_acts import ChainState, ClaimView, Receivable
from tests.settlement.contract_bench import CHECKER, COLLECTION, LATE_S, OPERATOR, REGULATOR, YUAN, sign
from tests.settlement.sale_bench import (
    BANK,
    DAY_S,
    DAYS,
    FACE,
    FACTORY,
    SECOND,
    SELLER,
    TODAY,
    Sale,
)

DUE = TODAY + DAYS
REASON = b"\x0e" * 32
RESIDUAL, HOLDER = part_acts.ClaimKind
TRADES = [TradeClaim(1_000 + at, 10 * YUAN + at, bytes([at + 1]) * 32) for at in range(3)]


class Owed(Sale):
    """``first`` is issued and on the chain, nothing more; its period is number 10."""

    def __init__(self) -> None:
        super().__init__()
        self.mint((FACTORY, 1_000 * YUAN), (SELLER, 1_000 * YUAN))
        self.owed = self.receivable(10)
        self.first = self.issue(self.owed)

    def receivable(self, period: int, **changed: Any) -> Receivable:
        """Of the seller against the factory, with the three trades."""
        root = merkle.root([each.claim_leaf for each in TRADES])
        plain = Receivable(period, SELLER, FACTORY, FACE, DAYS, TODAY, DUE, root, period.to_bytes(32, "big"))
        return plain._replace(**changed)

    def issue(self, *receivables: Receivable) -> bytes:
        """Issue a period and bring all its receivables onto the chain; the first one's id."""
        ids = [receivable_acts.receivable_id(each) for each in receivables]
        self.do(self.issuing(receivables[0].period, merkle.root(ids), len(ids)))
        proven = [(each, merkle.path(ids, at)) for at, each in enumerate(receivables)]
        for at in range(0, len(proven), 20):
            self.do(receivable_acts.materialise_many(proven[at : at + 20]))
        return ids[0]

    def issuing(self, period: int, root: bytes, count: int, *, checker: int = CHECKER) -> Call:
        digest = receivable_acts.issue_period_digest(self.domain("Receivables"), period, root, count)
        approvals = self.approve(OPERATOR, digest), self.approve(checker, digest)
        return receivable_acts.issue_period(period, root, count, *approvals)

    # ---------------------------------------------------------------------------------------------- looking

    @property
    def here(self) -> Any:
        """The domain of the contract that is tested."""
        return self.domain("Receivables")

    def claim(self, receivable: bytes | None = None) -> ClaimView:
        return ClaimView(*self.view(calls.claim_of(receivable or self.first)))

    def parts(self, receivable: bytes | None = None) -> list[Part]:
        return [Part(*each) for each in self.view(part_acts.parts_of(receivable or self.first))]

    def to_day(self, day: int) -> None:
        """Noon of a local day."""
        self.now_s = day * DAY_S - 8 * 3_600 + DAY_S // 2

    # -------------------------------------------------------------------------------------------------- acts

    def acknowledging(self, *ids: bytes, debtor: int = FACTORY, by: int = FACTORY, account: bytes = COLLECTION) -> Call:
        once, ids = self.once(), ids or (self.first,)
        digest = receivable_acts.acknowledge_many_digest(self.here, debtor, ids, account, **once)
        return receivable_acts.acknowledge_many(debtor, ids, account, sign(by, digest), **once)

    def rejecting(self, by: int = FACTORY) -> Call:
        once = self.once()
        digest = receivable_acts.reject_digest(self.here, self.first, FACTORY, **once)
        return receivable_acts.reject(self.first, sign(by, digest), **once)

    def cancelling_it(self, by: int = SELLER) -> Call:
        once = self.once()
        return fate_acts.cancel(
            self.first, sign(by, fate_acts.cancel_digest(self.here, self.first, SELLER, **once)), **once
        )

    def claiming(self, trades: list[TradeClaim] = TRADES) -> Call:
        return part_acts.claim_trades(self.first, 0, trades, [])

    def demanding(self, member: int = BANK, by: int | None = None) -> Call:
        once = self.once()
        digest = fate_acts.demand_digest(self.here, self.first, member, **once)
        return fate_acts.demand(self.first, member, sign(by or member, digest), **once)

    def buying_back(self, most: int = FACE, by: int = SELLER) -> Call:
        once = self.once()
        digest = fate_acts.buy_back_digest(self.here, self.first, SELLER, most, **once)
        return fate_acts.buy_back(self.first, most, sign(by, digest), **once)

    def defaulting(self, *members: int) -> Call:
        digest = fate_acts.declare_default_digest(self.here, self.first, deadline_s=LATE_S)
        approvals = [Approval(each, sign(each, digest)) for each in members or (BANK,)]
        return fate_acts.declare_default(self.first, approvals, deadline_s=LATE_S)

    def writing_off(self, *members: int) -> Call:
        digest = fate_acts.write_off_digest(self.here, self.first, deadline_s=LATE_S)
        approvals = [Approval(each, sign(each, digest)) for each in members or (BANK,)]
        return fate_acts.write_off(self.first, approvals, deadline_s=LATE_S)

    def disputing(self, by: int = FACTORY) -> Call:
        once = self.once()
        digest = fate_acts.dispute_digest(self.here, self.first, FACTORY, REASON, **once)
        return fate_acts.dispute(self.first, REASON, sign(by, digest), **once)

    def withdrawing_dispute(self, by: int = FACTORY) -> Call:
        once = self.once()
        digest = fate_acts.withdraw_dispute_digest(self.here, self.first, FACTORY, **once)
        return fate_acts.withdraw_dispute(self.first, sign(by, digest), **once)

    def conceding(self, by: int = SELLER) -> Call:
        once = self.once()
        digest = fate_acts.concede_digest(self.here, self.first, SELLER, **once)
        return fate_acts.concede(self.first, sign(by, digest), **once)

    def compensating(self, micro: int = YUAN, by: int = SELLER) -> Call:
        once = self.once()
        digest = fate_acts.compensate_digest(self.here, self.first, SELLER, micro, **once)
        return fate_acts.compensate(self.first, micro, sign(by, digest), **once)

    def deciding(self, is_void: bool, by: int = REGULATOR) -> Call:
        index = int(self.view(fate_acts.next_ruling()))
        digest = fate_acts.decide_digest(self.here, self.first, is_void, index)
        return fate_acts.decide(self.first, is_void, index, self.approve(by, digest))

    def splitting(self, part: int, micro: int, owner: int, by: int | None = None) -> Call:
        once = self.once()
        digest = part_acts.split_part_digest(self.here, self.first, owner, part, micro, **once)
        return part_acts.split_part(self.first, part, micro, sign(by or owner, digest), **once)

    def transferring(self, part: int, micro: int, owner: int, to: int, by: int | None = None) -> Call:
        once, given = self.once(), Transfer(self.first, part, micro, to)
        digest = part_acts.transfer_part_digest(self.here, owner, given, **once)
        return part_acts.transfer_part(given, sign(by or owner, digest), **once)

    def merging(self, part: int, other: int, owner: int, by: int | None = None) -> Call:
        once = self.once()
        digest = part_acts.merge_parts_digest(self.here, self.first, owner, part, other, **once)
        return part_acts.merge_parts(self.first, part, other, sign(by or owner, digest), **once)

    def pledging(
        self, part: int, owner: int, pledgee: int = SECOND, *, number: bytes | None = None, by: int | None = None
    ) -> Call:
        once = self.once()
        number = once["nonce"].to_bytes(32, "big") if number is None else number
        pledge = Pledge(self.first, part, pledgee, number)
        digest = part_acts.pledge_part_digest(self.here, owner, pledge, **once)
        return part_acts.pledge_part(pledge, sign(by or owner, digest), **once)

    def releasing(self, part: int, pledgee: int = SECOND, by: int | None = None) -> Call:
        once = self.once()
        digest = part_acts.release_part_digest(self.here, self.first, pledgee, part, **once)
        return part_acts.release_part(self.first, part, sign(by or pledgee, digest), **once)

    # -------------------------------------------------------------------------------------- ways to a state

    def reach(self, state: ChainState) -> None:
        """Bring ``first`` from issued to a state, financed where that is on the way."""
        if state != ChainState.ISSUED:
            self.reach(BEFORE[state])
            self.step_to(state)

    def step_to(self, state: ChainState) -> None:
        """The last act on the way to a state, and the day on which it can be done."""
        if state in DAYS_OF:
            self.to_day(DAYS_OF[state])
        if state == ChainState.ACKNOWLEDGED:
            self.do(self.claiming())
        steps: dict[ChainState, Callable[[], Call]] = {
            ChainState.ACKNOWLEDGED: self.acknowledging,
            ChainState.REJECTED: self.rejecting,
            ChainState.CANCELLED: self.cancelling_it,
            ChainState.DISPUTED: self.disputing,
            ChainState.VOID: self.conceding,
            ChainState.LISTED: lambda: self.listing(self.first),
            ChainState.RESERVED: lambda: sale_acts.award(self.auction(78 * YUAN)),
            ChainState.FINANCED: lambda: self.financing(self.offer(costs_micro=YUAN)),
            ChainState.SETTLED: lambda: self.repaying(FACE),
            ChainState.PARTLY_PAID: lambda: self.repaying(YUAN),
            ChainState.DUE: lambda: fate_acts.mark_many([self.first]),
            ChainState.OVERDUE: lambda: fate_acts.mark_many([self.first]),
            ChainState.RECOURSE: self.demanding,
            ChainState.DEFAULTED: self.defaulting,
            ChainState.WRITTEN_OFF: self.writing_off,
        }
        self.do(steps[state]())


BEFORE = {
    ChainState.ACKNOWLEDGED: ChainState.ISSUED,
    ChainState.REJECTED: ChainState.ISSUED,
    ChainState.CANCELLED: ChainState.ISSUED,
    ChainState.DISPUTED: ChainState.ACKNOWLEDGED,
    ChainState.VOID: ChainState.DISPUTED,
    ChainState.LISTED: ChainState.ACKNOWLEDGED,
    ChainState.RESERVED: ChainState.LISTED,
    ChainState.FINANCED: ChainState.LISTED,
    ChainState.SETTLED: ChainState.FINANCED,
    ChainState.PARTLY_PAID: ChainState.FINANCED,
    ChainState.DUE: ChainState.FINANCED,
    ChainState.OVERDUE: ChainState.FINANCED,
    ChainState.RECOURSE: ChainState.OVERDUE,
    ChainState.DEFAULTED: ChainState.OVERDUE,
    ChainState.WRITTEN_OFF: ChainState.DEFAULTED,
}
DAYS_OF = {
    ChainState.DUE: DUE,
    ChainState.OVERDUE: DUE + fate_acts.GRACE_DAYS + 1,
    ChainState.DEFAULTED: DUE + fate_acts.DEFAULT_DAYS + 1,
}


@cache
def _at(state: ChainState) -> Owed:
    if state == ChainState.ISSUED:
        return Owed()
    owed = _at(BEFORE[state]).copy()
    owed.step_to(state)
    return owed


def owed_at(state: ChainState = ChainState.ISSUED) -> Owed:
    """A bench of its own with the receivable in a state; the way there is gone once."""
    return _at(state).copy()
