"""``Idempotency-Key``: a repeated POST gets the first answer; the same key with another body is a conflict.

Kept are answers that are final to members who are logged in: not those from 500 on, nor those to whom a better token
would be let through (401, 403). Orders have an id of their own with the same XX
"""

import hashlib

from aiohttp import web
from aiohttp.typedefs import Handler

from market import idempotency_store, wire
from market.context import CONTEXT
from market.identity import known
from market.once import ONCE, Once
from market.problems import Problem, ProblemError, problem_response, refuse

HEADER = "Idempotency-Key"
LONGEST_KEY = 200
_EXEMPT = ("/v1/orders", "/v1/sessions", "/v1/api-keys", "/v1/factors")

_NOT_FINAL = (401, 403)

_UNDER_WAY: web.AppKey[set[tuple[int, str]]] = web.AppKey("idempotency", set)


def is_kept(method: str, path: str) -> bool:
    """Whether a repeat of such a request gets the first answer by its key."""
    return method == "POST" and not path.startswith(_EXEMPT)


@web.middleware
async def answer_once(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Stands inside the problems middleware; refusals are answers too."""
    key = request.headers.get(HEADER)
    if key is None or not is_kept(request.method, request.path):
        return await handler(request)
    if not (1 <= len(key) <= LONGEST_KEY and key.isascii() and key.isprintable()):
        raise refuse(400, "bad_idempotency_key", f"a key is 1 to {LONGEST_KEY} printable characters", HEADER)
    access = known(request)
    if access is None:
        return await handler(request)
    under_way, name = request.app[_UNDER_WAY], (access.member.member_id, key)
    if name in under_way:
        raise ProblemError(Problem(409, "in_progress", "the first request with this key is not answered yet", None, 1))
    under_way.add(name)
    try:
        return await _answer(request, handler, name)
    finally:
        under_way.remove(name)


async def _answer(request: web.Request, handler: Handler, name: tuple[int, str]) -> web.StreamResponse:
    context = request.app[CONTEXT]
    payload = await wire.payload_of(request)
    body_hash = hashlib.sha256(f"{request.method} {request.path}\n".encode() + payload).digest()
    kept = await context.read(lambda connection: idempotency_store.find(connection, *name))
    if kept is not None:
        if kept.body_hash != body_hash:
            raise refuse(409, "idempotency_key_reused", "this key came with another request before", HEADER)
        return web.Response(status=kept.status, body=kept.answer, content_type=_content_type(kept.status))
    once = Once(*name, body_hash)
    ONCE.set(once)
    try:
        response = await handler(request)
    except ProblemError as error:
        if error.problem.status in _NOT_FINAL or error.problem.status >= 500 or error.problem.retry_after_s is not None:
            raise
        response = problem_response(error.problem)
    if once.is_kept:
        return response
    if response.status < 500 and isinstance(response, web.Response) and isinstance(response.body, bytes):
        answer = response
        await context.write(lambda connection: once.keep(connection, answer))
    return response


def _content_type(status: int) -> str:
    return "application/json" if status < 400 else "application/problem+json"


def install(app: web.Application) -> None:
    app[_UNDER_WAY] = set()
