"""Trades: one's own with everything, everyone's without names."""

from typing import TypeVar

from aiohttp import web

from finance.trade_evidence import Source, TradeEvidence, trade_evidence
from market import order_store, wire
from market.config import INSTITUTIONS
from market.context import CONTEXT
from market.identity import require
from market.openapi.fields import PAGE, Instant, Number
from market.openapi.operation import MEMBER, operation
from market.problems import ProblemError, not_found, refuse, unavailable
from market.views import OwnTradeBody, PublicTrade, own_trade_body, public_trade_body
from settlement import hexjson, proofs
from settlement.chain import Chain, ChainUnavailableError
from settlement.event_proof import EventNotProvableError
from settlement.proofs import ProofFile

T = TypeVar("T")


@operation(
    (wire.Page[OwnTradeBody], wire.Page[PublicTrade]),
    who=MEMBER,
    scope="read",
    is_public_too=True,
    query={"public": bool, "slot": Instant, "from": Instant, "to": Instant, **PAGE},
    refuses=("400 bad_parameter", "422 bad_time"),
)
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
    own = await context.in_thread(
        order_store.own_trades, context.database, member.member_id, slot=slot, after=after, limit=limit
    )
    last = own[-1].trade.trade_id if len(own) == limit else None
    return wire.reply(wire.page([own_trade_body(trade) for trade in own], last))


@operation(
    ProofFile,
    who=MEMBER,
    scope="read",
    path={"trade": Number},
    refuses=("400 bad_number", "404 not_found", "409 not_committed", "503 chain_unavailable"),
)
async def show_proof(request: web.Request) -> web.Response:
    """All that a stranger needs to see that a trade, with this member's signed order, stands on the chain.

    One file, verified offline by `jinsha verify`; of the other side it shows a hash.
    """
    context = request.app[CONTEXT]
    member = require(request, scope="read")
    trade_id = wire.whole_number(request.match_info["trade"], "trade")
    domain = context.chain.domain("Clearing")
    found = await context.read(lambda connection: proofs.gather(connection, trade_id, member.member_id, domain))
    return await wire.reply_bytes(context.in_thread(_file, _had(found), context.chain))


@operation(
    TradeEvidence,
    who=MEMBER,
    scope="read",
    path={"trade": Number},
    refuses=("400 bad_number", "404 not_found", "409 not_committed", "503 chain_unavailable"),
)
async def show_evidence(request: web.Request) -> web.Response:
    """All that stands behind a trade, in one file: an own side's, and both for the regulator; `jinsha verify` reads it.

    Takes as long as reading the trade's day once more.
    """
    context = request.app[CONTEXT]
    member = require(request, scope="read")
    trade_id = wire.whole_number(request.match_info["trade"], "trade")
    members = None if "regulator" in member.roles else frozenset({member.member_id})
    offices = INSTITUTIONS["operator"], INSTITUTIONS["checker"]
    source = Source(context.database, context.chain, context.config.settlement_rules, *offices)
    return await wire.reply_bytes(context.in_thread(_evidence, source, trade_id, members))


def _evidence(source: Source, trade_id: int, members: frozenset[int] | None) -> bytes:
    try:
        found = trade_evidence(source, trade_id, members)
    except (ChainUnavailableError, EventNotProvableError) as error:
        raise _unavailable() from error
    return hexjson.dumps(_had(found))


def _had(found: T | str) -> T:
    """What was found, or the refusal that says why there is nothing."""
    if found == "not_committed":
        raise refuse(409, "not_committed", "the chain has no commitment to it yet; ask again in a minute", "trade")
    if isinstance(found, str):
        raise not_found("such a trade of yours")
    return found


def _unavailable() -> ProblemError:
    return unavailable("chain_unavailable", "the chain does not show its events now; ask again")


def _file(gathered: proofs.Gathered, chain: Chain) -> bytes:
    try:
        return hexjson.dumps(proofs.with_events(gathered, chain))
    except (ChainUnavailableError, EventNotProvableError) as error:
        raise _unavailable() from error


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/trades", show_all),
        web.get("/v1/trades/{trade}/proof", show_proof),
        web.get("/v1/trades/{trade}/evidence", show_evidence),
    ]
