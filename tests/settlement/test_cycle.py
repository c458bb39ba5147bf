"""A cycle from commitments to applied: what makes it ready, what it comes to, who signs, what falls due later."""

from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import decode
from sqlalchemy import select

from data import tables
from data.database import reading
from settlement import (
    acts,
    commitments,
    cycle,
    cycle_store,
    drafting,
    merkle,
    mirror,
    outbox,
    reading_store,
    signatures,
    store,
)
from settlement.chain import Call, ChainEvent
from settlement.delivery import How, Kind, Line
from settlement.meters import Status
from tests.settlement.settlement_world import (
    CHECKER,
    DAY,
    GRID,
    OPERATOR,
    Wish,
    World,
    a_day_of_trading,
    after_window,
    checker_approval,
    key_of,
    new_world,
    start_of,
)

pytestmark = pytest.mark.usefixtures("database_url")

DISPUTE_S = 48 * 3_600


@pytest.fixture
def world(tmp_path: Path) -> World:
    return new_world(tmp_path)


def draft(world: World, now_s: int) -> int | None:
    return drafting.draft_due(world.database, now_s, rules=world.rules, domain=world.domain, operator=world.operator)


def row_of(world: World, number: int) -> Any:
    with reading(world.database) as connection:
        return cycle_store.cycle(connection, number)


def lines_of(world: World, number: int) -> list[Line]:
    with reading(world.database) as connection:
        return cycle_store.lines_of(connection, number)


def sign(world: World, number: int) -> str | None:
    row = row_of(world, number)
    signature = checker_approval(acts.propose_digest(world.domain, cycle.stated_proposal(row))).signature
    with world.database.begin() as connection:
        return cycle.accept_signature(
            connection,
            number,
            signature,
            checker=CHECKER,
            key=signatures.public_key(key_of(CHECKER)),
            operator=OPERATOR,
            domain=world.domain,
        )


def calls(world: World) -> list[Call]:
    with reading(world.database) as connection:
        return [entry.call for entry in outbox.unfinished(connection, 1_000)]


def chain_says(world: World, event: str, block: int, **arguments: int) -> None:
    """An event of Clearing arrives."""
    with world.database.begin() as connection:
        mirror.follow(connection, [ChainEvent(block, 0, 0, bytes(32), "Clearing", event, dict(arguments))])


def settle(world: World, number: int, now_s: int) -> None:
    """From drafted to applied, with a chain that does as it is told."""
    assert sign(world, number) is None
    chain_says(world, "Proposed", 10 * number, cycle=number, disputable_until_s=now_s)
    with world.database.begin() as connection:
        assert cycle.apply_due(connection, now_s) == [number]
    chain_says(world, "CycleApplied", 10 * number + 1, cycle=number)


# --------------------------------------------------------------------------------------------- commitments


def test_a_commitment_waits_a_minute_and_holds_head_root_and_count(world: World) -> None:
    a_day_of_trading(world)
    with reading(world.database) as connection:
        oldest_s = store.journal_after(connection, 0).oldest_recorded_s  # type: ignore[union-attr] # the world has a journal
    assert world.commit(oldest_s + 59) is None
    assert world.commit(oldest_s + 60) == 1
    assert world.commit(oldest_s + 10_000) is None, "nothing when nothing happened"
    with reading(world.database) as connection:
        row = store.last_commitment(connection)
        leaves = [trade.leaf for trade in store.trades_between(connection, 1, world.trades)]
    assert row is not None
    assert (row.journal_head, row.first_trade, row.last_trade) == (world.head, 1, world.trades)
    assert row.trade_root == merkle.root(leaves)
    (call,) = calls(world)
    assert call.kind == "Clearing.commit"
    types = ["uint256", "bytes32", "bytes32", "bytes32", "uint256", "(uint256,uint256,uint256)[]"]
    *content, approvals = decode(types, call.data[4:])
    assert content == [1, bytes(32), world.head, row.trade_root, world.trades]
    member, r, s = approvals[0]
    digest = acts.commit_digest(world.domain, commitments.of_row(row))
    assert member == OPERATOR
    key = signatures.public_key(key_of(OPERATOR))
    assert signatures.is_signed(key, digest, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


def test_commitments_form_a_chain_and_enough_trades_do_not_wait(world: World) -> None:
    assert world.commit(start_of(DAY), at_once=True) == 1
    now_s = start_of(DAY)
    world.place(Wish("A2", "sell", 10, 300, 4_000), Wish("A1", "buy", 10, 250, 4_800), now_s=now_s)
    assert world.commit(now_s) is None
    hasty = World(world.database, rules=type(world.rules)(**{**_fields(world.rules), "commit_trades": 1}))
    assert hasty.commit(now_s) == 2
    with reading(world.database) as connection:
        first, second = connection.execute(select(tables.commitments).order_by(tables.commitments.c.commitment)).all()
    assert second.previous == commitments.of_row(first).rolling_hash()
    assert (first.first_trade, first.last_trade, first.trade_root) == (1, 0, merkle.EMPTY_ROOT)
    assert (second.first_trade, second.last_trade) == (1, 1)


def _fields(rules: Any) -> dict[str, Any]:
    return {name: getattr(rules, name) for name in rules.__struct_fields__}


# -------------------------------------------------------------------------------------------------- drafts


def test_a_day_is_drafted_when_its_readings_are_final_and_its_trades_committed(world: World) -> None:
    a_day_of_trading(world)
    assert draft(world, after_window(DAY)) is None, "its trades are not committed"
    world.commit(after_window(DAY), at_once=True)
    assert draft(world, after_window(DAY) - 1) is None
    assert draft(world, after_window(DAY)) == 1
    assert draft(world, after_window(DAY)) is None, "it waits for the checker"
    row = row_of(world, 1)
    assert (row.day, row.start_s, row.end_s, row.state) == ("2026-07-01", start_of(DAY), start_of(DAY, 24), "drafted")
    digest = acts.propose_digest(world.domain, cycle.stated_proposal(row))
    assert signatures.is_signed(signatures.public_key(key_of(OPERATOR)), digest, row.operator_signature)
    assert acts.parts_hash(cycle.stated_proposal(row).parts) == row.parts_hash


def test_lines_net_to_the_parts_and_every_how_is_zero(world: World) -> None:
    a_day_of_trading(world)
    world.commit(after_window(DAY), at_once=True)
    draft(world, after_window(DAY))
    lines = lines_of(world, 1)
    for how in How:
        assert sum(line.amount_micro for line in lines if line.how == how) == 0
    paid: dict[int, int] = {}
    for line in lines:
        if line.how == How.CYCLE:
            paid[line.member] = paid.get(line.member, 0) + line.amount_micro
    (part,) = cycle_store.parts_from_json(row_of(world, 1).parts)
    assert dict(part.deltas) == {member: amount for member, amount in paid.items() if amount}
    shortfalls = {(line.member, line.energy_lots) for line in lines if line.kind == Kind.SHORTFALL}
    assert shortfalls == {(GRID, 20), (101, 20), (GRID, 150), (102, 150)}


def test_the_checker_must_sign_this_very_proposal(world: World) -> None:
    a_day_of_trading(world)
    world.commit(after_window(DAY), at_once=True)
    draft(world, after_window(DAY))
    key = signatures.public_key(key_of(CHECKER))
    wrong = checker_approval(bytes(32)).signature
    with world.database.begin() as connection:
        at = {"checker": CHECKER, "key": key, "operator": OPERATOR, "domain": world.domain}
        assert cycle.accept_signature(connection, 1, wrong, **at) == "bad_signature"  # type: ignore[arg-type] # a dict of all
        assert cycle.accept_signature(connection, 2, wrong, **at) == "unknown_cycle"  # type: ignore[arg-type] # a dict of all
        assert cycle.refuse(connection, 1, "delta of account 100: stated 1, computed 2") is None
    assert row_of(world, 1).state == "refused"
    assert draft(world, after_window(DAY) + 86_400 * 40) is None, "nothing goes on beyond a refused cycle"
    assert sign(world, 1) is None
    assert (row_of(world, 1).state, row_of(world, 1).refusal) == ("signed", None)
    assert [call.kind for call in calls(world)] == ["Clearing.commit", "Clearing.propose"]
    assert sign(world, 1) == "already_signed", "another signature of the same key, over the same digest"
    with world.database.begin() as connection:
        kept = row_of(world, 1).checker_signature
        assert cycle.accept_signature(connection, 1, kept, **at) is None  # type: ignore[arg-type] # a dict of all
        assert cycle.refuse(connection, 1, "too late") == "already_signed"
    assert [call.kind for call in calls(world)] == ["Clearing.commit", "Clearing.propose"]


def test_parts_go_out_once_when_the_dispute_window_is_over(world: World) -> None:
    a_day_of_trading(world)
    now_s = after_window(DAY)
    world.commit(now_s, at_once=True)
    draft(world, now_s)
    sign(world, 1)
    with world.database.begin() as connection:
        assert cycle.apply_due(connection, now_s + DISPUTE_S) == [], "the chain has not said that it is proposed"
    chain_says(world, "Proposed", 5, cycle=1, disputable_until_s=now_s + DISPUTE_S)
    with world.database.begin() as connection:
        assert cycle.apply_due(connection, now_s + DISPUTE_S - 1) == []
        assert cycle.apply_due(connection, now_s + DISPUTE_S) == [1]
        assert cycle.apply_due(connection, now_s + DISPUTE_S) == []
        assert cycle_store.unsettled_before(connection, start_of(DAY, 24), world.rules)
    assert [call.kind for call in calls(world)][-1] == "Clearing.apply_part"
    chain_says(world, "CycleApplied", 6, cycle=1)
    assert row_of(world, 1).state == "applied"
    with reading(world.database) as connection:
        assert not cycle_store.unsettled_before(connection, start_of(DAY, 24), world.rules)
        assert not cycle_store.unsettled_before(connection, start_of(date(2026, 7, 31)), world.rules)
        assert cycle_store.unsettled_before(connection, start_of(date(2026, 8, 1)), world.rules), "a debt"


# -------------------------------------------------------------------------------------------- what falls due


def test_a_plain_debt_is_paid_exactly_once_on_its_due_day(world: World) -> None:
    """A1 bought 150 lots on 30 days that B1, whose meter is silent, never proved: owed, and no receivable."""
    a_day_of_trading(world)
    now_s = after_window(DAY)
    world.commit(now_s, at_once=True)
    draft(world, now_s)
    settle(world, 1, now_s)
    due = DAY + timedelta(days=30)
    assert draft(world, after_window(due) - 1) is None, "the days between have nothing to settle"
    assert draft(world, after_window(due)) == 2
    row = row_of(world, 2)
    assert row.day == due.isoformat()
    lines = lines_of(world, 2)
    assert [(line.member, line.kind, line.amount_micro, line.how) for line in lines] == [
        (100, "energy_due", -150 * 3_900, "cycle"),
        (102, "energy_due", 150 * 3_900, "cycle"),
    ]
    settle(world, 2, after_window(due))
    assert draft(world, after_window(due) + 86_400 * 400) is None, "and never again"


def test_debts_of_a_later_trading_day_join_that_days_cycle(world: World) -> None:
    a_day_of_trading(world)
    due = DAY + timedelta(days=30)
    world.commit(after_window(DAY), at_once=True)
    draft(world, after_window(DAY))
    settle(world, 1, after_window(DAY))
    world.place(Wish("A2", "sell", 9, 40, 4_000, 0, due), Wish("A1", "buy", 9, 40, 4_800, 0, due))
    world.meter(("A2", 9, 40, 0), ("A1", 9, 0, 40), day=due)
    world.commit(after_window(due), at_once=True)
    assert draft(world, after_window(due)) == 2
    kinds = [line.kind for line in lines_of(world, 2)]
    assert kinds == ["energy", "energy", "wheeling", "wheeling", "energy_due", "energy_due"]


def test_a_day_with_nothing_but_readings_has_a_cycle_and_one_with_nothing_has_none(world: World) -> None:
    quiet = DAY + timedelta(days=3)
    world.meter(("A1", 10, 0, 33), day=quiet)
    assert draft(world, after_window(quiet)) == 1
    row = row_of(world, 1)
    assert row.day == quiet.isoformat()
    assert cycle_store.parts_from_json(row.parts)[0].deltas == ()
    assert [line.kind for line in lines_of(world, 1)] == ["over_consumed", "over_consumed"]


def test_a_reading_for_a_drafted_day_comes_too_late_whatever_the_clock_says(world: World) -> None:
    world.meter(("A1", 10, 0, 33))
    draft(world, after_window(DAY))
    verdict = world.meter(("A2", 10, 0, 3), now_s=after_window(DAY) - 10)[0]
    assert verdict.status == Status.LATE
    with reading(world.database) as connection:
        assert reading_store.readings_at(connection, start_of(DAY, 10), after_window(DAY)).keys() == {world.nodes["A1"]}
