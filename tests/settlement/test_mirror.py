"""The mirror of the chain: each event once, balances as the contracts say, also when money is short."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from data.database import reading
from settlement import acts, calls, cycle_store, mirror, outbox, store
from settlement.acts import FUND, Approval
from settlement.cycle import proposal_of
from settlement.cycle_outcome import CycleTotals, deltas_of
from settlement.netting import split
from settlement.writer import Writer
from tests.settlement.chained_world import DISPUTE_WINDOW_S, YUAN, ChainedWorld, chained_world
from tests.settlement.settlement_world import DAY, OPERATOR, OWNERS, after_window, checker_approval, start_of

pytestmark = pytest.mark.usefixtures("database_url")


@pytest.fixture
def chained(tmp_path: Path) -> Iterator[ChainedWorld]:
    with chained_world(tmp_path) as world:
        yield world


def balances(chained: ChainedWorld) -> dict[int, store.Balance]:
    with reading(chained.world.database) as connection:
        return store.balances(connection)


def on_chain(chained: ChainedWorld, member: int) -> store.Balance:
    questions = {"free_micro": calls.balance_of, "escrow_micro": calls.escrow_of, "arrears_micro": calls.arrears_of}
    return {column: int(chained.chain.view(question(member))[0]) for column, question in questions.items()}


def test_deposits_are_mirrored_and_pulling_again_changes_nothing(chained: ChainedWorld) -> None:
    kept = balances(chained)
    assert kept[100] == {"free_micro": 0, "escrow_micro": 200 * YUAN, "arrears_micro": 0}
    assert kept[101] == {"free_micro": 7 * YUAN, "escrow_micro": 200 * YUAN, "arrears_micro": 0}
    with chained.world.database.begin() as connection:
        assert mirror.pull(connection, chained.chain) == []
    assert balances(chained) == kept
    assert set(kept) == set(OWNERS.values()), "the contracts' own accounts are no members'"


def test_arrears_the_fund_and_what_is_held_back_are_mirrored(chained: ChainedWorld) -> None:
    """100 owes more than it has: its escrow goes, the rest is arrears; 101 and 102 share what there is."""
    world, now_s = chained.world, after_window(DAY)
    parts = split({100: -300 * YUAN, 101: 100 * YUAN, 102: 200 * YUAN})
    outcome = CycleTotals(bytes(32), bytes(32), bytes(32), parts)
    proposal = proposal_of(1, start_of(DAY), start_of(DAY, 24), outcome)
    digest = acts.propose_digest(world.domain, proposal)
    operator = Approval(OPERATOR, world.operator.approve(digest).signature)
    with world.database.begin() as connection:
        outbox.put(connection, acts.propose(proposal, [operator], [checker_approval(digest)]))
    chained.send(now_s)
    with world.database.begin() as connection:
        outbox.put(connection, acts.apply_part(1, 0, deltas_of(outcome.parts[0])))
    chained.send(now_s + DISPUTE_WINDOW_S)
    kept = balances(chained)
    assert kept[100] == {"free_micro": 0, "escrow_micro": 0, "arrears_micro": 100 * YUAN}
    assert kept[101]["escrow_micro"] == 200 * YUAN + 66_666_666
    assert kept[102]["escrow_micro"] == 200 * YUAN + 133_333_333
    assert kept[FUND]["escrow_micro"] == 1, "what rounding down left"
    for member in kept:
        assert kept[member] == on_chain(chained, member)


def test_a_pull_that_fails_leaves_nothing_half_done(chained: ChainedWorld) -> None:
    """The events and what follows from them are kept together, or not at all."""
    world, now_s = chained.world, start_of(DAY)
    world.commit(now_s, at_once=True)
    chained.chain.advance_to(now_s)
    Writer(world.database, chained.chain).drain()
    with reading(world.database) as connection:
        before = store.last_mirrored_block(connection)
    with pytest.raises(RuntimeError), world.database.begin() as connection:
        assert [event.event for event in mirror.pull(connection, chained.chain)] == ["Committed"]
        raise RuntimeError("the process dies here")
    with world.database.begin() as connection:
        assert store.last_mirrored_block(connection) == before
        assert [event.event for event in mirror.pull(connection, chained.chain)] == ["Committed"]
        assert mirror.pull(connection, chained.chain) == []


def test_a_cycle_goes_all_the_way_over_the_real_chain(chained: ChainedWorld) -> None:
    """Nothing traded and one reading: an empty part still closes the cycle."""
    chained.world.meter(("A1", 10, 0, 33))
    chained.settle(after_window(DAY))
    with reading(chained.world.database) as connection:
        (row,) = cycle_store.cycles_in(connection, "applied")
        assert row.disputable_until_s == after_window(DAY) + DISPUTE_WINDOW_S
    assert chained.chain.view(calls.applied_cycle()) == (1,)
