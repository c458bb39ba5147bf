"""A made-up year and a half of a few members, row by row: random, seeded, with everything in it that a feature asks."""

import random
from typing import Any

from sqlalchemy import Connection, Table, insert

from data import tables
from settlement.calendar import day_of

TIME_ZONE = "Asia/Shanghai"
BEGIN_S = 1_782_835_200
DAYS = 520
NOBODY = 5
"""Placed the order and issued the receivables of everybody."""

MEMBERS = range(100, 110)
AS_OF_S = BEGIN_S + DAYS * 86_400


def add(connection: Connection, table: Table, **values: Any) -> None:
    """A row, with something of the right type for every column that must not be null."""
    empty: dict[type, Any] = {int: 0, bool: False, str: "", bytes: bytes(32)}
    filler = {column.name: empty[column.type.python_type] for column in table.c if not column.nullable}
    connection.execute(insert(table), filler | values)


def add_member(connection: Connection, member: int, kind: str = "household", status: str = "admitted") -> None:
    add(connection, tables.members, member_id=member, name=f"m{member}", kind=kind, roles="[]", status=status)


class History:
    """Writes what happened; numbers are given in the order of writing."""

    def __init__(self, connection: Connection, *, is_begun: bool = False) -> None:
        """``is_begun``: the database is a market's, which has its institutions."""
        self.connection = connection
        self._trade = self._line = self._receivable = self._change = self._block = 0
        if not is_begun:
            add_member(connection, NOBODY, "institution")
        add(connection, tables.signatures, signature_id=0, member_id=NOBODY)
        add(connection, tables.nodes, node_id=0, name="S")
        add(connection, tables.orders, order_id=0, member_id=NOBODY)

    def cycle(self, number: int, end_s: int, state: str = "applied") -> None:
        day = str(number)
        add(self.connection, tables.cycles, cycle=number, day=day, start_s=0, end_s=end_s, state=state, parts="[]")

    def trade(self, slot_s: int, buyer: int, seller: int, *, lots: int, ticks: int, delivered: int, cycle: int) -> None:
        self._trade += 1
        sides = {"buyer": buyer, "seller": seller, "quantity_lots": lots, "seller_price_ticks": ticks}
        add(self.connection, tables.trades, trade_id=self._trade, slot_s=slot_s, **sides)
        row = {"trade_id": self._trade, "cycle": cycle, "delivered_lots": delivered}
        add(self.connection, tables.deliveries, **row)

    def line(self, member: int, kind: str, slot_s: int, lots: int, amount_micro: int, **more: Any) -> None:
        self._line += 1
        row = {"line": self._line, "member_id": member, "kind": kind, "slot_s": slot_s, "energy_lots": lots, **more}
        add(self.connection, tables.statement_lines, amount_micro=amount_micro, **row)

    def debt(
        self,
        debtor: int,
        face_fen: int,
        due_s: int,
        *,
        settled_s: int | None = None,
        state: str = "due",
        creditor: int = NOBODY,
    ) -> None:
        self._receivable += 1
        name = self._receivable.to_bytes(32, "big")
        due_day = day_of(due_s, TIME_ZONE).isoformat()
        row = {
            "number": self._receivable,
            "creditor": creditor,
            "holder": creditor,
            "debtor": debtor,
            "face_fen": face_fen,
            "due_day": due_day,
        }
        add(self.connection, tables.receivables, receivable_id=name, state=state, issue_day=due_day, **row)
        if settled_s is not None:
            self._change += 1
            change = {"change": self._change, "receivable_id": name, "after": "settled", "at_s": settled_s}
            add(self.connection, tables.receivable_history, **change)

    def ladder(self, member: int, event: str, at_s: int) -> None:
        self._block += 1
        said = f'{{"account": "{member}"}}'
        row = {"block": self._block, "contract": "Clearing", "event": event, "block_s": at_s, "arguments": said}
        add(self.connection, tables.chain_events, **row)


def random_history(connection: Connection, seed: int) -> None:
    """Ten members; the last three never trade, one of them is a bank and one is not admitted."""
    chance, history = random.Random(seed), History(connection)
    kinds = {108: ("bank", "admitted"), 109: ("household", "pending")}
    for member in MEMBERS:
        add_member(connection, member, *kinds.get(member, ("household", "admitted")))
    for number in range(1, DAYS + 1):
        history.cycle(number, BEGIN_S + number * 86_400, "applied" if number < DAYS - 1 else "proposed")
    for _ in range(250):
        day = chance.randrange(DAYS)
        buyer, seller = chance.sample(MEMBERS[:7], 2)
        lots = chance.randrange(1, 5_000)
        where = {"lots": lots, "ticks": chance.randrange(1, 9_999), "delivered": chance.randrange(lots + 1)}
        history.trade(BEGIN_S + day * 86_400 + 900 * chance.randrange(96), buyer, seller, cycle=day + 1, **where)
        kind = chance.choice(("shortfall", "surplus", "over_consumed", "under_consumed", "energy"))
        sign = chance.choice((-1, 1))
        adjusts = chance.choice((None, 0)) if (sign < 0) != (kind in ("shortfall", "over_consumed")) else None
        slot_s = BEGIN_S + day * 86_400
        history.line(buyer, kind, slot_s, lots // 3, sign * lots, cycle=day + 1, adjusts=adjusts)
    for _ in range(80):
        due_s = BEGIN_S + chance.randrange(DAYS) * 86_400
        paid_s = due_s + chance.randrange(-5 * 86_400, 20 * 86_400)
        state = chance.choice(("due", "settled", "settled", "overdue", "void", "rejected", "drafted"))
        settled_s = paid_s if chance.random() < 0.8 else None
        history.debt(chance.choice(MEMBERS[:7]), chance.randrange(1, 10**7), due_s, settled_s=settled_s, state=state)
    for at_s in sorted(chance.randrange(BEGIN_S, AS_OF_S + 86_400) for _ in range(12)):
        event = chance.choice(("MarginCalled", "Suspended", "CaseOpened", "Cured"))
        history.ladder(chance.choice(MEMBERS[:7]), event, at_s)
