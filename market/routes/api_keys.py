"""API keys: tokens for machines, which stand until they expire or are revoked and never do what is sensitive."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from ipaddress import ip_network
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec.structs import asdict
from sqlalchemy.exc import DBAPIError

from data.units import format_instant
from market import token_store, wire
from market.context import CONTEXT, Context
from market.identity import access_of, require, require_fresh
from market.openapi.fields import Instant, text
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from market.routes.sessions import Scopes, end_tokens, granted
from market.scopes import Scope
from market.tokens import API_KEY_PREFIX, ApiKey, Network, hash_of, new_id, new_token

MOST = 50
"""API keys of one member."""

WRITE_USED_EVERY_S = 60

_NEVER: frozenset[Scope] = frozenset({"identity"})
"""What an API key can not carry."""

_HARMLESS: frozenset[Scope] = frozenset({"read", "trade"})
"""What takes no second factor to give away: an order is worth nothing without its member's signature."""


Cidr = Annotated[str, text("A CIDR block", r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", "203.0.113.0/24")]


class ApiKeyBody(wire.Body, frozen=True):
    """``networks``: CIDR blocks that it may be used from, none is any; without ``expires`` it stands until revoked."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    scopes: Scopes
    expires: Instant | None = None
    networks: Annotated[tuple[Cidr, ...], msgspec.Meta(max_length=20)] = ()


class ApiKeyShown(msgspec.Struct, frozen=True):
    """An API key without its token; `last_used` is rounded down to the minute."""

    api_key: str
    name: str
    scopes: list[Scope]
    networks: list[str]
    created: Instant
    expires: Instant | None
    last_used: Instant | None


class NewApiKey(ApiKeyShown, frozen=True, kw_only=True):
    """An API key and, this once, its token."""

    token: str


@operation(
    NewApiKey,
    status=201,
    who=MEMBER,
    scope="identity",
    is_sensitive=True,
    body=ApiKeyBody,
    headers={"Cache-Control": "no-store"},
    refuses=("409 too_many_api_keys", "422 bad_name bad_network bad_scopes bad_time"),
)
async def create(request: web.Request) -> web.Response:
    """A new API key; the answer is the only one that ever shows it."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    body = await wire.read(request, ApiKeyBody)
    scopes = granted(access_of(request).scopes - _NEVER, body.scopes)
    if not scopes <= _HARMLESS:
        require_fresh(request)
    if not body.name.isprintable():
        raise refuse(422, "bad_name", "a name has no control characters", "name")
    directory = context.directory
    now_s = directory.now_s()
    expires_s = None if body.expires is None else wire.instant_s(body.expires, "expires")
    if expires_s is not None and expires_s <= now_s:
        raise refuse(422, "bad_time", "that has passed already", "expires")
    networks = tuple(_network(text, f"networks[{index}]") for index, text in enumerate(body.networks))
    token = new_token(API_KEY_PREFIX)
    api_key = ApiKey(hash_of(token), member.member_id, new_id(), body.name, scopes, networks, now_s, expires_s)
    if len(directory.api_keys_of(member.member_id)) >= MOST:
        raise refuse(409, "too_many_api_keys", f"a member has {MOST} at most; revoke one")
    directory.keep_api_key(api_key)  # so that the next request counts it; nobody knows the token yet
    try:
        await context.write(lambda connection: token_store.add_api_key(connection, api_key))
    except BaseException:
        directory.revoke(api_key)
        raise
    made = NewApiKey(**asdict(_shown(context, api_key)), token=token)
    return wire.reply(made, status=201, headers={"Cache-Control": "no-store"})


def _network(text: str, field: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise refuse(422, "bad_network", "expected a CIDR block, as 203.0.113.0/24 or 2001:db8::/32", field) from error


@operation(wire.Page[ApiKeyShown], who=MEMBER, scope="read")
async def show_all(request: web.Request) -> web.Response:
    """Own API keys, the oldest first, without their tokens."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    items = [_shown(context, api_key) for api_key in context.directory.api_keys_of(member.member_id)]
    return wire.reply(wire.page(items, None))


def _shown(context: Context, api_key: ApiKey) -> ApiKeyShown:
    return ApiKeyShown(
        api_key=api_key.api_key_id,
        name=api_key.name,
        scopes=sorted(api_key.scopes),
        networks=[str(network) for network in api_key.networks],
        created=format_instant(api_key.created_s),
        expires=wire.time_text(api_key.expires_s),
        last_used=wire.time_text(context.directory.used_s.get(api_key.key_hash)),
    )


@operation(None, status=204, who=MEMBER, scope="identity", path={"api_key": str}, refuses=("404 not_found",))
async def revoke(request: web.Request) -> web.Response:
    """End an API key of one's own at once."""
    context, member = request.app[CONTEXT], require(request, scope="identity")
    asked = request.match_info["api_key"]
    found = [each for each in context.directory.api_keys_of(member.member_id) if each.api_key_id == asked]
    if not found:
        raise not_found("API key")
    await end_tokens(context, [], found)
    return web.Response(status=204)


async def writing_used(app: web.Application) -> AsyncIterator[None]:
    """Write when API keys were last used, now and then, and once more at the end (``app.cleanup_ctx``)."""
    context, written = app[CONTEXT], dict(app[CONTEXT].directory.used_s)

    async def write() -> None:
        used_s = dict(context.directory.used_s)
        news = {key_hash: at_s for key_hash, at_s in used_s.items() if written.get(key_hash) != at_s}
        if news:
            await context.write(lambda connection: token_store.set_used(connection, news))
            written.clear()
            written.update(used_s)

    async def keep_writing() -> None:
        while True:
            await asyncio.sleep(WRITE_USED_EVERY_S)
            with suppress(DBAPIError):  # it is only a hint; the next round writes it
                await write()

    task = asyncio.get_running_loop().create_task(keep_writing())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    with suppress(DBAPIError):
        await write()


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/api-keys", create),
        web.get("/v1/api-keys", show_all),
        web.delete("/v1/api-keys/{api_key}", revoke),
    ]
