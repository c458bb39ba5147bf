"""Each trade belongs to one receivable: claimed on the contracts in order, in as many calls as needed, once."""

import pytest

from settlement import merkle, part_acts
from settlement.part_acts import TradeClaim
from settlement.receivable_acts import ChainState
from tests.settlement.contract_bench import YUAN
from tests.settlement.receivable_bench import TRADES, Owed, owed_at


def trades(count: int, first: int = 5_000) -> list[TradeClaim]:
    return [TradeClaim(first + at, YUAN - at, at.to_bytes(32, "big")) for at in range(count)]


def owed_with(owed: Owed, period: int, claimed: list[TradeClaim], **changed: object) -> bytes:
    """Another receivable, with these trades."""
    root = merkle.root([each.claim_leaf for each in claimed])
    return owed.issue(owed.receivable(period, trades_root=root, **changed))


@pytest.mark.parametrize("count", [1, 2, 3, 5, 6, 7, 11])
def test_all_of_them_in_calls_of_any_size(count: int) -> None:
    owed, named = owed_at(ChainState.ISSUED), trades(count)
    name, leaves = owed_with(owed, 11, named), [each.claim_leaf for each in named]
    start = 0
    while start < count:
        size = 1 + (start * 7 + count) % 3
        chunk = named[start : start + size]
        call = part_acts.claim_trades(name, start, chunk, merkle.rest(leaves, start + len(chunk)))
        assert not owed.view(part_acts.is_complete(name))
        owed.do(call)
        owed.do(call)  # as if it had never come
        start += len(chunk)
        assert owed.view(part_acts.claimed_count(name)) == start
    assert owed.view(part_acts.is_complete(name))
    assert {owed.view(part_acts.claimant_of(each.trade_id)) for each in named} == {name}


def test_a_hundred_and_more_are_claimed_in_two_calls_even_when_somebody_else_began() -> None:
    owed, named = owed_at(ChainState.ISSUED), trades(130)
    name, leaves = owed_with(owed, 11, named), [each.claim_leaf for each in named]
    owed.do(part_acts.claim_trades(name, 0, named[:3], merkle.rest(leaves, 3)))
    for call in part_acts.claim_all_trades(name, named):
        owed.do(call)
    assert owed.view(part_acts.is_complete(name))
    counted = [(event["count"], event["is_complete"]) for event in owed.named("TradesClaimed")[-3:]]
    assert counted == [(3, False), (100, False), (130, True)]


def test_nobody_claims_what_is_not_under_the_root() -> None:
    owed, named = owed_at(ChainState.ISSUED), trades(6)
    name, leaves = owed_with(owed, 11, named), [each.claim_leaf for each in named]
    foreign = TradeClaim(9_999, YUAN, bytes(32))
    for start, chunk, rest, refusal in (
        (0, [foreign], merkle.rest(leaves, 1), "wrong_trades"),
        (0, [*named, foreign], [], "wrong_trades"),
        (0, named[:3], [], "wrong_trades"),
        (0, named[:3], merkle.rest(leaves, 4), "wrong_trades"),
        (0, named[1:], [], "wrong_trades"),
        (0, [named[1], named[0], *named[2:]], [], "wrong_trades"),
        (0, [named[0]._replace(amount_micro=1), *named[1:]], [], "wrong_trades"),
        (1, named[1:], [], "trades_out_of_order"),
    ):
        assert owed.try_(part_acts.claim_trades(name, start, chunk, rest)) == refusal
    assert owed.view(part_acts.claimant_of(9_999)) == bytes(32)
    assert owed.view(part_acts.claimed_count(name)) == 0


def test_trades_of_a_void_receivable_are_free_again() -> None:
    owed = owed_at(ChainState.DISPUTED)
    name = owed_with(owed, 11, TRADES)
    again = part_acts.claim_trades(name, 0, TRADES, [])
    assert owed.try_(again) == "trade_claimed"
    owed.do(owed.conceding())
    owed.do(again)
    assert owed.view(part_acts.claimant_of(TRADES[0].trade_id)) == name
    assert owed.try_(owed.claiming()) == "illegal_transition"
