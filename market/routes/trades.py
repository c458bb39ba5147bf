"""Trades: one's own with everything, everyone's without names."""

from aiohttp import web

from market import order_store, wire
from market.context import CONTEXT
from market.identity import require
from market.problems import not_found, refuse
from market.views import own_trade_body, public_trade_body
from settlement import hexjson, proofs


async def show_all(request: web.Request) -> web.Response:
    """Own trades, or with ``?public=true`` everyone's; ``?slot=`` chooses one slot. By trade number.

    Everyone's can also be asked for by the time of trading: ``?from=`` is included, ``?to=`` is not.
    """
    context = request.app[CONTEXT]
    parameters = wire.query(request, "public", "slot", "from", "to", "limit", "cursor")
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)
    slot = wire.instant_s(parameters["slot"], "slot") if "slot" in parameters else None
    if parameters.get("public", "false") not in ("true", "false"):
        raise refuse(400, "bad_parameter", "public is true or false", "public")
    if parameters.get("public") == "true":
        found = await context.in_thread(
            order_store.all_trades,
            context.database,
            slot=slot,
            from_s=wire.instant_s(parameters["from"], "from") if "from" in parameters else None,
            to_s=wire.instant_s(parameters["to"], "to") if "to" in parameters else None,
            after=after,
            limit=limit,
        )
        last = found[-1].trade_id if len(found) == limit else None
        return wire.reply(wire.page([public_trade_body(trade) for trade in found], last))
    for name in ("from", "to"):
        if name in parameters:
            raise refuse(400, "unknown_parameter", "only everyone's trades, public=true, are asked for by time", name)
    member = require(request, scope="read")
