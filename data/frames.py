"""Read access for analysts, one function per question, pandas out.

    from data import frames
    trades = frames.trades("demo", day="2026-07-01")
    trades.groupby("level")["quantity_kwh"].sum()

Every function takes the market (its folder, a database URL, or what ``connect`` gave) and the same filters, and answers
with the same columns and types each time, empty or not:

==============  ==========================================================================================
ends in         type
==============  ==========================================================================================
``_lots``       int64, steps of 0.01 kWh; ``_kwh`` beside it is float64, for statistics
``_cny``        exact decimal128 (six places; faces and payments of receivables two)
``_per_kwh``    exact decimal128 with four places, CNY per kWh
``slot``        datetime64[us, UTC], the start of the delivery slot; so are ``traded``, ``received``, ``changed``
``_day``        date32, a day in the market's time zone
ids, ``_days``  int64; Int64 where there may be none
the rest        str or bool
==============  ==========================================================================================

Members and meters appear under pseudonyms that stay the same for one market; with ``names=True`` a member is its id
and name (``"103 Li's roof"``), a meter its name. The filters, all by keyword and all at once if wanted, are in
``Filter``; an unknown one is a TypeError, an impossible one a FilterError.
"""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, TypedDict, Unpack
from zoneinfo import ZoneInfo

import pandas as pd
import pyarrow as pa
from sqlalchemy import Engine

from data import store
from data.columns import Naming
from data.database import open_database, sqlite_url
from data.store import Filters, Question
from data.units import UnitError, parse_instant_s

USUAL_TIME_ZONE = "Asia/Shanghai"


class FilterError(ValueError):
    """A filter that no row can be asked for with: a day that is none, an unknown member or meter."""


@dataclass(frozen=True, slots=True)
class Market:
    """An open market; ``time_zone`` says where its days begin."""

    database: Engine
    time_zone: str


Place = Market | str | Path
Moment = datetime | str


def connect(place: Place, time_zone: str | None = None) -> Market:
    """Open a market for reading: the folder of ``jinsha serve``, or a database URL.

    A folder knows its time zone; a URL takes ``time_zone`` (by default Asia/Shanghai). Raises FileNotFoundError when
    the folder holds no market.
    """
    if isinstance(place, Market):
        return place
    if isinstance(place, str) and "://" in place:
        return Market(open_database(place), time_zone or USUAL_TIME_ZONE)
    folder = Path(place)
    file, config = folder / "market.db", folder / "market.toml"
    if not file.exists():
        raise FileNotFoundError(f"{folder} holds no market.db; name the folder that 'jinsha serve' was given")
    if time_zone is None and config.exists():
        time_zone = str(tomllib.loads(config.read_text("utf-8"))["market"]["time_zone"])
    return Market(open_database(sqlite_url(file)), time_zone or USUAL_TIME_ZONE)


class SlotFilter(TypedDict, total=False):
    """``day``: a local day, ``"2026-07-01"`` or a date, of delivery (of issue, for receivables).

    ``start`` and ``end``: ``start <= slot < end``, as ``"2026-07-01T10:15:00Z"`` or a datetime with a time zone.
    ``member``: an id, or what a frame shows; on either side of a trade. ``meter``: what a frame shows.
    """

    day: date | str | None
    start: Moment | None
    end: Moment | None
    member: int | str | None
    meter: str | None


class Filter(SlotFilter, total=False):
    """``names``: show names instead of pseudonyms."""

    names: bool


def trades(market: Place, **filters: Unpack[Filter]) -> pd.DataFrame:
    """One row per trade, in the order they happened.

    Columns: trade_id, slot, traded, buyer, seller, buy_meter, sell_meter, buy_order, sell_order, quantity_lots,
    quantity_kwh, seller_price_cny_per_kwh, buyer_price_cny_per_kwh (the difference is the wheeling fee),
    seller_amount_cny, buyer_amount_cny, taker, level, terms_days.
    """
    return _frame(market, store.TRADES, **filters)


def orders(market: Place, **filters: Unpack[Filter]) -> pd.DataFrame:
    """One row per accepted order, in the order of acceptance.

    Columns: order_id, sequence, received, slot, member, meter, side, quantity_lots, quantity_kwh, remaining_lots,
    price_cny_per_kwh (the limit at the owner's own meter), tif, reach, terms_days, in_basket, state (open, filled, or
    how it ended).
    """
    return _frame(market, store.ORDERS, **filters)


def deliveries(market: Place, **filters: Unpack[Filter]) -> pd.DataFrame:
    """One row per settled trade: how much of it its seller's meter delivered.

    Columns: trade_id, cycle, slot, buyer, seller, buy_meter, sell_meter, quantity_lots, quantity_kwh, delivered_lots,
    delivered_kwh, delivered_amount_cny (at the seller's price), terms_days, financeable (from actual, signed readings).
    """
    return _frame(market, store.DELIVERIES, **filters)


def receivables(market: Place, **filters: Unpack[Filter]) -> pd.DataFrame:
    """One row per receivable, by number. ``day``, ``start`` and ``end`` are about its day of issue.

    ``member`` is creditor, debtor or holder; there is no meter to filter by. Columns: receivable (64 hex digits),
    number, period, creditor, debtor, face_cny, terms_days, issue_day, due_day, state, holder, advance_cny, paid_cny,
    changed.
    """
    return _frame(market, store.RECEIVABLES, **filters)


def statements(market: Place, **filters: Unpack[Filter]) -> pd.DataFrame:
    """One row per statement line, by cycle and line; ``member`` is whose line it is.

    Columns: cycle, line, slot, member, meter, kind, counterparty, trade_id, energy_lots, energy_kwh,
    price_cny_per_kwh, amount_cny (+ received, - paid), how (cycle: moved then; terms: owed until due; bill: a
    residual), adjusts (the cycle of which late readings put a slot right, 0: its day had none). Over all members the
    amounts of a slot add up to exactly zero.
    """
    return _frame(market, store.STATEMENTS, **filters)


def readings(market: Place, **filters: Unpack[Filter]) -> pd.DataFrame:
    """One row per meter and slot: the latest version of its reading, by slot and meter.

    Columns: meter, slot, export_lots, import_lots, export_kwh, import_kwh, version (above 1: corrected), received.
    """
    return _frame(market, store.READINGS, **filters)


def _frame(market: Place, question: Question, names: bool = False, **filters: Unpack[SlotFilter]) -> pd.DataFrame:
    opened = connect(market)
    naming = store.names_of(opened.database) if names else store.pseudonyms_of(opened.database)
    found = store.batches(opened.database, question, filters_of(opened, question, naming, **filters), naming)
    return to_pandas(pa.Table.from_batches(list(found), question.schema))


def to_pandas(table: pa.Table) -> pd.DataFrame:
    """A table of ``store.batches`` with the types that the functions above promise."""
    return pd.DataFrame({field.name: _series(table[field.name], field) for field in table.schema}, copy=False)


def _series(column: pa.ChunkedArray, field: pa.Field) -> "pd.Series[Any]":
    types_mapper: Callable[[pa.DataType], Any] | None = None
    if pa.types.is_decimal(field.type) or pa.types.is_date(field.type):
        types_mapper = pd.ArrowDtype
    elif pa.types.is_int64(field.type) and field.nullable:
        types_mapper = {field.type: pd.Int64Dtype()}.get
    series: pd.Series[Any] = column.to_pandas(types_mapper=types_mapper)
    return series


# ------------------------------------------------------------------------------------------------ filters


def filters_of(
    market: Market,
    question: Question,
    naming: Naming,
    *,
    day: date | str | None = None,
    start: Moment | None = None,
    end: Moment | None = None,
    member: int | str | None = None,
    meter: str | None = None,
) -> Filters:
    """Filters as people give them, as the store takes them. Raises FilterError."""
    zone = ZoneInfo(market.time_zone)
    start_s, end_s = _instant_s(start, "start"), _instant_s(end, "end")
    if day is not None:
        first = _day(day)
        day_start_s, day_end_s = (
            int(datetime(d.year, d.month, d.day, tzinfo=zone).timestamp()) for d in (first, first + timedelta(1))
        )
        start_s = day_start_s if start_s is None else max(start_s, day_start_s)
        end_s = day_end_s if end_s is None else min(end_s, day_end_s)
    if meter is not None and not question.meters:
        raise FilterError(f"{question.name} are of members, not of meters: leave out meter")
    return Filters(
        start_s,
        end_s,
        _local_day(start_s, zone),
        _local_day(end_s, zone),
        None if member is None else _number(naming.members, member, "member"),
        None if meter is None else _number(naming.meters, meter, "meter"),
    )


def _day(day: date | str) -> date:
    if isinstance(day, datetime):
        raise FilterError(f"{day} is a moment: a day is a date, or a text such as 2026-07-01")
    try:
        return date.fromisoformat(day) if isinstance(day, str) else day
    except ValueError as error:
        raise FilterError(f"{day!r} is not a day such as 2026-07-01") from error


def _instant_s(moment: Moment | None, name: str) -> int | None:
    """Seconds since the epoch, rounded up: a slot starts at or after the moment just when it does at or after this."""
    if moment is None:
        return None
    if isinstance(moment, str):
        try:
            return parse_instant_s(moment)
        except UnitError as error:
            raise FilterError(f"{name}: {error}") from error
    if moment.tzinfo is None:
        raise FilterError(f"{name}: {moment} has no time zone")
    return -((datetime(1970, 1, 1, tzinfo=UTC) - moment) // timedelta(seconds=1))


def _local_day(instant_s: int | None, zone: ZoneInfo) -> str | None:
    return None if instant_s is None else datetime.fromtimestamp(instant_s, zone).date().isoformat()


def _number(names: Mapping[int, str], wanted: int | str, what: str) -> int:
    found = wanted if wanted in names else next((number for number, name in names.items() if name == wanted), None)
    if not isinstance(found, int):
        raise FilterError(f"there is no {what} {wanted!r} here")
    return found
