"""A member's month as people read it: what was received and paid, of what, on which day, at which meter.

A month holds the cycles of its local days. What a late reading put right stands in the month in which that was settled,
marked with the slot and the cycle it belongs to; what was estimated is marked too. Amounts are exact: all of them are
whole micro-yuan, and nothing is rounded to be shown. Pure: no clock, no SQL.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from market.problems import refuse
from market.statement_store import Span, StatementLine
from settlement.delivery import How, Kind

_ONE_WAY = frozenset({Kind.SHORTFALL, Kind.SURPLUS, Kind.OVER_CONSUMED, Kind.UNDER_CONSUMED})

K = TypeVar("K", bound=Any)


class Month(NamedTuple):
    """A calendar month in the market's time zone."""

    year: int
    number: int

    @property
    def first_day(self) -> date:
        return date(self.year, self.number, 1)

    @property
    def end_day(self) -> date:
        return (self.first_day + timedelta(days=31)).replace(day=1)

    @property
    def span(self) -> Span:
        return Span(self.first_day.isoformat(), self.end_day.isoformat())

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"


def month_of(text: str) -> Month:
    """A month such as 2026-07 in a query. Raises ProblemError."""
    found = re.fullmatch(r"([2-9][0-9]{3})-(0[1-9]|1[0-2])", text, re.ASCII)
    if found is None:
        raise refuse(422, "bad_time", "expected a month such as 2026-07", "month")
    return Month(int(found[1]), int(found[2]))


class Sum(NamedTuple):
    """Received and paid, both positive, micro-yuan."""

    received_micro: int
    paid_micro: int

    @property
    def balance_micro(self) -> int:
        return self.received_micro - self.paid_micro


class KindSum(NamedTuple):
    kind: str
    how: str
    energy_lots: int
    sum: Sum


class DaySum(NamedTuple):
    """One local day: what was collected here, what is owed on terms, what is on the grid company's bill."""

    day: date
    here: Sum
    terms: Sum
    bill: Sum


class Row(NamedTuple):
    """The lines of a meter and day that differ in nothing but slot and counterparty. ``slots`` counts them."""

    day: date
    kind: str
    how: str
    price_ticks: int
    is_received: bool
    is_estimated: bool
    adjusts: int | None
    adjusted_slot: datetime | None
    slots: int
    energy_lots: int
    amount_micro: int


class MeterRows(NamedTuple):
    meter: str
    rows: list[Row]
    sum: Sum


class Statement(NamedTuple):
    """All of it; ``here``, ``terms`` and ``bill`` are the sums of the whole month."""

    month: Month
    here: Sum
    terms: Sum
    bill: Sum
    kinds: list[KindSum]
    days: list[DaySum]
    meters: list[MeterRows]
    lines: int
    adjustments: int
    estimates: int


def statement_of(month: Month, lines: Sequence[StatementLine], zone: ZoneInfo) -> Statement:
    """The statement of a member's lines in a month."""
    by_day = _grouped(lines, lambda line: line.day)
    by_kind = _grouped(lines, lambda line: (list(How).index(How(line.how)), line.kind))
    by_meter = _grouped(lines, lambda line: line.meter)
    return Statement(
        month=month,
        here=_of(lines, How.CYCLE),
        terms=_of(lines, How.TERMS),
        bill=_of(lines, How.BILL),
        kinds=[KindSum(kind, list(How)[how], _energy_lots(kind, some), _sum(some)) for (how, kind), some in by_kind],
        days=[
            DaySum(date.fromisoformat(day), *(_of(some, how) for how in (How.CYCLE, How.TERMS, How.BILL)))
            for day, some in by_day
        ],
        meters=[MeterRows(meter, _rows(some, zone), _sum(some)) for meter, some in by_meter],
        lines=len(lines),
        adjustments=sum(line.adjusts is not None for line in lines),
        estimates=len({(line.slot_s, line.meter) for line in lines if line.is_estimated}),
    )


def local(slot_s: int, zone: ZoneInfo) -> datetime:
    """A slot's start where the market is."""
    return datetime.fromtimestamp(slot_s, UTC).astimezone(zone)


def _rows(lines: Iterable[StatementLine], zone: ZoneInfo) -> list[Row]:
    def key(line: StatementLine) -> tuple[object, ...]:
        adjusted_s = line.slot_s if line.adjusts is not None else -1
        marks = (line.is_estimated, -1 if line.adjusts is None else line.adjusts, adjusted_s)
        return (line.day, line.how, line.kind, line.price_ticks, line.amount_micro > 0, *marks)

    return [
        Row(
            day=date.fromisoformat(some[0].day),
            kind=some[0].kind,
            how=some[0].how,
            price_ticks=some[0].price_ticks,
            is_received=some[0].amount_micro > 0,
            is_estimated=some[0].is_estimated,
            adjusts=some[0].adjusts,
            adjusted_slot=None if some[0].adjusts is None else local(some[0].slot_s, zone),
            slots=len({line.slot_s for line in some}),
            energy_lots=sum(line.energy_lots for line in some),
            amount_micro=sum(line.amount_micro for line in some),
        )
        for _, some in _grouped(lines, key)
    ]


def _energy_lots(kind: str, lines: Sequence[StatementLine]) -> int:
    """Of deviations, which go one way for a member, what is left when adjustments went the other; else all of it."""
    if kind not in _ONE_WAY:
        return sum(line.energy_lots for line in lines)
    return abs(sum(line.energy_lots if line.amount_micro > 0 else -line.energy_lots for line in lines))


def _grouped(lines: Iterable[StatementLine], key: Callable[[StatementLine], K]) -> list[tuple[K, list[StatementLine]]]:
    """The lines by a key, in the order of the keys."""
    found: defaultdict[K, list[StatementLine]] = defaultdict(list)
    for line in lines:
        found[key(line)].append(line)
    return sorted(found.items(), key=lambda item: item[0])


def _of(lines: Iterable[StatementLine], how: How) -> Sum:
    return _sum(line for line in lines if line.how == how)


def _sum(lines: Iterable[StatementLine]) -> Sum:
    received_micro = paid_micro = 0
    for line in lines:
        received_micro += max(line.amount_micro, 0)
        paid_micro += max(-line.amount_micro, 0)
    return Sum(received_micro, paid_micro)
