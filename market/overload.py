"""Turns requests away early, before their bodies are read, when they could not be answered in time.

Orders are turned away when the sequencer's queue is full, everything but cancels and questions of health when too many
requests are under way, and a body when it says itself that it is too large. What is turned away was not begun: it may
be sent again after ``Retry-After``.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from market.context import CONTEXT
from market.problems import Problem, ProblemError
from market.settings import Server
from market.wire import BODY_TERMS, TOO_LARGE

BUSY = Problem(503, "overloaded", "more requests are under way than can be answered in time", retry_after_s=1)
QUEUE_FULL = Problem(
    503, "queue_full", "more is waiting than can be finished in time; nothing was accepted", retry_after_s=1
)

STREAM = "/v1/stream"
"""Lives long, and has limits of its own."""

NEVER_SHED = frozenset({"/healthz", "/readyz", "/metrics", STREAM})
ORDER_ROUTES = frozenset({"/v1/orders", "/v1/orders/batch", "/v1/orders/{client_order_id}"})


@web.middleware
async def shed(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stands inside the problems middleware."""
    context = request.app[CONTEXT]
    route = route_of(request)
    if route in NEVER_SHED:
        return await handler(request)
    settings = context.config.server
    limit = _largest_body(settings, route)
    if (request.content_length or 0) > limit:
        raise ProblemError(TOO_LARGE)
    request[BODY_TERMS] = limit, settings.body_s
    if request.method != "DELETE":
        if context.under_way >= settings.requests:
            raise ProblemError(BUSY)
        if route in ORDER_ROUTES and request.method != "GET" and context.sequencer.is_full:
            raise ProblemError(QUEUE_FULL)
    context.under_way += 1
    try:
        return await handler(request)
    finally:
        context.under_way -= 1


def route_of(request: web.Request) -> str:
    """The pattern that the request's path was found under."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"


def _largest_body(settings: Server, route: str) -> int:
    """How many bytes this route reads."""
    match route:
        case "/v1/orders" | "/v1/orders/{client_order_id}":
            return settings.order_bytes
        case "/v1/orders/batch":
            return settings.batch_bytes
        case "/v1/readings" | "/v1/readings/csv" | "/v1/meters/{meter}/readings":
            return settings.readings_bytes
    return settings.body_bytes
