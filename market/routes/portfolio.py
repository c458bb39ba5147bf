"""GET /v1/portfolio: what a bank is exposed to, as JSON or as a table of all breakdowns."""

from typing import Annotated

import msgspec
import numpy as np
import pyarrow as pa
from aiohttp import web
from sqlalchemy import Connection

from data.columns import FEN, Naming
from data.export import Format, encode
from data.units import format_instant
from finance import holding_store
from finance.credit import store as credit_store
from finance.portfolio import DIMENSIONS, Portfolio, portfolio
from market import wire
from market.context import CONTEXT, Context
from market.files import send_file
from market.identity import require
from market.openapi.fields import Day, Fen, Instant, choice
from market.openapi.operation import JSON, operation
from market.receivable_views import fen_text, one_of
from settlement import calendar


class SliceShown(msgspec.Struct, frozen=True):
    """Part of the exposure, and on how many receivables; ``name`` is a member's number, a rating, a bucket, a state."""

    name: str
    amount: Fen
    receivables: int


class PortfolioShown(msgspec.Struct, frozen=True):
    """Each list of slices adds up to the exposure; what is written off, and what came of it since, is no part of it."""

    day: Day
    as_of: Instant
    exposure: Fen
    receivables: int
    written_off: Fen
    recovered: Fen
    by_debtor: list[SliceShown]
    by_seller: list[SliceShown]
    by_rating: list[SliceShown]
    by_maturity: list[SliceShown]
    by_age: list[SliceShown]
    by_recourse: list[SliceShown]
    by_state: list[SliceShown]


_AS_FILE = (Format.CSV, Format.PARQUET, Format.ARROW)

_SCHEMA = pa.schema(
    [
        pa.field("dimension", pa.string(), nullable=False),
        pa.field("name", pa.string(), nullable=False),
        pa.field("amount_cny", FEN.type, nullable=False),
        pa.field("receivables", pa.int64(), nullable=False),
    ]
)


@operation(
    PortfolioShown,
    media=(JSON, *(each.content_type for each in _AS_FILE)),
    who=("bank",),
    scope="read",
    query={"format": Annotated[str, choice("json", *_AS_FILE)]},
    refuses=("400 bad_parameter",),
)
async def show(request: web.Request) -> web.StreamResponse:
    """The bank's exposure by debtor, seller, rating, maturity, age, recourse and state, now.

    As a file it is one table: dimension, name, amount, receivables; the dimensions `exposure`, `written_off` and
    `recovered` have one row each.
    """
    context, bank = request.app[CONTEXT], require(request, "bank", scope="read")
    parameters = wire.query(request, "format")
    chosen = one_of(parameters, "format", ("json", *_AS_FILE)) or "json"
    now_s = context.clock.now_s()
    found = await context.read(lambda connection: _portfolio(connection, context, bank.member_id, now_s))
    if chosen != "json":
        form = Format(chosen)
        pieces = encode([_table(found)], _SCHEMA, form)
        return await send_file(request, pieces, f"portfolio.{form}", form.content_type)
    return wire.reply(_shown(found, context, now_s))


def _portfolio(connection: Connection, context: Context, bank: int, now_s: int) -> Portfolio:
    groups = list(holding_store.groups(connection, bank))
    ratings = credit_store.ratings_of(connection, sorted({group.debtor for group in groups}))
    today = calendar.day_of(now_s, context.config.market.time_zone)
    return portfolio(groups, ratings, today, recovered_fen=holding_store.recovered_fen(connection, bank))


def _shown(found: Portfolio, context: Context, now_s: int) -> PortfolioShown:
    by = {
        f"by_{dimension}": [SliceShown(each.name, fen_text(each.amount_fen), each.number) for each in slices]
        for dimension, slices in found.by.items()
    }
    return PortfolioShown(
        day=calendar.day_of(now_s, context.config.market.time_zone).isoformat(),
        as_of=format_instant(now_s),
        exposure=fen_text(found.exposure_fen),
        receivables=found.number,
        written_off=fen_text(found.written_off_fen),
        recovered=fen_text(found.recovered_fen),
        **by,
    )


def _table(found: Portfolio) -> pa.RecordBatch:
    rows = [
        ("exposure", "", found.exposure_fen, found.number),
        ("written_off", "", found.written_off_fen, 0),
        ("recovered", "", found.recovered_fen, 0),
    ]
    rows += [(dimension, *each) for dimension in DIMENSIONS for each in found.by[dimension]]
    dimensions, names, amounts, numbers = zip(*rows, strict=True)
    fen = FEN.build(np.array(amounts, np.int64), Naming({}, {}))
    return pa.record_batch([pa.array(dimensions), pa.array(names), fen, pa.array(numbers)], schema=_SCHEMA)


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/portfolio", show, allow_head=False)]
