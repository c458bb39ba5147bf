"""Many receivables in a database, without trades, chain or periods: what lists and portfolios are tried on."""

import hashlib
import random
from collections.abc import Iterator
from datetime import date, timedelta

from sqlalchemy import Connection, insert

from data.bulk import insert_rows
from data.tables import members, receivable_parts, receivables

FIRST_DAY = date(2026, 7, 1)
START_S = 1_782_864_000  # 2026-07-01, UTC
STATES = ("issued", "acknowledged", "listed", "financed", "partly_paid", "settled", "rejected")
SOURCES = ("pv", "hydro", "wind", "mixed")
COLUMNS = (
    "receivable_id",
    "number",
    "period",
    "creditor",
    "debtor",
    "face_fen",
    "terms_days",
    "issue_day",
    "due_day",
    "trades_root",
    "salt",
    "state",
    "holder",
    "advance_fen",
    "proceeds_fen",
    "paid_fen",
    "costs_due_fen",
    "interest_due_fen",
    "accrued_day",
    "late_rate_ppm",
    "year_days",
    "with_recourse",
    "bought_back",
    "frozen",
    "claimed_count",
    "complete",
    "marked_s",
    "on_chain",
    "changed_s",
    "change",
    "source",
)


def add_people(connection: Connection, numbers: Iterator[int] | range) -> None:
    """Members with these numbers, in no role."""
    person = {"kind": "business", "roles": "[]", "status": "admitted", "registered_s": 0, "credit_limit_micro": 0}
    connection.execute(insert(members), [{"member_id": each, "name": f"m{each}", **person} for each in numbers])


def id_of(number: int) -> bytes:
    """A receivable's id, made up."""
    return hashlib.sha256(b"%d" % number).digest()


def row_of(number: int, change: int, **given: object) -> tuple[object, ...]:
    """A row of ``receivables`` in the order of COLUMNS: issued by 1 to 2 unless something else is given."""
    row: dict[str, object] = {
        "receivable_id": id_of(number),
        "number": number,
        "period": 1,
        "creditor": 1,
        "debtor": 2,
        "face_fen": 10_000,
        "terms_days": 60,
        "issue_day": FIRST_DAY.isoformat(),
        "due_day": (FIRST_DAY + timedelta(days=60)).isoformat(),
        "trades_root": bytes(32),
        "salt": bytes(32),
        "state": "issued",
        "advance_fen": 0,
        "proceeds_fen": 0,
        "paid_fen": 0,
        "costs_due_fen": 0,
        "interest_due_fen": 0,
        "accrued_day": (FIRST_DAY + timedelta(days=60)).isoformat(),
        "late_rate_ppm": 0,
        "year_days": 360,
        "with_recourse": False,
        "bought_back": False,
        "frozen": False,
        "claimed_count": 0,
        "complete": False,
        "marked_s": 0,
        "on_chain": False,
        "changed_s": START_S + change,
        "change": change,
        "source": "hydro",
    } | given
    row.setdefault("holder", row["creditor"])
    return tuple(row[name] for name in COLUMNS)


def add_rows(connection: Connection, rows: list[tuple[object, ...]]) -> None:
    insert_rows(connection, receivables, COLUMNS, rows)


def add_part(connection: Connection, number: int, owner: int, open_fen: int, change: int, **given: int) -> None:
    """A part of the holder's claim on a receivable, the first unless something else is given."""
    part = {"part": 1, "claim": 1, "owner": owner, "open_fen": open_fen, "pledgee": 0, "change": change}
    connection.execute(insert(receivable_parts), {"receivable_id": id_of(number), **part, **given})


def any_rows(count: int, *, parties: range, banks: range, seed: int = 1) -> list[tuple[object, ...]]:
    """Receivables in any state, between any parties, some held by banks; changes in an order of their own."""
    chance = random.Random(seed)
    changes = list(range(1, count + 1))
    chance.shuffle(changes)
    rows = []
    for number, change in enumerate(changes, 1):
        creditor, debtor = chance.sample(parties, 2)
        state = chance.choice((*STATES, "drafted"))
        sold = state in ("financed", "settled")
        rows.append(
            row_of(
                number,
                0 if state == "drafted" else change,
                creditor=creditor,
                debtor=debtor,
                state=state,
                holder=chance.choice(banks) if sold else creditor,
                face_fen=chance.randrange(1, 1_000_000),
                due_day=(FIRST_DAY + timedelta(days=chance.randrange(180))).isoformat(),
                source=chance.choice(SOURCES),
            )
        )
    return rows
