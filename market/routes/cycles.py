"""Settlement cycles and billing periods: what the operator drafted, and the checker's word on it."""

from collections.abc import Callable
from typing import Any

from aiohttp import web
from sqlalchemy import Connection

from finance import period_store, periods
from market import wire
from market.context import CONTEXT, Context
from market.identity import Member, require
from market.problems import not_found, refuse
from settlement import cycle, cycle_store, hexjson, publish_store

_OVERSEERS = ("checker", "operator", "regulator")


class VerdictBody(wire.Body, frozen=True):
    """A signature over the draft, or why there is none."""

    signature: str = ""
    refusal: str = ""


async def show_cycles(request: web.Request) -> web.Response:
    """All cycles and their states, the oldest first."""
    require(request, scope="read")
    wire.query(request)
    rows = await request.app[CONTEXT].read(cycle_store.cycles_in)
    items = [
        {
            "cycle": row.cycle,
            "day": row.day,
            "start": wire.time_text(row.start_s),
            "end": wire.time_text(row.end_s),
            "state": row.state,
            "disputable_until": wire.time_text(row.disputable_until_s),
            "refusal": row.refusal,
        }
        for row in rows
    ]
    return wire.reply(wire.page(items, None))


async def show_cycle(request: web.Request) -> web.Response:
    """A cycle with all that a checker needs to compute it again; see ``settlement/published.py``."""
    require(request, *_OVERSEERS, scope="read")
    context, number = request.app[CONTEXT], _number(request)
    found = await context.read(lambda connection: publish_store.published_cycle(connection, number))
    if found is None:
        raise not_found("cycle")
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


async def judge_cycle(request: web.Request) -> web.Response:
    """The checker signs a drafted cycle, or says why not; the same word again changes nothing."""
    checker = require(request, "checker", scope="office")
    context, number = request.app[CONTEXT], _number(request)
    body = await wire.read(request, VerdictBody)
    await _judge(
        context,
        body,
        lambda connection, signature: cycle.accept_signature(
            connection, number, signature, **_parties(context, checker), domain=context.chain.domain("Clearing")
        ),
        lambda connection: cycle.refuse(connection, number, body.refusal),
    )
    row = await context.read(lambda connection: cycle_store.cycle(connection, number))
    assert row is not None
    return wire.reply({"cycle": number, "state": row.state})


async def show_periods(request: web.Request) -> web.Response:
    """All billing periods and their states, the oldest first."""
    require(request, scope="read")
    wire.query(request)
    rows = await request.app[CONTEXT].read(period_store.periods_in)
    columns = ("period", "first_day", "last_day", "first_cycle", "last_cycle", "state")
    items = [{name: row._mapping[name] for name in columns} | {"count": row._mapping["count"]} for row in rows]
    return wire.reply(wire.page(items, None))


async def show_period(request: web.Request) -> web.Response:
    """A period with all that a checker needs to compute it again; see ``finance/published.py``."""
    require(request, *_OVERSEERS, scope="read")
    context, number = request.app[CONTEXT], _number(request)
    found = await context.read(lambda connection: periods.published_period(connection, number))
    if found is None:
        raise not_found("period")
    return await wire.reply_bytes(context.in_thread(hexjson.dumps, found))


async def judge_period(request: web.Request) -> web.Response:
    """The checker signs a drafted period, or says why not; the same word again changes nothing."""
    checker = require(request, "checker", scope="office")
    context, number = request.app[CONTEXT], _number(request)
    body = await wire.read(request, VerdictBody)
    await _judge(
        context,
        body,
        lambda connection, signature: periods.accept_signature(
            connection, number, signature, **_parties(context, checker), domain=context.chain.domain("Receivables")
        ),
        lambda connection: periods.refuse(connection, number, body.refusal),
    )
    row = await context.read(lambda connection: period_store.period(connection, number))
    assert row is not None
    return wire.reply({"period": number, "state": row.state})


def _parties(context: Context, checker: Member) -> dict[str, Any]:
    return {"checker": checker.member_id, "key": checker.key, "operator": context.operator.member}


async def _judge(
    context: Context,
    body: VerdictBody,
    accept: Callable[[Connection, bytes], str | None],
    reject: Callable[[Connection], str | None],
) -> None:
    if bool(body.signature) == bool(body.refusal):
        raise refuse(422, "bad_verdict", "send a signature or a refusal, one of them")
    if body.signature:
        signature = wire.signature(body.signature)
        code = await context.write(lambda connection: accept(connection, signature))
    else:
        code = await context.write(reject)
    if code is None:
        context.poke()
    elif code.startswith("unknown"):
        raise not_found("draft")
    elif code == "bad_signature":
        raise refuse(422, code, "this is not the checker's signature over the draft", "signature")
    else:
        raise refuse(409, code, "the draft has been signed already")


def _number(request: web.Request) -> int:
    text = request.match_info["number"]
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise not_found("draft")
    return int(text)


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/cycles", show_cycles),
        web.get("/v1/cycles/{number}", show_cycle),
        web.post("/v1/cycles/{number}/signature", judge_cycle),
        web.get("/v1/periods", show_periods),
        web.get("/v1/periods/{number}", show_period),
        web.post("/v1/periods/{number}/signature", judge_period),
    ]
