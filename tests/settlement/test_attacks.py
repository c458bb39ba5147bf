"""Attacks from inside, each really tried: refused by a contract or by the market, or found by the audit.

The table in ``docs/settlement_and_chain.md`` names for each who could, what stops it, and the test here.
"""

import sqlite3
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from msgspec import structs
from rich.console import Console
from sqlalchemy import insert, select, update

from data import tables
from data.database import open_database, reading
from market.problems import Problem
from market.withdrawals import RequestWithdrawal
from matching.engine import Engine
from settlement import acts, audit, audit_receipts, calls, dispute_acts
from settlement.acts import Delta, Mint
from settlement.areas import AreaMeter, Areas, Place
from settlement.audit import AuditResult
from settlement.audit_receipts import Receipt
from settlement.delivery import Established, Reading
from settlement.dispute_acts import ANSWER_S
from settlement.hexjson import Hex
from settlement.intents import Domain, OrderIntent
from settlement.key_changes import history_back_to
from settlement.meters import Code, Kept, Status
from tests.market.world import NamedChain, neighbours, open_market
from tests.market.world import order as written
from tests.settlement.chained_world import ChainedWorld, audit_terms, chained_world, settled_world
from tests.settlement.contract_bench import (
    CHECKER,
    CUSTODIAN,
    LATE_S,
    OPERATOR,
    START_S,
    YUAN,
    Bench,
    public,
    sign,
)
from tests.settlement.dispute_bench import ANNA, BORIS, NO_KEYS, Day, order
from tests.settlement.settlement_world import DAY, RULES, Wish, World, key_of, start_of


@pytest.fixture(scope="module")
def kept_bench() -> Bench:
    bench = Bench()
    bench.admit(ANNA, BORIS)
    bench.mint((ANNA, 100 * YUAN), (BORIS, 100 * YUAN), to_escrow=True)
    return bench


@pytest.fixture
def bench(kept_bench: Bench) -> Bench:
    return kept_bench.copy()


@pytest.fixture(scope="module")
def kept_day() -> Day:
    return Day.begun()


@pytest.fixture
def day(kept_day: Day) -> Day:
    return kept_day.copy()


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainedWorld]:
    with settled_world(tmp_path_factory.mktemp("settled")) as world:
        yield world


@pytest.fixture
def forged(settled: ChainedWorld, tmp_path: Path) -> Path:
    """A copy of a settled market's database, to be forged."""
    copy = tmp_path / "market.db"
    with sqlite3.connect(settled.folder / "market.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    return copy


def audited(database: Path, chain: Path, *receipts: Receipt) -> AuditResult:
    said = Console(file=StringIO())
    more = lambda _: audit_receipts.steps(receipts)  # noqa: E731 - said in one word
    return audit.run(f"sqlite:///{database}", chain, audit_terms(), more_steps=more, console=said)


# -------------------------------------------------------------------------------------------- the operator's trades


def test_the_operator_invents_a_trade_in_the_database(settled: ChainedWorld, forged: Path) -> None:
    database = open_database(f"sqlite:///{forged}")
    with database.begin() as connection:
        row = connection.execute(select(tables.trades).where(tables.trades.c.trade_id == 3)).one()._asdict()
        connection.execute(insert(tables.trades), {**row, "trade_id": 4})
    database.dispose()
    found = audited(forged, settled.chain_file).contradiction
    assert found is not None and (found.table, found.key) == ("trades", "4")


def test_the_operator_invents_an_order_behind_a_trade(tmp_path: Path) -> None:
    """It is in the journal, with all heads and receipts in order; but Ann never signed it, and nobody else can."""
    with chained_world(tmp_path) as chained:
        chained.world.changed_keys[100] = key_of(OPERATOR)
        chained.world.place(Wish("A1", "buy", 12, 100, 4_800), Wish("A2", "sell", 12, 100, 4_000))
        found = audited(tmp_path / "market.db", chained.chain_file).contradiction
        assert found is not None and (found.table, found.column) == ("signatures", "signature")


def test_the_operator_settles_a_trade_that_nobody_signed(day: Day) -> None:
    """Anna asks for the order; a forged one is no answer; after a day the trade is struck, and the operator pays."""
    intent = order()
    day.trade(intent)
    record = day.trade(intent, filled_before_lots=40)
    assert day.propose() == ""
    before = day.bench.escrow_of(ANNA)
    opening = day.opening(record)
    assert day.challenge(opening) == ""
    assert day.answer(opening, day.sign(intent, by=OPERATOR)) != ""
    assert day.apply() != "", "nothing moves meanwhile"
    day.bench.now_s += ANSWER_S + 1
    assert day.uphold(opening) == ""
    assert day.bench.named("Struck")[-1]["leaf"] == opening.leaf
    assert day.bench.escrow_of(ANNA) > before, "the bond is hers"


def test_the_operator_fills_an_order_twice(day: Day) -> None:
    """Two trades under one order that fill the same lots prove it by themselves: nobody is asked."""
    intent = order()
    first, second = day.trade(intent), day.trade(intent)
    assert day.propose() == ""
    assert day.bench.try_(dispute_acts.prove_overlap(1, day.opening(first), day.opening(second))) == ""
    assert len(day.bench.named("Struck")) == 1


def test_the_operator_fills_an_order_beyond_its_quantity(day: Day) -> None:
    """Not the same lots, but more than were signed for: the order itself is no answer."""
    intent = order(quantity_lots=60)
    record = day.trade(intent, filled_before_lots=40)
    assert day.propose() == ""
    opening = day.opening(record)
    assert day.challenge(opening) == ""
    assert day.answer(opening, day.sign(intent), NO_KEYS) != ""


def test_the_operator_moves_escrow(bench: Bench) -> None:
    """By itself it can neither take money, nor settle a cycle, nor send somebody's money away."""
    proposal = bench.proposal(1, [[Delta(ANNA, -50 * YUAN), Delta(OPERATOR, 50 * YUAN)]])
    bench.now_s = proposal.end_s
    digest = acts.propose_digest(bench.domain("Clearing"), proposal)
    alone = bench.approve(OPERATOR, digest)
    assert bench.try_(acts.propose(proposal, alone, alone)) == "approvals_missing"
    assert bench.try_(acts.propose(proposal, alone, [acts.Approval(CHECKER, sign(OPERATOR, digest))])) != ""
    assert bench.try_(acts.apply_part(1, 0, [Delta(ANNA, -50 * YUAN), Delta(OPERATOR, 50 * YUAN)])) != ""
    once = bench.once()
    asked = acts.request_exit_digest(bench.domain("Clearing"), ANNA, 50 * YUAN, **once)
    assert bench.try_(acts.request_exit(ANNA, 50 * YUAN, sign(OPERATOR, asked), **once)) == "bad_signature"
    move = calls.call("Cash", "move", ("uint256",) * 3, bench.clearing_account, OPERATOR, 1)
    assert bench.try_(move) == "not_a_mover"
    assert bench.escrow_of(ANNA) == 100 * YUAN


def test_the_operator_changes_a_part_that_was_signed(bench: Bench) -> None:
    """What is applied is what operator and checker signed, account by account."""
    proposal = bench.proposal(1, [[Delta(ANNA, -YUAN), Delta(BORIS, YUAN)]])
    bench.now_s = proposal.end_s
    bench.do(bench.propose(proposal))
    bench.now_s += 10 * 86_400
    assert bench.try_(acts.apply_part(1, 0, [Delta(ANNA, -YUAN), Delta(OPERATOR, YUAN)])) == "wrong_part"


# --------------------------------------------------------------------------------------------- another market's words


@pytest.mark.parametrize("sister", ["salt", "chain", "contract"])
def test_an_intent_of_a_sister_market_is_replayed_on_the_chain(bench: Bench, sister: str) -> None:
    here, once = bench.domain("Clearing"), bench.once()
    there = {
        "salt": here._replace(salt=b"\x77" * 32),
        "chain": here._replace(chain_id=here.chain_id + 1),
        "contract": bench.domain("Cash"),
    }[sister]
    signature = sign(ANNA, acts.request_exit_digest(there, ANNA, YUAN, **once))
    assert bench.try_(acts.request_exit(ANNA, YUAN, signature, **once)) == "bad_signature"


async def test_an_order_of_a_sister_market_is_replayed_over_http(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        wish = written("b1", "A1", "buy", "1.00", "0.45")
        here = NamedChain().domain("Clearing")
        there = Domain(here.chain_id, here.contract, bytes(32))
        intent: OrderIntent = ann.intent(wish)
        answer = await ann.post("/v1/orders", {**wish, "signature": ann.sign(intent.digest(there))})
        assert (answer.status, answer.code) == (422, "bad_signature")


# --------------------------------------------------------------------------------------------------- another history


def test_the_operator_hides_an_order_that_it_front_ran(tmp_path: Path) -> None:
    """Ann was acknowledged; the journal that is shown has another's order in that place. Her receipt proves it."""
    shown = tmp_path / "shown.db"
    with chained_world(tmp_path) as chained:
        with sqlite3.connect(tmp_path / "market.db") as source, sqlite3.connect(shown) as target:
            source.backup(target)
        before = chained.world.engine.snapshot(), chained.world.head, chained.world.batch
        chained.world.place(Wish("A1", "buy", 12, 100, 4_800))
        with reading(chained.world.database) as connection:
            link = connection.execute(select(tables.journal).order_by(tables.journal.c.batch.desc())).first()
        assert link is not None
        receipt = Receipt(link.last_sequence, Hex(link.head), Hex(link.signature))
        assert audited(tmp_path / "market.db", chained.chain_file, receipt).contradiction is None
        _front_run(chained, shown, *before)
        assert audited(shown, chained.chain_file).contradiction is None, "nothing else gives it away"
        found = audited(shown, chained.chain_file, receipt).contradiction
        assert found is not None and (found.table, found.column) == ("journal", "head")
        invented = structs.replace(receipt, sequence=receipt.sequence + 1)
        found = audited(shown, chained.chain_file, invented).contradiction
        assert found is not None and found.table == "receipt", "what the operator never gave proves nothing"


def _front_run(chained: ChainedWorld, shown: Path, engine: bytes, head: bytes, batch: int) -> None:
    """The same market, from the same beginning, with an order of Di's in the place of Ann's."""
    other = World(open_database(f"sqlite:///{shown}"), chained.world.domain)
    other.engine = Engine.restore(engine)
    other.head, other.batch, other.nodes = head, batch, chained.world.nodes
    other.place(Wish("B2", "buy", 12, 100, 4_800))
    other.database.dispose()


def test_the_operator_rewrites_history_in_the_database(settled: ChainedWorld, forged: Path) -> None:
    """It holds its own key and the whole database: the journal's links can be made anew, but not what was committed."""
    database = open_database(f"sqlite:///{forged}")
    with database.begin() as connection:
        connection.execute(update(tables.commitments).values(journal_head=b"\7" * 32))
    database.dispose()
    found = audited(forged, settled.chain_file).contradiction
    assert found is not None and found.table == "commitments"


def test_the_operator_leaves_out_what_was_committed(settled: ChainedWorld, tmp_path: Path) -> None:
    """A market begun anew from the same genesis, with a chain that has seen more than it shows."""
    with chained_world(tmp_path) as fresh:
        pass
    found = audited(tmp_path / "market.db", settled.chain_file).contradiction
    assert found is not None and fresh.folder == tmp_path


# ------------------------------------------------------------------------------------------------------------ energy


def test_the_meter_operator_invents_energy_beyond_the_connection(tmp_path: Path) -> None:
    with chained_world(tmp_path) as chained:
        (verdict,) = chained.world.meter(("A2", 10, 5_000, 0))
        assert (verdict.status, verdict.code) == (Status.QUARANTINED, Code.ABOVE_CAPACITY)


def test_the_meter_operator_invents_energy_under_an_area_meter() -> None:
    """The area meter saw 100 lots leave; the sellers below are said to have made 150: nobody is financed on that."""
    parents = {0: None, 1: 0, 2: 1, 10: 2, 11: 2}
    places = [Place(node, 0, 1_000, 1_000) for node in (10, 11)]
    area = Areas(parents, places, [AreaMeter(2, 1, 0, 9_999, 9_999, 0, 5)])
    true = {10: (60, 0), 11: (40, 0), 2: (100, 0)}
    invented = {**true, 11: (90, 0)}
    for said, expected in ((true, Established.RECONCILED), (invented, Established.HELD)):
        kept = {node: Kept(Reading(*each), by_meter=False) for node, each in said.items()}
        found = area.count(start_of(DAY), kept)
        assert {found.established[10], found.established[11]} == {expected}


def test_the_seller_unplugs_its_meter(settled: ChainedWorld) -> None:
    """Cy sold 11:00 and has no reading: it delivered nothing, and pays the shortfall price on all of it."""
    with reading(settled.world.database) as connection:
        line = tables.statement_lines
        rows = connection.execute(
            select(line.c.kind, line.c.energy_lots, line.c.price_ticks, line.c.amount_micro).where(
                line.c.member_id == 102, line.c.slot_s == start_of(DAY, 11)
            )
        ).all()
    (shortfall,) = [row for row in rows if row.kind == "shortfall"]
    sold = [row for row in rows if row.kind == "energy"]
    assert shortfall.energy_lots == sum(row.energy_lots for row in sold) > 0
    assert shortfall.price_ticks == RULES.shortfall_ticks
    assert shortfall.amount_micro + sum(row.amount_micro for row in sold) < 0, "it never pays"


# ------------------------------------------------------------------------------------------------------------- money


def test_the_custodian_mints_twice(bench: Bench) -> None:
    """One payment of the bank is one reference; and beyond what it says it holds, it mints nothing."""
    mint = Mint(ANNA, 5 * YUAN, b"\1" * 32, False)
    digest = acts.mint_many_digest(bench.domain("Cash"), [mint])
    minting = acts.mint_many([mint], bench.approve(CUSTODIAN, digest))
    assert [bench.try_(minting), bench.try_(minting)] == ["", "reference_used"]
    supply = int(bench.view(calls.supply()))
    bench.now_s += 60
    assert bench.attest(supply - 1) == ""
    again = Mint(ANNA, 5 * YUAN, b"\2" * 32, False)
    digest = acts.mint_many_digest(bench.domain("Cash"), [again])
    assert bench.try_(acts.mint_many([again], bench.approve(CUSTODIAN, digest))) == "balance_below_supply"


async def test_a_member_withdraws_money_that_an_open_order_needs(tmp_path: Path) -> None:
    async with open_market(tmp_path) as world:
        ann, _ = await neighbours(world)
        await world.give("ann", 10 * YUAN)
        assert (await ann.place(written("b1", "A1", "buy", "10.00", "0.90"))).status == 201

        async def ask(amount_micro: int, nonce: int) -> int | Problem:
            job = RequestWithdrawal(ann.member, "escrow", amount_micro, nonce, LATE_S, b"")
            answer: int | Problem = (await world.context.sequencer.submit(job)).answer
            return answer

        refused = await ask(1 * YUAN + 1, 1)
        assert isinstance(refused, Problem) and refused.code == "insufficient_funds"
        assert await ask(1 * YUAN, 2) == 1, "to the micro-yuan"


def test_the_debtor_denies_its_signature_after_changing_its_key(bench: Bench) -> None:
    """The old key is no longer its key; the contract still knows that it was, that day, and no other was."""
    signed_s, digest = START_S + 3_600, b"\x55" * 32
    word = sign(ANNA, digest)
    bench.now_s = START_S + 86_400
    once = bench.once()
    rotating = acts.rotate_key_digest(bench.domain("Members"), ANNA, public(500), **once)
    bench.do(acts.rotate_key(ANNA, public(500), sign(ANNA, rotating), **once))
    bench.now_s += 86_400
    history = history_back_to(bench.chain_events(), ANNA, signed_s)
    assert bench.view(calls.was_signed(ANNA, digest, word, signed_s, history)) is True
    assert bench.view(calls.was_signed(ANNA, digest, sign(500, digest), signed_s, history)) is False
    assert bench.view(calls.was_signed(ANNA, digest, word, bench.now_s, history)) is False, "it signs nothing new"
