"""A billing period of many receivables: drafted, published, examined by the checker, issued on the chain's word.

    python bench/finance_close.py --sellers 1000 --debtors 10

Every seller sold to every debtor on terms, one trade each, delivered and read. What the database holds is written here
row by row, as sequencer and settlement would have left it, but for signatures: nobody verifies those of orders here.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

from settlement_cycle import KEYS, RULES, add
from sqlalchemy import Engine, func, select

from data import tables
from data.database import open_database, reading, sqlite_url
from data.schema import bring_forward
from finance import mirror, paths, period_store, periods
from finance.examine import PeriodExaminer
from finance.period import Billing
from finance.published import PublishedPeriod, joined
from settlement import calendar, cycle_store, hexjson, store
from settlement.chain import ChainEvent
from settlement.examine_cycle import SettledTrade
from settlement.intents import Domain
from settlement.officer import Officer

DAY = date(2026, 7, 1)
DOMAIN = Domain(7, b"\1" * 20, b"\2" * 32)
OPERATOR, FIRST_SELLER = 1, 1_000
TERMS_DAYS, LOTS, PRICE_TICKS = 30, 40, 3_603
AT_ONCE = 50_000

Say = Callable[[str], None]
Row = tuple[str, str]


class Size(NamedTuple):
    sellers: int
    debtors: int

    @property
    def receivables(self) -> int:
        return self.sellers * self.debtors


def run(sellers: int = 10_000, debtors: int = 50, say: Say = lambda _: None) -> list[Row]:
    """Name and value of each figure, for ``bench_finance.py``."""
    return list(figures(Size(sellers, debtors), say))


def figures(size: Size, say: Say) -> Iterator[Row]:
    """Each figure as soon as it is there."""
    with tempfile.TemporaryDirectory(prefix="jinsha-close-", dir=os.environ.get("TMPDIR")) as folder:
        say(f"writing {size.receivables:,} delivered trades")
        database = fill(Path(folder), size)
        try:
            yield from _figures(database, size, say)
        finally:
            database.dispose()


def _figures(database: Engine, size: Size, say: Say) -> Iterator[Row]:
    now_s = calendar.bounds(DAY, RULES.time_zone)[1] + 60
    yield "receivables", f"{size.receivables:,} of {size.sellers:,} sellers x {size.debtors} debtors"
    say("closing the period")
    took_s = timed(lambda: close(database, now_s, size))
    yield "drafted, signed and written", f"{took_s:.1f} s, {size.receivables / took_s:,.0f} receivables/s"
    yield "memory by then, the bench's own included", f"{memory_mib():,} MiB at its most {peak_mib():,}"
    say("publishing and examining it")
    yield from _examined(database, size)
    say("issuing it")
    took_s = timed(lambda: issue(database, now_s, size))
    yield "the chain's word carried out", f"{took_s:.1f} s, {size.receivables / took_s:,.0f} receivables/s"
    say("proving single receivables")
    yield "a receivable's path under the period's root", f"{1000 * timed(lambda: prove(database, size)) / 5:.1f} ms"
    yield "memory at its most", f"{peak_mib():,} MiB"


def close(database: Engine, now_s: int, size: Size) -> None:
    officer = Officer(OPERATOR, KEYS[OPERATOR])
    billed = {"rules": RULES, "billing": Billing.DAY, "domain": DOMAIN, "operator": officer}
    assert periods.close_due(database, now_s, **billed) == 1
    with reading(database) as connection:
        assert connection.scalar(select(func.count()).select_from(tables.receivables)) == size.receivables


def _examined(database: Engine, size: Size) -> Iterator[Row]:
    began = perf_counter()
    slowest_s, pages, after = 0.0, list[bytes](), periods.FROM_THE_FIRST
    while after:
        asked = perf_counter()
        with reading(database) as connection:
            page = periods.published_period(connection, 1, after)
        assert page is not None
        pages.append(hexjson.dumps(page))
        slowest_s, after = max(slowest_s, perf_counter() - asked), page.next or ""
    took_s = perf_counter() - began
    size_mib = sum(map(len, pages)) / 2**20
    yield "published for the checker", f"{took_s:.1f} s, {size_mib:,.0f} MiB in {len(pages)} pages"
    yield "the slowest page", f"{slowest_s:.2f} s"
    settled = settled_trades(database)
    began = perf_counter()
    published = joined([hexjson.load(page, PublishedPeriod) for page in pages])
    found = PeriodExaminer().examine(published, settled, {1: DAY.isoformat()})
    took_s = perf_counter() - began
    assert found is None, found
    yield "examined by the checker", f"{took_s:.1f} s, {size.receivables / took_s:,.0f} receivables/s"


def settled_trades(database: Engine) -> list[SettledTrade]:
    """What the checker has in its memory from examining the cycle."""
    with reading(database) as connection:
        found = store.trades_of_slots(connection, *calendar.bounds(DAY, RULES.time_zone))
        delivered = cycle_store.deliveries_of(connection, [each.record.common.trade_id for each in found])
    return [SettledTrade(1, each.record, delivered[each.record.common.trade_id]) for each in found]


def issue(database: Engine, now_s: int, size: Size) -> None:
    with database.begin() as connection:
        row = period_store.period(connection, 1)
        assert row is not None
        arguments: dict[str, int | bytes | bool] = {"period": 1, "root": row.root, "count": size.receivables}
        event = ChainEvent(9, 0, now_s, bytes(32), "Receivables", "PeriodIssued", arguments)
        assert mirror.follow(connection, [event], now_s, RULES.time_zone) == size.receivables


def prove(database: Engine, size: Size) -> None:
    """The paths of five receivables, one after another."""
    with reading(database) as connection:
        numbers = [1 + place * (size.receivables - 1) // 4 for place in range(5)]
        wanted = select(tables.receivables).where(tables.receivables.c.number.in_(numbers))
        for row in connection.execute(wanted).all():
            assert paths.path_of(connection, row)


# ------------------------------------------------------------------------------------------------------ rows


def fill(folder: Path, size: Size) -> Engine:
    """A market in a SQLite file whose day is settled: each seller with one order, as each debtor, and their trades."""
    database = open_database(sqlite_url(folder / "market.db"))
    bring_forward(database)
    sellers = range(FIRST_SELLER, FIRST_SELLER + size.sellers)
    debtors = range(sellers.stop, sellers.stop + size.debtors)
    start_s, end_s = calendar.bounds(DAY, RULES.time_zone)
    people = [*sellers, *debtors]
    with database.begin() as connection:
        add(connection, tables.members, [{"member_id": member, "name": f"m{member}"} for member in [OPERATOR, *people]])
        add(connection, tables.nodes, [{"node_id": member, "name": f"meter {member}"} for member in people])
        add(connection, tables.signatures, [{"signature_id": 1, "member_id": OPERATOR, "kind": "order"}])
        add(connection, tables.orders, [_order(member, start_s) for member in people])
        cycle = {"cycle": 1, "day": DAY.isoformat(), "start_s": start_s, "end_s": end_s, "state": "applied"}
        add(connection, tables.cycles, [cycle | {"parts": "[]"}])
    pairs = [(seller, debtor) for seller in sellers for debtor in debtors]
    for first in range(0, len(pairs), AT_ONCE):
        some = list(enumerate(pairs[first : first + AT_ONCE], first + 1))
        with database.begin() as connection:
            add(connection, tables.trades, [_trade(number, *pair, start_s) for number, pair in some])
            delivered = {"cycle": 1, "delivered_lots": LOTS, "financeable": True}
            add(connection, tables.deliveries, [{"trade_id": number, **delivered} for number, _ in some])
    return database


def _order(member: int, slot_s: int) -> dict[str, object]:
    own = {"order_id": member, "client_order_id": str(member), "member_id": member, "node_id": member}
    return {**own, "slot_s": slot_s, "signature_id": 1, "digest": member.to_bytes(32, "big")}


def _trade(number: int, seller: int, debtor: int, slot_s: int) -> dict[str, object]:
    sides = {"buyer": debtor, "seller": seller, "buy_node": debtor, "sell_node": seller}
    orders = {"buy_order": debtor, "sell_order": seller, "sequence": number, "salts": number.to_bytes(96, "big")}
    prices = {"seller_price_ticks": PRICE_TICKS, "buyer_price_ticks": PRICE_TICKS, "quantity_lots": LOTS}
    return {"trade_id": number, "slot_s": slot_s, "terms_days": TERMS_DAYS, **sides, **orders, **prices}


# --------------------------------------------------------------------------------------------------- measuring


def timed(what: Callable[[], object]) -> float:
    began = perf_counter()
    what()
    return perf_counter() - began


def memory_mib() -> int:
    return _status_mib("VmRSS")


def peak_mib() -> int:
    return _status_mib("VmHWM")


def _status_mib(name: str) -> int:
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith(name))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sellers", type=int, default=10_000)
    parser.add_argument("--debtors", type=int, default=50)
    options = parser.parse_args()
    for name, value in figures(Size(options.sellers, options.debtors), lambda what: print(what, file=sys.stderr)):
        print(f"{name}: {value}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
