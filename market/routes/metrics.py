"""``GET /metrics``: for Prometheus on this machine, and for the operator and the regulator from anywhere."""

import asyncio
import ipaddress

from aiohttp import web
from sqlalchemy.exc import DBAPIError

from data.database import reading
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.operation import operation
from settlement import dispute_store, outbox, store
from settlement.chain import ChainUnavailableError

_FOR_OTHERS = ("Forwarded", "X-Forwarded-For", "Authorization")
_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PATIENCE_S = 2.0
"""A scrape does not wait longer for a database or a chain that is down: that is when it is needed most."""


@operation(str, media=("text/plain",), who=("operator", "regulator"), scope="read", is_public_too=True)
async def show(request: web.Request) -> web.Response:
    """All counters, in the text format of Prometheus."""
    if not _is_local(request):
        require(request, "operator", "regulator", scope="read")
    context = request.app[CONTEXT]
    await _look(context)
    return web.Response(body=context.metrics.text(), headers={"Content-Type": _CONTENT_TYPE})


def _is_local(request: web.Request) -> bool:
    """Whether a process of this machine asks for itself; a proxy on this machine asks for others, and says so.

    Whoever shows a token is judged by it.
    """
    peer = request.transport.get_extra_info("peername") if request.transport is not None else None
    if not peer or any(name in request.headers for name in _FOR_OTHERS):
        return False
    return ipaddress.ip_address(peer[0]).is_loopback


async def _look(context: Context) -> None:
    """Set what is a state and not an event."""
    metrics, sequencer, scheduler = context.metrics, context.sequencer, context.scheduler
    metrics.queue_orders.set(sequencer.waiting_weight)
    metrics.queue_bound.set(context.config.server.queue_bound)
    metrics.requests_under_way.set(context.under_way)
    metrics.reads_waiting.set(context.reads_waiting)
    metrics.sequencer_up.set(sequencer.is_running)
    if scheduler is not None:
        metrics.settlement_up.set(scheduler.condition == "running")
        if scheduler.settled_s is not None:
            metrics.settlement_lag.set(max(0, context.clock.now_s() - scheduler.settled_s))
    mirrored_block = await _look_at_database(context)
    if mirrored_block is not None and scheduler is not None:
        await _look_at_chain(context, mirrored_block)


async def _look_at_database(context: Context) -> int | None:
    """The last block mirrored, if the database answers."""
    metrics = context.metrics
    try:
        async with asyncio.timeout(PATIENCE_S):
            waiting, mirrored_block, problems = await asyncio.to_thread(_settlement, context)
    except (DBAPIError, TimeoutError):
        metrics.database_up.set(0)
        return None
    metrics.database_up.set(1)
    metrics.outbox_waiting.set(waiting)
    metrics.challenges_open.set(len(problems))
    metrics.challenges_unanswered.set(sum(problem is not None for problem in problems))
    return mirrored_block


async def _look_at_chain(context: Context, mirrored_block: int) -> None:
    try:
        async with asyncio.timeout(PATIENCE_S):
            head = await asyncio.to_thread(context.chain.head)
    except (ChainUnavailableError, TimeoutError):
        context.metrics.chain_up.set(0)
        return
    context.metrics.chain_up.set(1)
    context.metrics.chain_lag.set(max(0, head.number - mirrored_block))


def _settlement(context: Context) -> tuple[int, int, list[str | None]]:
    """Calls that wait, last block mirrored, what is wrong with each open challenge.

    In a thread of its own: reads may be queueing for theirs.
    """
    with reading(context.database) as connection:
        problems = [row.problem for row in dispute_store.open_challenges(connection)]
        return outbox.count_unfinished(connection), store.last_mirrored_block(connection), problems


def routes() -> list[web.RouteDef]:
    return [web.get("/metrics", show)]
