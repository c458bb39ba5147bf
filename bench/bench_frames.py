"""How long trades take to become a DataFrame: ``frames.trades`` beside ``pandas.read_sql`` and an Arrow export.

    python bench/bench_frames.py [--trades 500000]

The peers get the whole numbers only; ``frames`` also makes decimals, times, codes and pseudonyms of them.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine, insert, select

from data import frames, store, tables
from data.database import open_database
from data.export import Format, encode
from data.schema import bring_forward

MEMBERS, FIRST_SLOT_S, CHUNK = 300, 1_782_835_200, 20_000


def fill(database: Engine, trades: int) -> None:
    """Members, one meter each, one order, and so many random trades (fixed seed)."""
    bring_forward(database)
    random = np.random.default_rng(7)
    word = bytes(32)
    with database.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        people = range(1, MEMBERS + 1)
        connection.execute(
            insert(tables.members),
            [
                {
                    "member_id": i,
                    "name": f"member {i}",
                    "kind": "household",
                    "roles": "[]",
                    "status": "admitted",
                    "registered_s": 0,
                }
                for i in people
            ],
        )
        connection.execute(insert(tables.nodes), [{"node_id": i, "name": f"meter {i}", "level": 0} for i in people])
        connection.execute(
            insert(tables.meters),
            [{"node_id": i, "member_id": i, "kind": "pv", "export_lots": 1, "import_lots": 1} for i in people],
        )
        connection.execute(
            insert(tables.signatures).values(
                signature_id=1,
                member_id=1,
                kind="order",
                root=word,
                leaves=b"",
                count=1,
                basket=False,
                signature=word * 2,
            )
        )
        order = {column.name: 1 for column in tables.orders.c if not column.nullable}
        texts = {"client_order_id": "1", "replaces": "", "state": "filled", "digest": word}
        connection.execute(insert(tables.orders).values(order | texts))
        for first in range(1, trades + 1, CHUNK):
            count = min(CHUNK, trades + 1 - first)
            pairs = random.integers(1, MEMBERS + 1, (count, 2)).tolist()
            lots, ticks = random.integers(1, 1000, count).tolist(), random.integers(4000, 5000, count).tolist()
            connection.execute(
                insert(tables.trades),
                [
                    {
                        "trade_id": first + i,
                        "sequence": first + i,
                        "slot_s": FIRST_SLOT_S + (first + i) * 672 // (trades + 1) * 900,
                        "buy_order": 1,
                        "sell_order": 1,
                        "buyer": buyer,
                        "seller": seller,
                        "buy_node": buyer,
                        "sell_node": seller,
                        "quantity_lots": lots[i],
                        "seller_price_ticks": ticks[i],
                        "buyer_price_ticks": ticks[i] + 150,
                        "taker": 1,
                        "level": 1,
                        "terms_days": 0,
                        "traded_s": FIRST_SLOT_S,
                        "salts": word * 3,
                    }
                    for i, (buyer, seller) in enumerate(pairs)
                ],
            )


def measure(name: str, trades: int, read: Callable[[], object]) -> None:
    started = time.perf_counter()
    read()
    took_s = time.perf_counter() - started
    print(f"{name:<42} {took_s:8.2f} s  {trades / took_s:12,.0f} trades/s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="trades to pandas")
    parser.add_argument("--trades", type=int, default=500_000)
    trades = parser.parse_args().trades
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{Path(folder) / 'market.db'}")
        fill(database, trades)
        market = frames.Market(database, "Asia/Shanghai")
        naming, question = store.pseudonyms_of(database), store.TRADES
        sources = list(
            {
                column.source.name: column.source for column in question.columns if hasattr(column.source, "table")
            }.values()
        )

        def export() -> pa.Table:
            found = store.batches(database, question, store.Filters(), naming)
            return pa.ipc.open_stream(b"".join(encode(found, question.schema, Format.ARROW))).read_all()

        def read_sql() -> pd.DataFrame:
            with database.connect() as connection:
                return pd.read_sql(select(*sources), connection)

        measure("frames.trades", trades, lambda: frames.trades(market))
        measure("the same as an Arrow stream", trades, export)
        measure("pandas.read_sql, whole numbers only", trades, read_sql)
        database.dispose()


if __name__ == "__main__":
    main()
