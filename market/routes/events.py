"""GET /v1/events: what happened to what the member may see, in one order, from any number on."""

from typing import Annotated

import msgspec
from aiohttp import web

from finance import feed_store
from finance.telling import EVERY_BANK, KINDS
from market import wire
from market.context import CONTEXT
from market.event_views import EventBody, event_body
from market.identity import Member, require
from market.openapi.fields import Limit, Number, choice
from market.openapi.operation import MEMBER, operation
from market.receivable_views import one_of, viewer_of


class Events(msgspec.Struct, frozen=True):
    """Events in order. ``last`` is what to give as ``after`` the next time; ``more`` says that there is more by now."""

    items: list[EventBody]
    last: int
    more: bool


def listeners_of(member: Member) -> list[int] | None:
    """In whose name a member hears: its own, and as a bank that of all banks; None for those who oversee: all."""
    viewer = viewer_of(member)
    if viewer.is_overseer:
        return None
    return [member.member_id, EVERY_BANK] if viewer.is_bank else [member.member_id]


@operation(
    Events,
    who=MEMBER,
    scope="read",
    query={"after": Number, "kind": Annotated[str, choice(*KINDS)], "limit": Limit},
    refuses=("400 bad_parameter",),
)
async def show_all(request: web.Request) -> web.Response:
    """The events after a number (0: from the first), again and again the same; ``kind`` leaves out the others."""
    context, member = request.app[CONTEXT], require(request, scope="read")
    parameters = wire.query(request, "after", "kind", "limit")
    after, limit = wire.whole_number(parameters.get("after", "0"), "after"), wire.page_limit(parameters)
    kind, listeners = one_of(parameters, "kind", KINDS), listeners_of(member)
    rows = await context.read(lambda connection: feed_store.events_after(connection, listeners, after, limit))
    items = [event_body(row) for row in rows if kind in (None, row.kind)]
    return wire.reply(Events(items, rows[-1].number if rows else after, len(rows) == limit))


def routes() -> list[web.RouteDef]:
    return [web.get("/v1/events", show_all)]
