"""GET /v1/exports/{trades,orders,deliveries,receivables}: the frames of ``data.frames``, streamed as one file.

``format`` is arrow (the default), parquet or csv; ``day``, ``start``, ``end``, ``member`` and ``meter`` filter as in
``frames``. Names stay pseudonyms, and filters take pseudonyms, unless an operator asks with ``names=true``. A bank gets
of receivables what it may see, with the filters of ``GET /v1/receivables`` and numbers for members.
"""

from collections.abc import Iterator
from typing import Annotated

from aiohttp import web

from data import store
from data.export import Format, encode
from data.store import Question
from finance import listing_export
from market.context import CONTEXT, Context
from market.files import send_file
from market.identity import Member, require
from market.openapi.fields import Day, Instant, choice
from market.openapi.operation import operation
from market.problems import not_found, refuse
from market.receivable_filters import FILTERS, filter_of
from market.receivable_views import viewer_of
from market.wire import query
from settlement import calendar

EXPORTS = {asked.name: asked for asked in (store.TRADES, store.ORDERS, store.DELIVERIES, store.RECEIVABLES)}


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/exports/receivables", export_receivables, allow_head=False),
        web.get("/v1/exports/{name}", export, allow_head=False),
    ]


_FRAME_FILTERS = ("day", "start", "end", "member", "meter")


@operation(
    bytes,
    media=tuple(each.content_type for each in Format),
    who=("bank", "analyst", "operator"),
    scope="read",
    query={
        "format": Format,
        "day": Day,
        "start": Instant,
        "end": Instant,
        "member": str,
        "meter": str,
        "names": bool,
        **FILTERS,
    },
    headers={"Content-Disposition": "A name for the file"},
    refuses=("400 bad_filter bad_flag bad_format bad_number bad_parameter", "422 bad_amount bad_day bad_time"),
)
async def export_receivables(request: web.Request) -> web.StreamResponse:
    """Receivables as a file: to a bank what it may see now, by the filters of the list; to others as `{name}`."""
    member = require(request, "bank", "analyst", "operator", scope="read")
    if member.roles & {"analyst", "operator"}:
        return await _export(request, member, store.RECEIVABLES)
    context, parameters = request.app[CONTEXT], query(request, "format", *FILTERS)
    chosen, asked, now_s = _format(parameters), filter_of(parameters), context.clock.now_s()
    today = calendar.day_of(now_s, context.config.market.time_zone)
    found = listing_export.batches(context.database, viewer_of(member), asked, today, now_s)
    pieces = encode(found, listing_export.SCHEMA, chosen)
    return await send_file(request, pieces, f"receivables.{chosen}", chosen.content_type)


@operation(
    bytes,
    media=tuple(each.content_type for each in Format),
    who=("analyst", "operator"),
    scope="read",
    path={"name": Annotated[str, choice(*EXPORTS)]},
    query={"format": Format, "day": Day, "start": Instant, "end": Instant, "member": str, "meter": str, "names": bool},
    headers={"Content-Disposition": "A name for the file"},
    refuses=("400 bad_filter bad_format bad_flag", "404 not_found"),
)
async def export(request: web.Request) -> web.StreamResponse:
    """The file, in pieces, of one snapshot of the database."""
    member = require(request, "analyst", "operator", scope="read")
    question = EXPORTS.get(request.match_info["name"])
    if question is None:
        raise not_found("export")
    return await _export(request, member, question)


async def _export(request: web.Request, member: Member, question: Question) -> web.StreamResponse:
    parameters = query(request, "format", *_FRAME_FILTERS, "names")
    chosen, with_names = _format(parameters), _with_names(parameters, member)
    context = request.app[CONTEXT]
    pieces = await context.in_thread(_begin, context, question, chosen, with_names, parameters)
    return await send_file(request, pieces, f"{question.name}.{chosen}", chosen.content_type)


def _begin(
    context: Context, question: Question, chosen: Format, with_names: bool, parameters: dict[str, str]
) -> Iterator[bytes]:
    from data import frames  # pandas comes with it: the first export pays for it, not every start of a server

    market = frames.Market(context.database, context.config.market.time_zone)
    naming = store.names_of(market.database) if with_names else store.pseudonyms_of(market.database)
    wanted = {name: parameters[name] for name in _FRAME_FILTERS if name in parameters}
    try:
        filters = frames.filters_of(market, question, naming, **wanted)
    except frames.FilterError as error:
        raise refuse(400, "bad_filter", str(error)) from error
    return encode(store.batches(market.database, question, filters, naming), question.schema, chosen)


def _format(parameters: dict[str, str]) -> Format:
    try:
        return Format(parameters.get("format", Format.ARROW))
    except ValueError as error:
        raise refuse(400, "bad_format", f"the formats are: {', '.join(Format)}", "format") from error


def _with_names(parameters: dict[str, str], member: Member) -> bool:
    text = parameters.get("names", "false")
    if text not in ("true", "false"):
        raise refuse(400, "bad_flag", "names is true or false", "names")
    if text == "true" and "operator" not in member.roles:
        raise refuse(403, "forbidden", "names are for the operator; leave out names=true", "names")
    return text == "true"
