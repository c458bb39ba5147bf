"""What the handlers of acts on receivables share: one transaction, and the receivables as they stand after it.

An act is answered 202: its signature is checked here as the contract will check it, and it is on its way to the
chain; the receivable's ``act`` says so until the chain's event is back, or says why the contract refused.
"""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from finance import parts_store, store
from finance.book import Book, Word, may_see
from finance.fate_book import FateBook
from finance.listing import Viewer
from finance.listing_store import with_consents
from finance.part_book import PartBook
from finance.parts import Part
from market import wire
from market.context import CONTEXT, Context
from market.identity import Member, require
from market.openapi.fields import Hash
from market.openapi.operation import MEMBER, H, operation
from market.problems import not_found
from market.receivable_views import (
    ACT_REFUSED,
    ReceivableBody,
    SignedBody,
    attempt,
    receivable_body,
    receivable_id_of,
    word_of,
)
from market.scopes import Scope
from settlement import calendar

NAMED = {"receivable": Hash}

Words = Annotated[str, msgspec.Meta(max_length=500)]


class ReceivableAnswer(msgspec.Struct, frozen=True):
    """The receivable as it stands; its `act` says what is on its way."""

    receivable: ReceivableBody


def act_operation(body: type[SignedBody], *refuses: str) -> Callable[[H], H]:
    """What every signed act of a member on one receivable is described by; ``refuses`` beside what all may refuse."""
    return operation(
        ReceivableAnswer,
        status=202,
        who=MEMBER,
        scope="finance",
        path=NAMED,
        body=body,
        refuses=(*ACT_REFUSED, *refuses),
    )


class Books:
    """All there is to be done with receivables, in the market of a request."""

    def __init__(self, context: Context) -> None:
        domain, zone = context.chain.domain("Receivables"), context.config.market.time_zone
        self.book = Book(domain, zone, context.outside, context.config.market.collection_account.hash)
        self.parts = PartBook(domain, context.outside)
        self.fates = FateBook(domain, zone)


Act = Callable[[Books, Connection, int], None]
Shown = tuple[Row[Any], Sequence[Part]]


def today_of(context: Context) -> date:
    """The local day by the market's clock."""
    return calendar.day_of(context.clock.now_s(), context.config.market.time_zone)


def seen(connection: Connection, context: Context, viewer: Viewer, receivable_id: bytes) -> Row[Any]:
    """A receivable that the viewer is shown: as a party, for a part of it, listed, or by its seller's consent.

    Raises ProblemError ``not_found``.
    """
    row = store.receivable(connection, receivable_id)
    if row is None or not may_see(connection, with_consents(connection, viewer, context.clock.now_s()), row):
        raise not_found("receivable")
    return row


def with_parts(connection: Connection, rows: Sequence[Row[Any]]) -> list[Shown]:
    """Rows of ``receivables``, each with its parts."""
    parts = parts_store.parts_of(connection, [row.receivable_id for row in rows])
    return [(row, parts.get(row.receivable_id, [])) for row in rows]


def shown(rows: Sequence[Shown], viewer: Viewer, today: date) -> list[ReceivableBody]:
    return [receivable_body(row, parts, viewer, today) for row, parts in rows]


async def act_on_many(
    request: web.Request, ids: Sequence[bytes], act: Act, reply: Callable[[list[Shown]], web.Response]
) -> web.Response:
    """Run an act in one transaction; ``reply`` with the receivables as they stand after it."""
    context = request.app[CONTEXT]
    books, now_s = Books(context), context.clock.now_s()

    def write(connection: Connection) -> list[Shown]:
        act(books, connection, now_s)
        found = store.receivables_by_id(connection, ids)
        return with_parts(connection, [found[each] for each in ids])

    return await attempt(context, write, reply)


async def act_on_one(request: web.Request, word: Word, receivable_id: bytes, act: Act) -> web.Response:
    """As ``act_on_many``, answered with the one."""
    today = today_of(request.app[CONTEXT])

    def reply(rows: list[Shown]) -> web.Response:
        return wire.reply(ReceivableAnswer(shown(rows, word.viewer, today)[0]), status=202)

    return await act_on_many(request, [receivable_id], act, reply)


Carry = Callable[[Books, Connection, Word, bytes, int], None]
"""``carry(books, connection, word, receivable_id, now_s)``"""


B = TypeVar("B", bound=SignedBody)


async def asked(
    request: web.Request, kind: type[B], *roles: str, scope: Scope = "finance", is_moving: bool = False
) -> tuple[Member, B]:
    """Who asks, if it may, and what it signed. Raises ProblemError."""
    member = require(request, *roles, scope=scope, is_moving=is_moving)
    return member, await wire.read(request, kind)


async def signed_act(request: web.Request, member: Member, body: SignedBody, carry: Carry) -> web.Response:
    """An act on the receivable of the path, as its member signed it."""
    word, receivable_id = word_of(member, body), receivable_id_of(request)

    def act(books: Books, connection: Connection, now_s: int) -> None:
        carry(books, connection, word, receivable_id, now_s)

    return await act_on_one(request, word, receivable_id, act)
