"""A cycle in dispute on a real chain: answered it goes on, unanswered it falls and is settled without the trade."""

import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import update

from data import tables
from data.database import reading
from matching.order import Side
from settlement import (
    audit,
    cycle,
    cycle_store,
    dispute_acts,
    dispute_store,
    disputing,
    mirror_store,
    outbox,
    publish_cycle_store,
    publish_store,
    reorganisation,
    signatures,
    store,
)
from settlement.dispute_acts import ANSWER_S, Opening, struck_by
from settlement.examine_cycle import CycleExaminer, Parties
from settlement.journal_replay import JournalReplay
from settlement.keys import KeyHistory
from tests.settlement.chained_world import DISPUTE_WINDOW_S, ChainedWorld, audit_terms, chained_world
from tests.settlement.settlement_world import (
    CHECKER,
    DAY,
    ENGINE_RULES,
    METER_OPERATOR,
    OPERATOR,
    RULES,
    a_day_of_trading,
    after_window,
    key_of,
)

NOW_S = after_window(DAY)


@pytest.fixture
def proposed(tmp_path: Path) -> Iterator[ChainedWorld]:
    """A day of trading, proposed as cycle 1."""
    with chained_world(tmp_path) as chained:
        a_day_of_trading(chained.world)
        propose(chained)
        yield chained


def propose(chained: ChainedWorld, now_s: int = NOW_S) -> None:
    chained.world.commit(now_s, at_once=True)
    assert chained.draft(now_s) == 1
    chained.sign(1)
    chained.send(now_s)


def opening_of(chained: ChainedWorld, trade_id: int, side: Side) -> Opening:
    with reading(chained.world.database) as connection:
        row = cycle_store.cycle(connection, 1)
        assert row is not None
        opening = disputing.opening_in(connection, row, trade_id, side)
        assert opening is not None
        return opening


def challenge(chained: ChainedWorld, trade_id: int, side: Side, nonce: int = 1) -> Opening:
    opening = opening_of(chained, trade_id, side)
    once = {"nonce": nonce, "deadline_s": NOW_S + 10**9}
    member = opening.half.member
    digest = dispute_acts.challenge_digest(chained.chain.domain("Disputes"), member, 1, opening.leaf, **once)
    with chained.world.database.begin() as connection:
        signature = signatures.sign(key_of(member), digest)
        outbox.put(connection, dispute_acts.challenge(1, opening, signature, **once))
    chained.send(NOW_S + 60)
    return opening


def state_of(chained: ChainedWorld) -> str | None:
    with reading(chained.world.database) as connection:
        row = cycle_store.cycle(connection, 1)
    return None if row is None else row.state


def apply(chained: ChainedWorld, now_s: int) -> None:
    with chained.world.database.begin() as connection:
        cycle.apply_due(connection, now_s)
    chained.send(now_s)


def contradiction_in(chained: ChainedWorld) -> object:
    console = Console(file=io.StringIO())
    return audit.run(chained.url, chained.chain_file, audit_terms(), console=console).contradiction


@pytest.mark.parametrize("side", list(Side))
def test_the_market_answers_by_itself_and_the_cycle_is_applied(proposed: ChainedWorld, side: Side) -> None:
    for trade_id in (1, 3):
        challenge(proposed, trade_id, side, nonce=trade_id)
    assert state_of(proposed) == "disputed"
    apply(proposed, NOW_S + DISPUTE_WINDOW_S)
    assert state_of(proposed) == "disputed", "nothing is sent while it is"
    with proposed.world.database.begin() as connection:
        handled = disputing.answer_due(connection, proposed.world.domain)
        assert [(each.trade_id, each.problem) for each in handled] == [(1, ""), (3, "")]
        assert disputing.answer_due(connection, proposed.world.domain) == []
    proposed.send(NOW_S + DISPUTE_WINDOW_S)
    assert state_of(proposed) == "proposed"
    apply(proposed, NOW_S + DISPUTE_WINDOW_S)
    assert state_of(proposed) == "applied"
    assert contradiction_in(proposed) is None


def fallen(chained: ChainedWorld, trade_id: int = 2) -> Opening:
    """Nobody answers for a trade, and the market says so against itself."""
    opening = challenge(chained, trade_id, Side.SELL)
    with chained.world.database.begin() as connection:
        assert disputing.uphold_due(connection, NOW_S + 60 + ANSWER_S) == []
        assert disputing.uphold_due(connection, NOW_S + 61 + ANSWER_S) == [1]
        assert disputing.uphold_due(connection, NOW_S + 61 + ANSWER_S) == []
    chained.send(NOW_S + 61 + ANSWER_S)
    return opening


@pytest.mark.usefixtures("database_url")
def test_an_unanswered_trade_is_struck_and_the_cycle_settled_without_it(proposed: ChainedWorld) -> None:
    opening = fallen(proposed)
    with reading(proposed.world.database) as connection:
        assert cycle_store.cycle(connection, 1) is None
        assert [row.cycle for row in dispute_store.waiting(connection)] == [1]
        (struck,) = dispute_store.struck(connection)
        assert (struck.trade_id, struck.leaf, struck.cycle) == (2, opening.leaf, 1)
    assert contradiction_in(proposed) is None
    again_s = NOW_S + ANSWER_S + 3_600
    propose(proposed, again_s)
    with reading(proposed.world.database) as connection:
        row = cycle_store.cycle(connection, 1)
        assert row is not None and row.round == 2
        assert sorted(store_deliveries(proposed)) == [1, 3]
    apply(proposed, again_s + DISPUTE_WINDOW_S)
    assert state_of(proposed) == "applied"
    assert contradiction_in(proposed) is None


def store_deliveries(chained: ChainedWorld) -> list[int]:
    with reading(chained.world.database) as connection:
        return list(cycle_store.deliveries_of(connection, [1, 2, 3]))


def examiner(chained: ChainedWorld, *, sees_the_chain: bool) -> CycleExaminer:
    with reading(chained.world.database) as connection:
        keys = KeyHistory(publish_store.all_keys(connection))
        replay = JournalReplay(ENGINE_RULES, chained.world.domain, OPERATOR, keys)
        assert all(replay.add(link) is None for link in publish_store.all_links(connection))
    parties = Parties(OPERATOR, CHECKER, frozenset({METER_OPERATOR}), keys)
    struck = struck_by(chained.chain.events(0)) if sees_the_chain else frozenset()
    return CycleExaminer(RULES, chained.world.domain, parties, replay, lambda: struck)


def test_a_checker_lets_a_trade_be_left_out_only_when_the_chain_has_struck_it(proposed: ChainedWorld) -> None:
    fallen(proposed)
    propose(proposed, NOW_S + ANSWER_S + 3_600)
    with reading(proposed.world.database) as connection:
        published = publish_cycle_store.published_cycle(connection, 1, RULES)
        assert published is not None
        source = publish_cycle_store.StoredCycle(connection, 1)
        assert examiner(proposed, sees_the_chain=True).examine(published, source) is None
        blind = examiner(proposed, sees_the_chain=False).examine(published, source)
    assert blind is not None and blind.why == "trade 2 is left out, and the chain has not struck it"


def test_a_checker_refuses_a_struck_trade_that_is_drafted_again(proposed: ChainedWorld) -> None:
    fallen(proposed)
    with proposed.world.database.begin() as connection:
        connection.execute(tables.struck_trades.delete())
    propose(proposed, NOW_S + ANSWER_S + 3_600)
    with reading(proposed.world.database) as connection:
        published = publish_cycle_store.published_cycle(connection, 1, RULES)
        assert published is not None
        source = publish_cycle_store.StoredCycle(connection, 1)
        found = examiner(proposed, sees_the_chain=True).examine(published, source)
    assert found is not None and found.why == "trade 2 was struck by the chain"
    assert str(contradiction_in(proposed)).startswith("cycles 1, trades: trade 2 was struck")


def test_a_trade_that_no_order_covers_finds_no_answer_and_the_reason_is_kept(tmp_path: Path) -> None:
    """The operator writes a dearer trade into its database than its member signed for."""
    with chained_world(tmp_path) as chained:
        a_day_of_trading(chained.world)
        with chained.world.database.begin() as connection:
            dearer = update(tables.trades).where(tables.trades.c.trade_id == 1).values(buyer_price_ticks=9_999)
            connection.execute(dearer)
        propose(chained)
        challenge(chained, 1, Side.BUY)
        with chained.world.database.begin() as connection:
            (handled,) = disputing.answer_due(connection, chained.world.domain)
            assert handled.problem == "the order has a limit that the price breaks"
            assert disputing.answer_due(connection, chained.world.domain) == []
            (row,) = dispute_store.open_challenges(connection)
            assert row.problem == handled.problem and row.answer_outbox is None


def test_a_draft_that_is_under_way_when_an_earlier_cycle_falls_comes_to_nothing(proposed: ChainedWorld) -> None:
    with proposed.world.database.begin() as connection:
        cycle_store.begin_draft(connection, 2, DAY, NOW_S)
    fallen(proposed)
    with proposed.world.database.begin() as connection:
        assert cycle_store.draft(connection) is None
        assert not cycle_store.end_draft(connection, {"cycle": 2}, [])


def test_blocks_that_the_chain_gives_up_take_back_what_they_said_of_disputes(proposed: ChainedWorld) -> None:
    with reading(proposed.world.database) as connection:
        before = store.last_mirrored_block(connection) + 1
    opening = fallen(proposed)
    with proposed.world.database.begin() as connection:
        events = mirror_store.mirrored_events(connection)
        asked = max(event.block for event in events if event.event == "Challenged")
        reorganisation.unroll(connection, asked + 1)
        (row,) = dispute_store.open_challenges(connection)
        assert row.leaf == opening.leaf and dispute_store.struck(connection) == []
        reorganisation.unroll(connection, before)
        assert dispute_store.all_challenges(connection) == []
