"""A small market, row by row: two households and a hydro plant trade three times; one debt becomes a receivable.

The rows are literals, so that what is read back can be compared with them.
"""

from typing import Any

from sqlalchemy import Engine, Table, insert

from data import tables
from data.database import open_database
from data.schema import bring_forward

TIME_ZONE = "Asia/Shanghai"
MIDNIGHT_S = 1_782_835_200
"""2026-07-01T00:00:00 in Shanghai."""

SLOT_1_S, SLOT_2_S, NEXT_DAY_S = MIDNIGHT_S, MIDNIGHT_S + 900, MIDNIGHT_S + 86_400
GRID_COMPANY, PLANT, LI, WANG, BANK = 5, 100, 101, 102, 103

MEMBERS = [
    (GRID_COMPANY, "Grid company", "institution"),
    (PLANT, "Upper weir", "plant"),
    (LI, "Li's roof, left", "household"),
    (WANG, "王芳", "household"),
    (BANK, "Min Bank", "bank"),
]
NODES = [(0, "S", None, 3), (1, "T1", 0, 1), (2, "weir", 1, 0), (3, "li", 1, 0), (4, "wang", 1, 0)]
METERS = [(2, PLANT, "hydro"), (3, LI, "household"), (4, WANG, "household")]

ORDER = (
    "order_id member_id node_id side slot_s quantity_lots price_ticks tif reach terms_days basket state remaining_lots"
)
ORDERS = [
    (1, PLANT, 2, 2, SLOT_1_S, 500, 3500, 1, 3, 60, None, "filled", 0),
    (2, LI, 3, 1, SLOT_1_S, 300, 4500, 1, 3, 0, None, "filled", 0),
    (3, WANG, 4, 1, SLOT_1_S, 250, 4600, 2, 1, 30, None, "unfilled_ioc", 50),
    (4, PLANT, 2, 2, NEXT_DAY_S, 120, 3600, 1, 3, 0, 4, "open", 20),
    (5, LI, 3, 1, NEXT_DAY_S, 100, 4000, 3, 2, 0, None, "filled", 0),
]
TRADE = (
    "trade_id slot_s buy_order sell_order buyer seller buy_node sell_node quantity_lots "
    "seller_price_ticks buyer_price_ticks taker level terms_days"
)
TRADES = [
    (1, SLOT_1_S, 2, 1, LI, PLANT, 3, 2, 300, 3500, 3700, 1, 1, 0),
    (2, SLOT_1_S, 3, 1, WANG, PLANT, 4, 2, 200, 3500, 3700, 1, 1, 30),
    (3, NEXT_DAY_S, 5, 4, LI, PLANT, 3, 2, 100, 3600, 3800, 2, 1, 0),
]
READING = "node_id slot_s version export_lots import_lots"
READINGS = [
    (2, SLOT_1_S, 1, 400, 0),
    (2, SLOT_1_S, 2, 450, 0),
    (3, SLOT_1_S, 1, 0, 310),
    (4, SLOT_1_S, 1, 0, 180),
    (3, SLOT_2_S, 1, 5, 20),
]
LINE = "line slot_s member_id node_id kind counterparty trade_id energy_lots price_ticks amount_micro how"
LINES = [
    (1, SLOT_1_S, LI, 3, "energy", PLANT, 1, 300, 3500, -1_050_000, "cycle"),
    (2, SLOT_1_S, PLANT, 2, "energy", LI, 1, 300, 3500, 1_050_000, "cycle"),
    (3, SLOT_1_S, LI, 3, "wheeling", GRID_COMPANY, 1, 300, 200, -60_000, "cycle"),
    (4, SLOT_1_S, GRID_COMPANY, 3, "wheeling", LI, 1, 300, 200, 60_000, "cycle"),
    (5, SLOT_1_S, WANG, 4, "energy", PLANT, 2, 200, 3500, -700_000, "terms"),
    (6, SLOT_1_S, PLANT, 2, "energy", WANG, 2, 200, 3500, 700_000, "terms"),
    (7, SLOT_1_S, WANG, 4, "wheeling", GRID_COMPANY, 2, 200, 200, -40_000, "bill"),
    (8, SLOT_1_S, GRID_COMPANY, 4, "wheeling", WANG, 2, 200, 200, 40_000, "bill"),
    (9, SLOT_1_S, PLANT, 2, "shortfall", GRID_COMPANY, None, 50, 8000, -400_000, "cycle"),
    (10, SLOT_1_S, GRID_COMPANY, 2, "shortfall", PLANT, None, 50, 8000, 400_000, "cycle"),
]
DELIVERIES = [(1, 300, True), (2, 150, False)]
RECEIVABLE_ID = bytes(range(32))


def small_market(url: str) -> Engine:
    """Make the tables and the rows."""
    database = open_database(url)
    bring_forward(database)
    with database.begin() as connection:
        for name, rows in rows_by_table().items():
            connection.execute(insert(tables.metadata.tables[name]), rows)
    return database


def rows_by_table() -> dict[str, list[dict[str, Any]]]:
    """The rows, in an order in which they can be inserted."""
    return {
        table.name: [_filler(table) | dict(zip(columns.split(), row, strict=True)) for row in rows]
        for table, columns, rows in _content()
    }


def _content() -> list[tuple[Table, str, list[tuple[Any, ...]]]]:
    receivable = (RECEIVABLE_ID, 1, PLANT, WANG, 52, 30, "2026-07-01", "2026-07-31", "financed", BANK, 41)
    return [
        (tables.members, "member_id name kind", [*MEMBERS]),
        (tables.nodes, "node_id name parent_id level", [*NODES]),
        (tables.meters, "node_id member_id kind", [*METERS]),
        (tables.signatures, "signature_id member_id kind", [(0, LI, "order")]),
        (tables.orders, f"{ORDER} client_order_id", [(*row, f"c{row[0]}") for row in ORDERS]),
        (tables.trades, TRADE, [*TRADES]),
        (tables.reading_signatures, "signature_id signer count", [(0, GRID_COMPANY, len(READINGS))]),
        (tables.readings, READING, [*READINGS]),
        (
            tables.cycles,
            "cycle day start_s end_s state parts",
            [(1, "2026-07-01", MIDNIGHT_S, NEXT_DAY_S, "applied", "[]")],
        ),
        (tables.deliveries, "trade_id delivered_lots financeable cycle", [(*row, 1) for row in DELIVERIES]),
        (tables.statement_lines, f"{LINE} cycle", [(*row, 1) for row in LINES]),
        (
            tables.receivables,
            "receivable_id number creditor debtor face_fen terms_days issue_day due_day state holder advance_fen",
            [receivable],
        ),
    ]


def _filler(table: Table) -> dict[str, Any]:
    """Something of the right type for every column that must not be null."""
    empty: dict[type, Any] = {int: 0, bool: False, str: "", bytes: bytes(32)}
    return {column.name: empty[column.type.python_type] for column in table.c if not column.nullable}
