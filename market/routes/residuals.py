"""GET /v1/residuals: for the grid company, what it bills and credits on its ordinary bills, as one file.

One row for each residual line of a member: what its meter gave or took beyond its trades (``surplus``,
``over_consumed``, ``under_consumed``), and the ``wheeling`` fee of buyers on terms. ``amount_cny`` is + what the grid
company owes the member, - what the member owes; over the rows of a day it is the sum of that cycle's lines ``bill``.
"""

from collections.abc import Iterator
from typing import Annotated

from aiohttp import web

from data import store
from data.export import Format, encode
from data.store import Filters
from market import wire
from market.context import CONTEXT, Context
from market.files import send_file
from market.identity import require
from market.monthly import month_of
from market.openapi.fields import Day, Month, choice
from market.openapi.operation import operation
from market.problems import refuse


@operation(
    bytes,
    media=(Format.CSV.content_type, Format.PARQUET.content_type),
    who=("grid_company",),
    scope="read",
    query={"day": Day, "month": Month, "format": Annotated[str, choice("csv", "parquet")]},
    headers={"Content-Disposition": "A name for the file"},
    refuses=("400 missing_parameter bad_format", "422 bad_time"),
)
async def residuals(request: web.Request) -> web.StreamResponse:
    """Per meter and slot of a local day or month: energy, price and amount that belong on the grid company's bill.

    The days are those of the cycles: what a late reading put right stands in the file of the day on which that was
    settled, with the slot it is about and the cycle that it adjusts. Columns: day, cycle, line, slot, meter, kind,
    energy_lots, energy_kwh, price_cny_per_kwh, amount_cny, trade_id (of wheeling), adjusts.
    """
    require(request, "grid_company", scope="read")
    context = request.app[CONTEXT]
    parameters = wire.query(request, "day", "month", "format")
    chosen = parameters.get("format", "csv")
    if chosen not in ("csv", "parquet"):
        raise refuse(400, "bad_format", "the formats are: csv, parquet", "format")
    if ("day" in parameters) == ("month" in parameters):
        raise refuse(400, "missing_parameter", "choose a day or a month: ?day=2026-07-01 or ?month=2026-07", "day")
    if "day" in parameters:
        of = first_day = parameters["day"]
        wire.instant_s(f"{of}T00:00:00Z", "day")
        end_day = f"{of}~"  # sorts behind the day itself alone
    else:
        month = month_of(parameters["month"])
        of, first_day, end_day = str(month), *month.span[:2]
    pieces = await context.in_thread(_pieces, context, Filters(first_day=first_day, end_day=end_day), Format(chosen))
    return await send_file(request, pieces, f"residuals-{of}.{chosen}", Format(chosen).content_type)


def _pieces(context: Context, filters: Filters, chosen: Format) -> Iterator[bytes]:
    question = store.residuals(context.config.settlement_rules.grid_company)
    naming = store.names_of(context.database)
    return encode(store.batches(context.database, question, filters, naming), question.schema, chosen)


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/residuals", residuals, allow_head=False)]
