"""Follows every request: its id, its line in the log, its place in the counters.

The id is the client's own ``X-Request-Id`` when that is well-formed, else one of ours. It is in the answer, in every
problem, and in every line that is logged on the way (`market/logs.py`), also in threads and from the sequencer.
"""

import logging
import re
import secrets
import time

from aiohttp import web
from aiohttp.typedefs import Handler

from market.context import CONTEXT, Context
from market.logs import REQUEST_ID, log
from market.problems import PROBLEM_CODE

HEADER = "X-Request-Id"
_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)
_UNKNOWN_ROUTE = "unknown"


@web.middleware
async def follow(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware."""
    request_id = _id_of(request)
    REQUEST_ID.set(request_id)  # each request is a task of its own, with a context of its own
    metrics = request.app[CONTEXT].metrics
    started_s = time.perf_counter()
    metrics.requests_under_way.inc()
    try:
        response = await handler(request)
    finally:
        metrics.requests_under_way.dec()
    duration_s = time.perf_counter() - started_s
    if not response.prepared:
        response.headers[HEADER] = request_id
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else _UNKNOWN_ROUTE
    code = response.get(PROBLEM_CODE)
    metrics.request(request.method, route, response.status, duration_s)
    if code is not None:
        metrics.problems.labels(code).inc()
    if code is None and not _is_logged(request.app[CONTEXT]):
        return response
    log(
        logging.INFO,
        "request",
        method=request.method,
        route=route,
        status=response.status,
        code=code,
        ms=round(1000 * duration_s, 1),
    )
    return response


def _is_logged(context: Context) -> bool:
    """Of requests that went well every so many-th is logged, by the operator's choice."""
    every = context.config.server.log_every
    if not every:
        return False
    context.succeeded += 1
    return context.succeeded % every == 0


def _id_of(request: web.Request) -> str:
    given = request.headers.get(HEADER)
    if given is not None and _WELL_FORMED.fullmatch(given):
        return given
    return secrets.token_hex(8)
