"""Follows every request: its id, its line in the log, its place in the counters.

The id is the client's own ``X-Request-Id`` when that is well-formed, else one of ours. It is in the answer, in every
problem, and in every line that is logged on the way (`market/logs.py`), also in threads and from the sequencer.
"""

import logging
import re
import secrets
import time
from collections.abc import Collection
from itertools import count

from aiohttp import web
from aiohttp.typedefs import Handler

from market.context import CONTEXT, Context
from market.logs import REQUEST_ID, log
from market.overload import route_of
from market.problems import PROBLEM_CODE

HEADER = "X-Request-Id"
_OURS, _NUMBERS = secrets.token_hex(4), count()
"""Ids of ours: this process, and a number. To ask the system for random bytes would let go of the interpreter's lock,
and with the writer's thread at work it takes a while to come back."""

_WELL_FORMED = re.compile(r"[A-Za-z0-9._-]{8,64}", re.ASCII)


@web.middleware
async def follow(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost middleware."""
    request_id = id_of(request)
    REQUEST_ID.set(request_id)  # each request is a task of its own, with a context of its own
    context = request.app[CONTEXT]
    metrics = context.metrics
    started_s = time.perf_counter()
    response = await handler(for_whom(request, context.config.server.trusted_proxies))
    duration_s = time.perf_counter() - started_s
    route = route_of(request)
    code = response.get(PROBLEM_CODE)
    metrics.request(request.method, route, response.status, duration_s)
    if code is not None:
        metrics.problems.labels(code).inc()
    if code is None and not _is_logged(context):
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


async def name(_: web.Request, response: web.StreamResponse) -> None:
    """Put the request's id into every answer, streamed ones too (``app.on_response_prepare``)."""
    request_id = REQUEST_ID.get()
    if request_id is not None:
        response.headers[HEADER] = request_id


def for_whom(request: web.Request, proxies: Collection[str]) -> web.Request:
    """The request, with the address of whoever asks: behind a trusted proxy that is the last one it names.

    Entries further left are the client's own word.
    """
    if not proxies or request.remote not in proxies:
        return request
    named = [each.strip() for line in request.headers.getall("X-Forwarded-For", ()) for each in line.split(",")]
    address = next((each for each in reversed(named) if each not in proxies), None)
    return request.clone(remote=address) if address else request


def _is_logged(context: Context) -> bool:
    """Of requests that went well every so many-th is logged, by the operator's choice."""
    every = context.config.server.log_every
    if not every:
        return False
    context.succeeded += 1
    return context.succeeded % every == 0


def id_of(request: web.Request) -> str:
    given = request.headers.get(HEADER)
    if given is not None and _WELL_FORMED.fullmatch(given):
        return given
    return f"{_OURS}{next(_NUMBERS):08x}"
