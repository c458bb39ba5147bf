"""Webhooks of a member: where events are sent, how that goes, from where they are sent again."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec.structs import asdict
from sqlalchemy import Connection

from data.units import format_instant
from finance import feed_store
from finance.telling import KINDS
from market import outgoing, webhook_store, wire
from market.context import CONTEXT, Context
from market.event_views import event_bytes, trial_event
from market.identity import require
from market.openapi.fields import Instant, choice
from market.openapi.operation import MEMBER, operation
from market.problems import not_found, refuse
from market.routes.events import listeners_of
from market.tokens import new_id
from market.webhook_store import ACTIVE, GIVEN_UP, Webhook
from market.webhooks import Deliveries, Outcome, Terms

MOST = 10
"""Webhooks of one member."""

SECRET_BYTES = 32

Kind = Annotated[str, choice(*KINDS)]


class WebhookBody(wire.Body, frozen=True):
    """``kinds``: what to send, none is all; ``after``: the event to begin after, without it only what is new."""

    url: Annotated[str, msgspec.Meta(max_length=outgoing.LONGEST_URL)]
    kinds: Annotated[tuple[Kind, ...], msgspec.Meta(max_length=len(KINDS))] = ()
    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)] | None = None


class ReplayBody(wire.Body, frozen=True):
    """``after``: the event to begin after; 0 is from the first."""

    after: Annotated[int, msgspec.Meta(ge=0, le=2**62)]


class WebhookShown(msgspec.Struct, frozen=True):
    """A webhook without its secret; `last_event` was taken, or was of no kind asked for. Times are the machine's."""

    webhook: str
    url: str
    kinds: list[Kind]
    created: Instant
    state: Annotated[str, choice(ACTIVE, GIVEN_UP)]
    last_event: int
    delivered: int
    attempts: int
    failing_since: Instant | None
    next_try: Instant | None
    last_status: int | None
    last_error: str | None


class NewWebhook(WebhookShown, frozen=True, kw_only=True):
    """A webhook and, this once, the secret that its deliveries are signed with, as hex of 32 bytes."""

    secret: str


class Trial(msgspec.Struct, frozen=True):
    """What became of a test delivery: HTTP's status, or why there is none."""

    taken: bool
    status: int | None
    error: str | None


_NAMED = {"webhook": str}


@operation(
    NewWebhook,
    status=201,
    who=MEMBER,
    scope="finance",
    body=WebhookBody,
    headers={"Cache-Control": "no-store"},
    refuses=("409 too_many_webhooks", "422 bad_url bad_kind"),
)
async def create(request: web.Request) -> web.Response:
    """Send events to a URL from now on; the answer is the only one that ever shows the secret."""
    context, member = request.app[CONTEXT], require(request, scope="finance")
    body = await wire.read(request, WebhookBody)
    refusal = outgoing.refusal_of(body.url, inside=context.config.server.webhooks_inside)
    if refusal is not None:
        raise refuse(422, "bad_url", refusal, "url")
    if not set(body.kinds) <= set(KINDS):
        raise refuse(422, "bad_kind", f"kinds are {', '.join(KINDS)}", "kinds")
    webhook_id, secret, now_s = new_id(), secrets.token_bytes(SECRET_BYTES), int(time.time())
    sealed = context.vault.seal(f"webhook:{webhook_id}", secret)

    def write(connection: Connection) -> Webhook:
        if webhook_store.count(connection, member.member_id) >= MOST:
            raise refuse(409, "too_many_webhooks", f"a member has {MOST} at most; remove one")
        position = feed_store.last_number(connection) if body.after is None else body.after
        made = Webhook(webhook_id, member.member_id, body.url, body.kinds, sealed, now_s, position)
        webhook_store.add(connection, made)
        return made

    made = await context.write(write)
    context.hear()
    answer = NewWebhook(**asdict(_shown(made)), secret=secret.hex())
    return wire.reply(answer, status=201, headers={"Cache-Control": "no-store"})


@operation(wire.Page[WebhookShown], who=MEMBER, scope="read")
async def show_all(request: web.Request) -> web.Response:
    """Own webhooks, the oldest first, and how each stands."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    wire.query(request)
    found = await context.read(lambda connection: webhook_store.of_member(connection, member.member_id))
    return wire.reply(wire.page([_shown(each) for each in found], None))


@operation(None, status=204, who=MEMBER, scope="finance", path=_NAMED, refuses=("404 not_found",))
async def remove(request: web.Request) -> web.Response:
    """Send nothing there any more."""
    context, member, webhook_id = request.app[CONTEXT], require(request, scope="finance"), request.match_info["webhook"]
    if not await context.write(lambda it: webhook_store.remove(it, member.member_id, webhook_id)):
        raise not_found("webhook")
    return web.Response(status=204)


@operation(WebhookShown, who=MEMBER, scope="finance", path=_NAMED, body=ReplayBody, refuses=("404 not_found",))
async def replay(request: web.Request) -> web.Response:
    """Send all events after a number again, at once; a webhook that was given up is active again."""
    context, member, webhook_id = request.app[CONTEXT], require(request, scope="finance"), request.match_info["webhook"]
    body = await wire.read(request, ReplayBody)

    def write(connection: Connection) -> Webhook | None:
        if webhook_store.webhook(connection, member.member_id, webhook_id) is not None:
            webhook_store.set_back(connection, webhook_id, body.after)
        return webhook_store.webhook(connection, member.member_id, webhook_id)

    found = await context.write(write)
    if found is None:
        raise not_found("webhook")
    context.hear()
    return wire.reply(_shown(found))


@operation(Trial, who=MEMBER, scope="finance", path=_NAMED, refuses=("404 not_found",))
async def try_out(request: web.Request) -> web.Response:
    """Send an event of kind `test` under number 0 now, once, and tell how it went."""
    context, member, webhook_id = request.app[CONTEXT], require(request, scope="finance"), request.match_info["webhook"]
    found = await context.read(lambda it: webhook_store.webhook(it, member.member_id, webhook_id))
    if found is None:
        raise not_found("webhook")
    assert context.deliveries is not None, "they run while the application does"
    outcome: Outcome = await context.deliveries.post(found, 0, event_bytes(trial_event(context.clock.now_s())))
    return wire.reply(Trial(outcome.is_taken, outcome.status, outcome.error))


def _shown(webhook: Webhook) -> WebhookShown:
    waits = webhook.attempts > 0 and webhook.state == ACTIVE
    return WebhookShown(
        webhook=webhook.webhook_id,
        url=webhook.url,
        kinds=list(webhook.kinds),
        created=format_instant(webhook.created_s),
        state=webhook.state,
        last_event=webhook.position,
        delivered=webhook.delivered,
        attempts=webhook.attempts,
        failing_since=wire.time_text(webhook.failing_s),
        next_try=format_instant(webhook.next_try_s) if waits else None,
        last_status=webhook.last_status,
        last_error=webhook.last_error,
    )


async def delivering(app: web.Application) -> AsyncIterator[None]:
    """Bring events to webhooks while the application runs (``app.cleanup_ctx``)."""
    context = app[CONTEXT]
    context.deliveries = deliveries_of(context)
    task = asyncio.get_running_loop().create_task(context.deliveries.run())
    yield
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def deliveries_of(context: Context) -> Deliveries:
    """Deliveries of a market; who is no member any more hears in its own name alone."""
    settings = context.config.server

    def listeners(member: int) -> list[int] | None:
        found = context.directory.members.get(member)
        return [member] if found is None else listeners_of(found)

    terms = Terms(inside=settings.webhooks_inside, timeout_s=settings.webhook_s)
    return Deliveries(context.database, context.vault, listeners, terms)


def routes() -> list[web.RouteDef]:
    return [
        web.post("/v1/webhooks", create),
        web.get("/v1/webhooks", show_all),
        web.delete("/v1/webhooks/{webhook}", remove),
        web.post("/v1/webhooks/{webhook}/replay", replay),
        web.post("/v1/webhooks/{webhook}/test", try_out),
    ]
