"""A day of a large market drafted, computed again, put on its way to the chain: time, memory, and how long it locks.

    python bench/settlement_cycle.py --meters 2000 --trades 20000

Every meter is read in every quarter hour; trades lie between random meters. What the database holds is written here row
by row, as the sequencer and the meter operator would have left it, but for signatures: nobody verifies them here.
"""

import argparse
import json
import os
import random
import resource
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, Table, event, func, select

from data import bulk, tables
from data.database import open_database, reading, sqlite_url
from data.schema import bring_forward
from matching.order import Connect, Level
from settlement import calendar, cycle, cycle_store, drafting, publish_cycle_store, signatures
from settlement.examine_cycle import CycleExaminer, Parties
from settlement.intents import Domain
from settlement.jwk import to_jwk
from settlement.keys import KeyHistory
from settlement.officer import Officer
from settlement.published import PublishedKey
from settlement.rules import SettlementRules

DAY = date(2026, 7, 1)
DOMAIN = Domain(7, b"\1" * 20, b"\2" * 32)
OPERATOR, CHECKER, METER_OPERATOR, GRID = 1, 2, 3, 5
FIRST_MEMBER = 100
RULES = SettlementRules(
    time_zone="Asia/Shanghai",
    slot_minutes=15,
    retail_ticks=5_224,
    feed_in_ticks=4_012,
    shortfall_ticks=8_000,
    grid_company=GRID,
    reading_deadline_s=3_600,
    correction_window_s=3_600,
)
KEYS = {member: signatures.new_private_key() for member in (OPERATOR, CHECKER)}


class Drafted(NamedTuple):
    """Seconds; ``locked_s`` is the longest that one transaction kept others from writing, ``_cpu_s`` ours."""

    lines: int
    accounts: int
    draft_s: float
    draft_cpu_s: float
    locked_s: float
    apply_s: float
    check_s: float | None
    peak_mib: int
    """Of the whole process, filling the database included."""


def measure(folder: Path, *, meters: int, trades: int, with_check: bool = True) -> Drafted:
    """Fill a market, draft its day, sign it, put its parts into the outbox; and compute it again as a checker would."""
    database = fill(folder, meters=meters, trades=trades)
    with _longest_write(database) as locked:
        start_s = process_time()
        draft_s = timed(lambda: draft(database))
        draft_cpu_s = process_time() - start_s
    apply_s = timed(lambda: apply(database))
    check_s = timed(lambda: check(database)) if with_check else None
    with reading(database) as connection:
        lines = connection.scalar(select(func.count()).select_from(tables.statement_lines)) or 0
        row = cycle_store.cycle(connection, 1)
        assert row is not None
        accounts = sum(len(part) for part in json.loads(row.parts))
    database.dispose()
    return Drafted(lines, accounts, draft_s, draft_cpu_s, max(locked, default=0.0), apply_s, check_s, _peak_mib())


def draft(database: Engine) -> None:
    """The operator's part: everything up to a draft that waits for the checker."""
    officer = Officer(OPERATOR, KEYS[OPERATOR])
    number = drafting.draft_due(database, RULES.cut_s(DAY), rules=RULES, domain=DOMAIN, operator=officer)
    assert number == 1


def apply(database: Engine) -> None:
    """All parts of the cycle into the outbox, as when its dispute window is over."""
    with database.begin() as connection:
        cycle_store.set_cycle(connection, 1, state="proposed", disputable_until_s=0)
        assert cycle.apply_due(connection, 1) == [1]


def check(database: Engine) -> None:
    """Everything computed again from what is published, slot by slot."""
    keys = KeyHistory(PublishedKey(m, 0, None, to_jwk(signatures.public_key(key))) for m, key in KEYS.items())
    parties = Parties(OPERATOR, CHECKER, frozenset({METER_OPERATOR}), keys)
    with reading(database) as connection:
        slots = connection.scalars(select(tables.trades.c.slot_s).order_by(tables.trades.c.trade_id))
        places = connection.execute(select(tables.meters)).all()
        replay: Any = SimpleNamespace(
            trades=[SimpleNamespace(traded=SimpleNamespace(slot=slot)) for slot in slots],
            nodes={each.node_id: Connect(each.node_id, -1, Level.METER, 10_000, 10_000) for each in places},
            connected_s=dict.fromkeys((each.node_id for each in places), 0),
        )
        published = publish_cycle_store.published_cycle(connection, 1, RULES)
        assert published is not None
        examiner = CycleExaminer(RULES, DOMAIN, parties, replay)
        found = examiner.recompute(published, publish_cycle_store.StoredCycle(connection, 1))
    assert found is None, found


# ------------------------------------------------------------------------------------------------------ rows


def fill(folder: Path, *, meters: int, trades: int) -> Engine:
    """A market in a SQLite file: a member for each meter, and a day that is over."""
    chance = random.Random(20_260_701)
    database = open_database(sqlite_url(folder / "market.db"))
    bring_forward(database)
    slots = list(calendar.slots(DAY, RULES.time_zone, RULES.slot_minutes))
    people = range(FIRST_MEMBER, FIRST_MEMBER + meters)
    with database.begin() as connection:
        everyone = [GRID, OPERATOR, CHECKER, METER_OPERATOR, *people]
        add(connection, tables.members, [{"member_id": member, "name": f"m{member}"} for member in everyone])
        add(connection, tables.nodes, [{"node_id": member, "name": f"meter {member}"} for member in people])
        limits = {"export_lots": 10_000, "import_lots": 10_000}
        add(connection, tables.meters, [{"node_id": member, "member_id": member, **limits} for member in people])
        add(connection, tables.signatures, [{"signature_id": 1, "member_id": FIRST_MEMBER, "kind": "order"}])
        signed = {
            "signature_id": 1,
            "signer": METER_OPERATOR,
            "count": meters * len(slots),
            "received_s": slots[-1] + 900,
        }
        add(connection, tables.reading_signatures, [signed])
        add(connection, tables.outbox, [{"outbox_id": 1, "kind": "Clearing.commit", "state": "done"}])
        add(connection, tables.commitments, [{"commitment": 1, "first_trade": 1, "last_trade": trades, "outbox_id": 1}])
    for slot_s in slots:
        rows = [
            {
                "node_id": node,
                "slot_s": slot_s,
                "version": 1,
                "export_lots": chance.randrange(60) if node % 3 == 0 else 0,
                "import_lots": 0 if node % 3 == 0 else chance.randrange(60),
                "signature_id": 1,
                "leaf_index": place,
            }
            for place, node in enumerate(people)
        ]
        with database.begin() as connection:
            add(connection, tables.readings, rows)
    for first in range(1, trades + 1, 20_000):
        _trade(database, range(first, min(first + 20_000, trades + 1)), people, slots, chance)
    return database


def _trade(database: Engine, numbers: range, people: range, slots: list[int], chance: random.Random) -> None:
    orders, made = [], []
    for number in numbers:
        seller = chance.choice(people[::3])
        buyer, slot_s, lots, price = chance.choice(people[1::3]), chance.choice(slots), chance.randrange(1, 40), 4_500
        order = {"slot_s": slot_s, "quantity_lots": lots, "price_ticks": price, "signature_id": 1, "sequence": number}
        for order_id, member, side in ((2 * number - 1, buyer, 1), (2 * number, seller, 2)):
            own = {"order_id": order_id, "client_order_id": str(order_id), "member_id": member, "node_id": member}
            orders.append({**order, **own, "side": side, "digest": order_id.to_bytes(32, "big")})
        sides = {"buyer": buyer, "seller": seller, "buy_node": buyer, "sell_node": seller}
        fee = {"seller_price_ticks": price - 200, "buyer_price_ticks": price, "salts": number.to_bytes(96, "big")}
        traded = {"trade_id": number, "sequence": number, "buy_order": 2 * number - 1, "sell_order": 2 * number}
        terms = {"terms_days": 30 if number % 10 == 0 else 0, "slot_s": slot_s, "quantity_lots": lots}
        made.append({**traded, **sides, **fee, **terms})
    with database.begin() as connection:
        add(connection, tables.orders, orders)
        add(connection, tables.trades, made)


def add(connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
    """Insert rows, with something of the right type wherever nothing is given and nothing may be missing."""
    empty: dict[type, Any] = {int: 0, bool: False, str: "", bytes: b""}
    names = [column.name for column in table.c if not column.nullable or column.name in rows[0]]
    missing = {name: empty[table.c[name].type.python_type] for name in names}
    bulk.insert_rows(connection, table, tuple(names), [tuple({**missing, **row}[n] for n in names) for row in rows])


# --------------------------------------------------------------------------------------------------- measuring


def timed(what: Any) -> float:
    start_s = perf_counter()
    what()
    return perf_counter() - start_s


@contextmanager
def _longest_write(database: Engine) -> Iterator[list[float]]:
    """How long each writing transaction lasted; to be read once the block is left."""
    began: dict[int, float] = {}
    lasted: list[float] = []

    def begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("jinsha_reading", False):
            began[id(connection)] = perf_counter()

    def commit(connection: Connection) -> None:
        if id(connection) in began:
            lasted.append(perf_counter() - began.pop(id(connection)))

    event.listen(database, "begin", begin)
    event.listen(database, "commit", commit)
    yield lasted
    event.remove(database, "begin", begin)
    event.remove(database, "commit", commit)


def _peak_mib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--meters", type=int, default=2_000)
    parser.add_argument("--trades", type=int, default=20_000)
    parser.add_argument("--no-check", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="jinsha-cycle-", dir=os.environ.get("TMPDIR")) as folder:
        found = measure(Path(folder), meters=options.meters, trades=options.trades, with_check=not options.no_check)
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
