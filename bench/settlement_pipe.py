"""The way to the chain, measured: trades committed end to end on both sides, a large cycle applied, a growing state.

Sections for ``bench_settlement.py``. The trades are rows written straight into a database, two orders for each; what is
measured is reading them, their leaves and root, signature, outbox, writer and receipt.
"""

import resource
import secrets
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chain_growth
import msgspec
from settlement_figures import Figure, Say
from sqlalchemy import Engine, insert

from data import tables
from data.database import open_database, reading, sqlite_url
from data.schema import bring_forward
from settlement import acts, commitments, netting, outbox, store
from settlement.acts import Admission, Delta, Mint
from settlement.chain import Call
from settlement.custody_acts import attest_balance, attest_balance_digest
from settlement.officer import Officer
from settlement.rpc import RpcChain
from settlement.writer import Writer
from tests.data.small_market import _filler
from tests.settlement.contract_bench import (
    CHECKER,
    CUSTODIAN,
    DISPUTE_WINDOW_S,
    OPERATOR,
    YUAN,
    key,
    public,
    sign,
)
from tests.settlement.settlement_world import RULES
from tests.settlement.sides import new_market, side

TRADES_IN_COMMITMENT, COMMITMENTS = 10_000, 5
MEMBERS = 10_000
FIRST_MEMBER = 1_000
IN_FLIGHT_COMMITS = 500
GROWTH_SLOTS = (0, 1_000_000)


def commitments_section(say: Say) -> Iterator[Figure]:
    """Trades a second, from the table to a receipt in the outbox, for each side of the port."""
    for name in ("embedded", "anvil"):
        with tempfile.TemporaryDirectory() as folder, side(name, Path(folder)) as running:
            chain = new_market(running.url)
            say(f"{COMMITMENTS * TRADES_IN_COMMITMENT:,} trades in a table")
            database = _market(Path(folder))
            say(f"committing them on the side {name}")
            took_s = _commit_all(database, chain)
            rate = COMMITMENTS * TRADES_IN_COMMITMENT / took_s
            yield Figure(
                f"{name}: trades committed, {TRADES_IN_COMMITMENT:,} at once", rate, "/s", 20_000, is_floor=True
            )
            say(f"{IN_FLIGHT_COMMITS} commitments on their way at once")
            _queue_commitments(database, chain)
            began = time.perf_counter()
            Writer(database, chain).drain()
            took_s = time.perf_counter() - began
            yield Figure(f"{name}: commitments, many on their way at once", IN_FLIGHT_COMMITS / took_s, "/s")
            database.dispose()


def cycle_section(say: Say) -> Iterator[Figure]:
    """A cycle of ten thousand members on the embedded side, from its first part to its last."""
    with tempfile.TemporaryDirectory() as folder, side("embedded", Path(folder)) as running:
        chain = new_market(running.url)
        crowd = Crowd(chain)
        say(f"admitting {MEMBERS:,} members with money in escrow")
        crowd.admit_and_fund()
        parts = crowd.parts()
        say("proposing the cycle")
        began = time.perf_counter()
        crowd.propose(parts)
        yield Figure("a cycle's proposal", time.perf_counter() - began, "s")
        say(f"applying {len(parts)} parts")
        began = time.perf_counter()
        gas = crowd.apply(parts)
        took_s = time.perf_counter() - began
        yield Figure(f"a cycle of {MEMBERS:,} members applied, embedded", took_s, "s", 60)
        yield Figure("its gas, per member", gas / MEMBERS, "gas")


def growth_section(say: Say) -> Iterator[Figure]:
    """Commitments and restarts while the state of the chain grows to a million slots."""
    say("growing a chain's state")
    first: float | None = None
    for each in chain_growth.measure(GROWTH_SLOTS):
        first = first or each.commit_s
        yield Figure(f"a commitment at {each.slots:,} slots", 1000 * each.commit_s, "ms", 2_000 * first)
        yield Figure(f"restart at {each.slots:,} slots", each.restart_s, "s")
        yield Figure(f"a day's first block with its state root, {each.slots:,} slots", each.day_s, "s")
    peak_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    yield Figure("memory of the largest process started", peak_mib, "MiB")


# ------------------------------------------------------------------------------------------------ commitments


def _market(folder: Path) -> Engine:
    """Trades and their orders, a batch of the journal for each commitment."""
    database = open_database(sqlite_url(folder / "market.db"))
    bring_forward(database)
    count = COMMITMENTS * TRADES_IN_COMMITMENT
    with database.begin() as connection:
        for table, rows in _rows(count):
            connection.execute(insert(table), [_filler(table) | row for row in rows])
    return database


def _rows(count: int) -> Iterator[tuple[Any, list[dict[str, Any]]]]:
    yield tables.members, [{"member_id": member, "kind": "household"} for member in (100, 101)]
    yield tables.nodes, [{"node_id": node, "name": f"meter-{node}"} for node in (0, 1)]
    yield tables.signatures, [{"signature_id": 1, "member_id": 100, "kind": "batch"}]
    orders = range(1, 2 * count + 1)
    yield (
        tables.orders,
        [
            {"order_id": at, "member_id": 100 + at % 2, "client_order_id": f"o{at}", "node_id": at % 2}
            | {"digest": secrets.token_bytes(32), "signature_id": 1, "price_ticks": 4_000, "quantity_lots": 10}
            for at in orders
        ],
    )
    yield (
        tables.trades,
        [
            {"trade_id": at, "sequence": at, "slot_s": 900 * (at % 96), "buy_order": 2 * at, "sell_order": 2 * at - 1}
            | {"buyer": 100, "seller": 101, "buy_node": 0, "sell_node": 1, "salts": secrets.token_bytes(96)}
            | {"quantity_lots": 10, "seller_price_ticks": 4_000, "buyer_price_ticks": 4_200, "traded_s": 5}
            for at in range(1, count + 1)
        ],
    )
    size = TRADES_IN_COMMITMENT
    yield (
        tables.journal,
        [
            {"batch": at, "first_sequence": (at - 1) * size + 1, "last_sequence": at * size}
            | {"head": secrets.token_bytes(32)}
            for at in range(1, COMMITMENTS + 1)
        ],
    )


def _commit_all(database: Engine, chain: RpcChain) -> float:
    """Commitment after commitment, each sent before the next is computed, as settlement does."""
    writer, operator = Writer(database, chain), Officer(OPERATOR, key(OPERATOR))
    rules = msgspec.structs.replace(RULES, commit_trades=TRADES_IN_COMMITMENT)
    began = time.perf_counter()
    for number in range(1, COMMITMENTS + 1):
        with reading(database) as connection:
            prepared = commitments.prepare(
                connection, 10**9, rules=rules, domain=chain.domain("Clearing"), operator=operator
            )
        assert prepared is not None
        with database.begin() as connection:
            assert commitments.keep(connection, prepared) == number
        assert writer.drain() == 1
    return time.perf_counter() - began


def _queue_commitments(database: Engine, chain: RpcChain) -> None:
    """Empty commitments after those that are on the chain."""
    operator, domain = Officer(OPERATOR, key(OPERATOR)), chain.domain("Clearing")
    with database.begin() as connection:
        row = store.last_commitment(connection)
        assert row is not None
        last = commitments.of_row(row)
        for number in range(last.number + 1, last.number + 1 + IN_FLIGHT_COMMITS):
            last = acts.Commitment(number, last.rolling_hash(), bytes(32), bytes(32), 0)
            outbox.put(connection, acts.commit(last, [operator.approve(acts.commit_digest(domain, last))]))


# ------------------------------------------------------------------------------------------------- a crowd


class Crowd:
    """Members of one market, half of which owe the other half a yuan."""

    def __init__(self, chain: RpcChain, members: int = MEMBERS) -> None:
        self.chain = chain
        self.members = range(FIRST_MEMBER, FIRST_MEMBER + members)
        self.start_s = chain.head().timestamp_s

    def admit_and_fund(self) -> None:
        domain, wanted = self.chain.domain("Members"), []
        hundreds = [self.members[at : at + 100] for at in range(0, len(self.members), 100)]
        for index, some in enumerate(hundreds):
            admissions = [Admission(member, public(CUSTODIAN), 0) for member in some]
            digest = acts.admit_many_digest(domain, admissions, index)
            wanted.append(acts.admit_many(admissions, index, self._by(OPERATOR, digest)))
        cash, now_s = self.chain.domain("Cash"), self.chain.head().timestamp_s + 1
        self.chain.advance_to(now_s)
        digest = attest_balance_digest(cash, now_s, 10**9 * YUAN)
        wanted.append(attest_balance(now_s, 10**9 * YUAN, self._by(CUSTODIAN, digest)))
        for some in hundreds:
            mints = [Mint(member, 10 * YUAN, member.to_bytes(32, "big"), True) for member in some]
            wanted.append(acts.mint_many(mints, self._by(CUSTODIAN, acts.mint_many_digest(cash, mints))))
        self.send(wanted)

    def parts(self) -> list[list[Delta]]:
        deltas = {member: -YUAN if at % 2 else YUAN for at, member in enumerate(self.members)}
        return [[Delta(*delta) for delta in part.deltas] for part in netting.split(deltas)]

    def propose(self, parts: list[list[Delta]]) -> None:
        shown = [acts.part(1, at, part) for at, part in enumerate(parts)]
        end_s = self.start_s + 86_400
        proposal = acts.Proposal(1, self.start_s, end_s, b"\1" * 32, b"\2" * 32, b"\3" * 32, shown)
        digest = acts.propose_digest(self.chain.domain("Clearing"), proposal)
        self.chain.advance_to(end_s)
        self.send([acts.propose(proposal, self._by(OPERATOR, digest), self._by(CHECKER, digest))])
        self.chain.advance_to(end_s + DISPUTE_WINDOW_S)

    def apply(self, parts: list[list[Delta]]) -> int:
        """Apply all parts; the gas that it took."""
        return self.send([acts.apply_part(1, at, part) for at, part in enumerate(parts)])

    def send(self, wanted: list[Call]) -> int:
        gas = 0
        for at in range(0, len(wanted), 25):
            for receipt in self.chain.send(self.chain.sign(wanted[at : at + 25])):
                assert receipt.succeeded, receipt
                gas += receipt.gas
        return gas

    def _by(self, member: int, digest: bytes) -> list[acts.Approval]:
        return [acts.Approval(member, sign(member, digest))]
