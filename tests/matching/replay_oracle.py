"""What ``jinsha replay`` must write, found the slow and obvious way: csv.reader, objects, the reference matcher."""

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count, groupby
from pathlib import Path

from data.units import (
    UnitError,
    format_energy,
    format_price,
    limit_lots_floor,
    parse_energy_lots,
    parse_price_ticks,
    parse_steps,
)
from matching.order import (
    BAD_PRICE_TICKS,
    BAD_QUANTITY_LOTS,
    Amend,
    Basket,
    Cancel,
    Capacity,
    Close,
    Command,
    Connect,
    Level,
    New,
    Rejected,
    Rules,
    Side,
    Tif,
    Traded,
)
from matching.reference import ReferenceEngine

SLOT_MINUTES = 15
Row = dict[str, str]


class Oracle:
    """One replay with the default rules; ``trades`` and ``rejects`` are the bytes of the files."""

    def __init__(self, grid: Path, commands: Path) -> None:
        self._orders: dict[str, int] = defaultdict(count(1).__next__)
        self._members: dict[str, int] = defaultdict(count(1).__next__)
        self._nodes: dict[str, int] = {}
        rows = list(_rows(commands))
        self._slots = {name: rank for rank, name in enumerate(sorted({row["slot"] for row in rows}))}
        engine = ReferenceEngine(Rules(fee_ticks=(200, 500, 1100)))
        engine.apply([*self._connects(grid)])
        events = engine.apply([*self._commands(rows)])
        orders = {number: name for name, number in self._orders.items()}
        slots = [*self._slots]
        trades = [
            (
                slots[event.slot],
                orders[event.buy_order],
                orders[event.sell_order],
                format_energy(event.quantity_lots),
                format_price(event.seller_price_ticks),
                format_price(event.buyer_price_ticks),
                event.taker.name.lower(),
                event.level.name.lower(),
            )
            for event in events
            if isinstance(event, Traded)
        ]
        rejects = [(orders[event.order_id], event.reason.code) for event in events if isinstance(event, Rejected)]
        header = ("slot", "buy_order", "sell_order", "quantity", "seller_price", "buyer_price", "taker", "level")
        self.trades = _table(header, trades)
        self.rejects = _table(("order_id", "reason"), rejects)

    def _connects(self, grid: Path) -> Iterator[Connect]:
        rows = list(_rows(grid))
        self._nodes = {row["node"]: number for number, row in enumerate(rows)}
        for row in sorted(rows, key=lambda row: -Level[row["level"].upper()]):
            parent = self._nodes.get(row["parent"], -1)
            limits = _limit(row["export_kw"]), _limit(row["import_kw"])
            yield Connect(self._nodes[row["node"]], parent, Level[row["level"].upper()], *limits)

    def _commands(self, rows: list[Row]) -> Iterator[Command]:
        numbered = enumerate(rows)
        for basket, group in groupby(numbered, lambda each: each[1]["action"] == "new" and each[1]["basket"]):
            legs = [row for _, row in group]
            if basket:
                yield Basket(tuple(map(self._new, legs)))
            else:
                yield from map(self._command, legs)

    def _command(self, row: Row) -> Command:
        order, slot = self._orders[row["order_id"]], self._slots[row["slot"]]
        match row["action"]:
            case "new":
                return self._new(row)
            case "cancel":
                return Cancel(order)
            case "amend":
                quantity = _or(parse_energy_lots, row["quantity"], BAD_QUANTITY_LOTS) if row["quantity"] else None
                price = _or(parse_price_ticks, row["price"], BAD_PRICE_TICKS) if row["price"] else None
                return Amend(order, quantity, price)
            case "close":
                return Close(slot)
        limits = _limit(row["export_kw"]), _limit(row["import_kw"])
        return Capacity(self._nodes[row["node"]], slot if row["slot"] else None, *limits)

    def _new(self, row: Row) -> New:
        return New(
            self._orders[row["order_id"]],
            self._members[row["member"]],
            self._nodes.get(row["meter"], -1),
            Side[row["side"].upper()],
            self._slots[row["slot"]],
            _or(parse_energy_lots, row["quantity"], BAD_QUANTITY_LOTS),
            _or(parse_price_ticks, row["price"], BAD_PRICE_TICKS),
            Tif[(row["tif"] or "gtc").upper()],
            Level[(row["reach"] or "substation").upper()],
            _or(lambda text: parse_steps(text, 0), row["terms"] or "0", -1),
        )


def _rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, strict=True)


def _limit(text: str) -> int | None:
    return limit_lots_floor(text, SLOT_MINUTES) if text else None


def _or(parse: Callable[[str], int], text: str, bad: int) -> int:
    try:
        return parse(text)
    except UnitError:
        return bad


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows([header, *rows])
    return out.getvalue().encode()
