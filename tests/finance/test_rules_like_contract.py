"""The same acts on the Python rules and on the contracts: the same are refused, and states, parts and money agree.

Acts come at random, few of them allowed at first sight; after each one that was done, everything that is open, due or
paid is compared to the fen.
"""

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from data.units import MICRO_PER_FEN
from finance.calendar import epoch_day
from finance.claim import Claim
from finance.life import IssuedReceivable, Live, Sale, Signed
from finance.parts import Payout, Transferee
from finance.receivable import IllegalTransitionError, chain_state
from finance.waterfall import Lateness
from settlement import fate_acts
from settlement.chain import Call
from settlement.receivable_acts import ChainState
from tests.settlement.receivable_bench import Owed, owed_at
from tests.settlement.sale_bench import BANK, BANKS, FACTORY, SECOND, SELLER, SHOP

MEMBERS = (SELLER, FACTORY, SHOP, BANK, SECOND)
OWNERS = st.sampled_from([SELLER, BANK, BANK, SECOND, SHOP])
PART = st.integers(1, 4)
FEN = st.sampled_from([0, 1, 99, 100, 333, 1_000, 2_500, 8_000, 9_900])

Tried = tuple[Call, Callable[[Live], Any]]
Act = Callable[["Pair"], Tried]


def day_of(epoch: int) -> date:
    return date(1970, 1, 1) + timedelta(days=epoch)


class Pair:
    """One receivable of 100 CNY, twice."""

    def __init__(self, bench: Owed) -> None:
        self.bench, owed = bench, bench.owed
        days = (day_of(owed.issue_day), day_of(owed.due_day))
        face_fen = owed.face_micro // MICRO_PER_FEN
        claim = Claim(owed.period, SELLER, FACTORY, face_fen, owed.terms_days, *days, owed.trades_root, owed.salt)
        self.id = claim.receivable_id
        assert self.id == bench.first
        self.value: Any = IssuedReceivable(claim).acknowledge(self.by(FACTORY), complete=True)
        self.today = days[0]

    def by(self, member: int) -> Signed:
        return Signed(self.id, member)

    def attempt(self, act: Act) -> bool:
        """Whether it was done: in both or in none."""
        call, rule = act(self)
        before = {member: self.bench.cash_of(member) for member in MEMBERS}
        try:
            result = rule(self.value)
        except (IllegalTransitionError, AttributeError) as refused:
            result, why = None, refused
        else:
            why = None
        said = self.bench.try_(call)
        assert (said == "") == (why is None), f"{call.kind}: {said!r} on the chain, {why!r} by the rules"
        if result is None:
            return False
        self.value, paid = result if isinstance(result, tuple) else (result, None)
        self.compare()
        payouts: list[Payout] = [] if paid is None else getattr(paid, "payouts", paid)
        moved = Counter({each.payee: 0 for each in payouts})
        for each in payouts:
            moved[each.payee] += each.amount_fen
        payer = {"repay": FACTORY, "buy_back": SELLER}.get(call.function)
        if payer is not None:
            moved[payer] -= sum(each.amount_fen for each in payouts)
            after = {member: self.bench.cash_of(member) for member in MEMBERS}
            assert {member: (after[member] - before[member]) // MICRO_PER_FEN for member in MEMBERS} == {
                member: moved[member] for member in MEMBERS
            }
        return True

    def compare(self) -> None:
        claim, account = self.bench.claim(), self.value.account
        assert chain_state(claim.state) == account.state
        parts = [
            (part.number, part.claim, part.owner, part.open_micro // MICRO_PER_FEN, part.pledgee)
            for part in self.bench.parts()
        ]
        assert parts == [tuple(part) for part in account.parts]
        stated = (claim.advance_open_micro, claim.residual_open_micro, claim.costs_due_micro, claim.interest_due_micro)
        balance = account.balance
        computed = (
            balance.advance_open_fen,
            balance.residual_open_fen,
            balance.costs_due_fen,
            balance.interest_due_fen,
        )
        assert tuple(each // MICRO_PER_FEN for each in stated) == computed
        assert claim.is_frozen == account.frozen


# ---------------------------------------------------------------------------------------------------- the acts


def sell(advance: int, costs: int, rate: int) -> Act:
    def act(pair: Pair) -> Tried:
        offer = pair.bench.offer(
            advance_rate_ppm=1_000_000,
            advance_micro=advance * MICRO_PER_FEN,
            proceeds_micro=advance * MICRO_PER_FEN,
            costs_micro=costs * MICRO_PER_FEN,
            late_rate_ppm=rate,
        )
        sale = Sale(pair.id, BANK, advance, advance, costs, Lateness(rate, 360), with_recourse=True)
        return pair.bench.financing(offer), lambda value: value.finance(sale, pair.by(SELLER))

    return act


def repay(fen: int) -> Act:
    return lambda pair: (
        pair.bench.repaying(fen * MICRO_PER_FEN),
        lambda value: value.repay(pair.by(FACTORY), fen, pair.today),
    )


def repay_all(pair: Pair) -> Tried:
    return repay(pair.value.balance.open_fen)(pair)


def split(part: int, fen: int, who: int) -> Act:
    return lambda pair: (
        pair.bench.splitting(part, fen * MICRO_PER_FEN, who),
        lambda value: value.split(pair.by(who), part, fen),
    )


def transfer(part: int, fen: int, who: int, to: int) -> Act:
    transferee = Transferee(to, is_bank=to in BANKS, is_creditor=to == SELLER)
    return lambda pair: (
        pair.bench.transferring(part, fen * MICRO_PER_FEN, who, to),
        lambda value: value.transfer(pair.by(who), part, fen, transferee),
    )


def merge(part: int, other: int, who: int) -> Act:
    return lambda pair: (
        pair.bench.merging(part, other, who),
        lambda value: value.merge(pair.by(who), part, other),
    )


def pledge(part: int, who: int) -> Act:
    return lambda pair: (
        pair.bench.pledging(part, who),
        lambda value: value.pledge(pair.by(who), part, SECOND, is_bank=True),
    )


def release(part: int) -> Act:
    return lambda pair: (pair.bench.releasing(part), lambda value: value.release(pair.by(SECOND), part))


def demand(who: int) -> Act:
    return lambda pair: (pair.bench.demanding(who), lambda value: value.demand(pair.by(who)))


def show(pair: Pair) -> Tried:
    return pair.bench.listing(pair.id), lambda value: value.show(pair.by(SELLER), pair.today)


def buy_back(pair: Pair) -> Tried:
    return pair.bench.buying_back(10**12), lambda value: value.buy_back(pair.by(SELLER), pair.today)


def give_up(pair: Pair) -> Tried:
    words = [pair.by(BANK), pair.by(SECOND)]
    if pair.value.state == "defaulted":
        return pair.bench.writing_off(BANK, SECOND), lambda value: value.write_off(words)
    return pair.bench.defaulting(BANK, SECOND), lambda value: value.declare_default(words, pair.today)


def dispute(pair: Pair) -> Tried:
    if pair.value.state == "disputed":
        return pair.bench.withdrawing_dispute(), lambda value: value.withdraw_dispute(pair.by(FACTORY))
    return pair.bench.disputing(), lambda value: value.dispute(pair.by(FACTORY))


def later(days: int) -> Act:
    def act(pair: Pair) -> Tried:
        pair.today += timedelta(days=days)
        pair.bench.to_day(epoch_day(pair.today))
        return fate_acts.mark_many([pair.id]), lambda value: value.mark(pair.today)

    return act


ACTS = st.one_of(
    st.builds(repay, FEN),
    st.just(repay_all),
    st.builds(split, PART, FEN, OWNERS),
    st.builds(transfer, PART, FEN, OWNERS, OWNERS),
    st.builds(merge, PART, PART, OWNERS),
    st.builds(pledge, PART, OWNERS),
    st.builds(release, PART),
    st.builds(demand, OWNERS),
    st.sampled_from([buy_back, give_up, dispute, show]),
    st.builds(later, st.sampled_from([1, 7, 40])),
)
BEFORE = st.lists(st.one_of(ACTS, st.just(show)), max_size=3)
SALES = st.builds(sell, st.sampled_from([1, 7_999, 8_000, 10_000]), st.sampled_from([0, 1, 700]), st.just(240_000))


@settings(max_examples=max(settings().max_examples // 30, 3), deadline=None)
@given(before=BEFORE, sale=SALES, after=st.lists(ACTS, min_size=6, max_size=16))
def test_rules_and_contracts_agree_on_any_acts(before: list[Act], sale: Act, after: list[Act]) -> None:
    pair = Pair(owed_at(ChainState.ACKNOWLEDGED))
    pair.compare()
    for act in (*before, show, sale, *after):
        pair.attempt(act)


def test_they_agree_on_the_long_way_through_recourse() -> None:
    """Sold, split, given on, pledged, late, demanded, bought back, paid: each step is done, not refused."""
    pair = Pair(owed_at(ChainState.ACKNOWLEDGED))
    way: list[Act] = [
        *(show, sell(8_000, 700, 240_000), split(2, 3_333, BANK), transfer(3, 1_111, BANK, SECOND), pledge(2, BANK)),
        *(transfer(1, 500, SELLER, SHOP), repay(1_000), later(60), repay(2_000), later(4), demand(SECOND)),
        *(repay(1_234), buy_back, merge(2, 3, SELLER), later(40), repay_all),
    ]
    assert all(pair.attempt(act) for act in way)
    assert pair.value.state == "settled"
