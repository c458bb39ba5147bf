"""What stands between a receivable and the registry of movable-property financing.

The registration of a sale comes ready filled; the bank registers it and records the number, whose hash its offer
carries to the chain. Without a registry (``registry.folder`` is not set) nothing is searched, and answers say so.
"""

from collections.abc import Callable
from datetime import date
from typing import Annotated, Any, TypeVar

import msgspec
from aiohttp import web
from sqlalchemy import Connection, Row

from data.units import format_instant
from finance import outside, registry, registry_store, store
from finance.outside import Outside
from finance.receivable import State
from finance.registry import Form, Receipt, Refusal, Registry, RegistryError, Said
from market import wire
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.fields import PAGE, Day, Hash, Instant, Number
from market.openapi.operation import MEMBER, operation
from market.problems import ProblemError, not_found, refuse, unavailable
from market.receivable_answers import seen, today_of
from market.receivable_views import receivable_id_of, viewer_of

T = TypeVar("T")

_NAMED = {"receivable": Hash}
_OFFICES = ("custodian", "operator", "regulator")
MONTHS_AFTER_DUE = 6
"""A registration is proposed to outlive the due day by so much, for what is collected late."""


class RegistrationShown(msgspec.Struct, frozen=True):
    """A registration that was recorded; `hash` is what the chain has of it."""

    number: str
    hash: Hash
    party: int
    expires: Day
    recorded: Instant


class SearchShown(msgspec.Struct, frozen=True):
    """The last search of the registry for the seller; it holds for 24 hours."""

    number: str
    searched: Instant
    found: list[str]


class Barred(msgspec.Struct, frozen=True):
    """Why the receivable could not be listed or sold to this bank now."""

    code: str
    detail: str


class RegistrationAnswer(msgspec.Struct, frozen=True):
    """`form` is what to register. `has_registry`: whether this market searches one at all."""

    has_registry: bool
    form: Form
    search: SearchShown | None
    barred: Barred | None
    recorded: list[RegistrationShown]


class RegistrationBody(wire.Body, frozen=True):
    """The number on the certificate, and the last day of its term."""

    number: Annotated[str, msgspec.Meta(min_length=8, max_length=40, pattern="^[0-9A-Za-z-]+$")]
    expires: Day


class AskedAnswer(msgspec.Struct, frozen=True):
    """What the registry was asked under `reference`; `number` is there when it has answered."""

    reference: str
    number: str | None


class CancellationBody(wire.Body, frozen=True):
    """The amendment code (修改码) that came with the registration; it is passed on and kept nowhere."""

    amendment_code: Annotated[str, msgspec.Meta(max_length=40)] = ""


class KeptShown(msgspec.Struct, frozen=True):
    """A registration and its receivable; `to_cancel`: the receivable has ended."""

    receivable: Hash
    registration: RegistrationShown
    to_cancel: bool


# ---------------------------------------------------------------------------------------------- registrations


@operation(
    RegistrationAnswer,
    who=MEMBER,
    scope="read",
    path=_NAMED,
    query={"bank": Number},
    refuses=("400 bad_number", "403 forbidden", "404 not_found", "422 bank_needed", "503 registry_unavailable"),
)
async def show(request: web.Request) -> web.Response:
    """The registration of a sale, ready filled, for the bank that asks or ``?bank=``, and what stands against it.

    Seller, banks that see the receivable, and overseers: the form names the parties by their codes.
    """
    member, context = require(request, scope="read"), request.app[CONTEXT]
    viewer, receivable_id = viewer_of(member), receivable_id_of(request)
    asked = wire.query(request, "bank").get("bank")
    if asked is None and not viewer.is_bank:
        raise refuse(422, "bank_needed", "say for which bank: ?bank=", "bank")
    bank = viewer.member if asked is None else wire.whole_number(asked, "bank")
    known = context.directory.members.get(bank)
    if known is None or "bank" not in known.roles:
        raise not_found("bank")
    now_s, today = context.clock.now_s(), today_of(context)

    def look(connection: Connection) -> RegistrationAnswer:
        row = seen(connection, context, viewer, receivable_id)
        if not (viewer.is_bank or viewer.is_overseer or viewer.member == row.creditor):
            raise refuse(403, "forbidden", "the form is for the seller and for banks")
        form = outside.form_of(connection, row, bank, _months(row, today))
        return _answer(
            connection, context.outside, row, form, context.outside.standing_refusal(connection, row, bank, now_s)
        )

    return wire.reply(await context.read(look))


def _months(row: Row[Any], today: date) -> int:
    due = date.fromisoformat(row.due_day)
    return max(0, (due.year - today.year) * 12 + due.month - today.month) + 1 + MONTHS_AFTER_DUE


def _answer(
    connection: Connection, checks: Outside, row: Row[Any], form: Form, barred: Refusal | None
) -> RegistrationAnswer:
    return RegistrationAnswer(
        has_registry=checks.registry is not None,
        form=form,
        search=_search(checks, form),
        barred=None if barred is None else Barred(*barred),
        recorded=[_shown(each) for each in registry_store.registrations_of(connection, row.receivable_id)],
    )


def _search(checks: Outside, form: Form) -> SearchShown | None:
    if checks.registry is None:
        return None
    try:
        found = checks.registry.search(form.grantors[0])
    except RegistryError as error:
        raise unavailable("registry_unavailable", str(error), 60) from error
    if found is None:
        return None
    return SearchShown(found.search.number, found.search.searched_at, list(found.search.found))


@operation(
    RegistrationShown,
    status=201,
    who=("bank",),
    scope="finance",
    path=_NAMED,
    body=RegistrationBody,
    refuses=(
        "404 not_found",
        "409 registration_used",
        "422 bad_day registration_unknown registration_mismatch",
        "503 registry_unavailable",
    ),
)
async def record(request: web.Request) -> web.Response:
    """A bank records the number under which it registered its purchase; the same again changes nothing.

    Where the market has a registry, the certificate must be there, in force, secure this bank and reach the receivable.
    """
    bank, context = require(request, "bank", scope="finance"), request.app[CONTEXT]
    viewer, receivable_id = viewer_of(bank), receivable_id_of(request)
    body = await wire.read(request, RegistrationBody)
    expires, now_s = _day(body.expires), context.clock.now_s()

    def write(connection: Connection) -> Row[Any]:
        row = seen(connection, context, viewer, receivable_id)
        known = registry_store.registration(connection, body.number)
        if known is not None:
            if (known.receivable_id, known.party, known.expires_day) == (receivable_id, bank.member_id, str(expires)):
                return known
            raise refuse(409, "registration_used", "this number has been recorded otherwise", "number")
        said = Said(body.number, outside.party_of(connection, bank.member_id), expires)
        barred = context.outside.registering_refusal(connection, row, said, now_s)
        if barred is not None:
            raise refused_outside(*barred, field="number")
        registry_store.add_registration(
            connection,
            number=body.number,
            registration_hash=registry.registration_hash(body.number),
            receivable_id=receivable_id,
            party=bank.member_id,
            expires_day=str(expires),
            recorded_s=now_s,
        )
        added = registry_store.registration(connection, body.number)
        assert added is not None
        return added

    return await context.write_and_answer(write, lambda row: wire.reply(_shown(row), status=201))


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise refuse(422, "bad_day", f"{text[:40]!r} is no day such as 2026-07-01", "expires") from error


def refused_outside(code: str, reason: str, field: str | None = None) -> ProblemError:
    """A refusal of ``Outside`` as it is answered: a registry that does not answer is an outage."""
    return unavailable(code, reason, 60) if code == "registry_unavailable" else refuse(422, code, reason, field)


def _shown(row: Row[Any]) -> RegistrationShown:
    return RegistrationShown(
        number=row.number,
        hash=row.registration_hash.hex(),
        party=row.party,
        expires=row.expires_day,
        recorded=format_instant(row.recorded_s),
    )


@operation(
    AskedAnswer,
    status=202,
    who=("bank",),
    scope="finance",
    path=_NAMED,
    refuses=("404 not_found", "409 no_registry", "503 registry_unavailable"),
)
async def ask_to_register(request: web.Request) -> web.Response:
    """The registry is asked to register this bank's purchase, with the form as it is filled in.

    Through a folder that is a request to the clerk, and `number` stays null until its certificate is there: the bank
    records it then. Whoever registers answers for what it says.
    """
    bank, context = require(request, "bank", scope="finance"), request.app[CONTEXT]
    viewer, receivable_id = viewer_of(bank), receivable_id_of(request)
    await wire.payload_of(request)
    asked = _registry_of(context)
    today = today_of(context)

    def look(connection: Connection) -> tuple[Form, int]:
        row = seen(connection, context, viewer, receivable_id)
        return outside.form_of(connection, row, bank.member_id, _months(row, today)), row.number

    form, number = await context.read(look)
    reference = f"receivable-{number}-bank-{bank.member_id}"
    receipt = await _ask(context, lambda: asked.register(form, reference))
    return wire.reply(AskedAnswer(reference, None if receipt is None else receipt.number), status=202)


@operation(wire.Page[KeptShown], who=("bank", "operator", "regulator"), scope="read", query={**PAGE})
async def show_all(request: web.Request) -> web.Response:
    """The registrations that were recorded, by number of receivable: a bank's own; those who oversee see all."""
    asking, context = require(request, "bank", "operator", "regulator", scope="read"), request.app[CONTEXT]
    parameters = wire.query(request, "limit", "cursor")
    limit, after = wire.page_limit(parameters), wire.cursor(parameters)
    whose = None if asking.roles.intersection(_OFFICES) else asking.member_id
    rows = await context.read(
        lambda connection: registry_store.recorded(connection, party=whose, after=after, limit=limit)
    )
    items = [KeptShown(row.receivable_id.hex(), _shown(row), State(row.state).ended) for row in rows]
    return wire.reply(wire.page(items, rows[-1].place if len(rows) == limit else None))


@operation(
    AskedAnswer,
    status=202,
    who=("bank",),
    scope="finance",
    path={"number": Annotated[str, msgspec.Meta(max_length=40)]},
    body=CancellationBody,
    refuses=("404 not_found", "409 no_registry not_ended", "503 registry_unavailable"),
)
async def ask_to_cancel(request: web.Request) -> web.Response:
    """The registry is asked to cancel a registration whose receivable has ended, as is due within ten working days."""
    bank, context = require(request, "bank", scope="finance"), request.app[CONTEXT]
    number = request.match_info["number"]
    body = await wire.read(request, CancellationBody)
    asked = _registry_of(context)

    def look(connection: Connection) -> None:
        found = registry_store.registration(connection, number)
        if found is None or found.party != bank.member_id:
            raise not_found("registration")
        row = store.receivable(connection, found.receivable_id)
        assert row is not None, "a registration is of a receivable"
        if not State(row.state).ended and row.holder == bank.member_id:
            raise refuse(409, "not_ended", f"the receivable is {row.state}, and yours")

    await context.read(look)
    await _ask(context, lambda: asked.cancel(Receipt(number, body.amendment_code)))
    return wire.reply(AskedAnswer(f"cancel-{number}", number), status=202)


def _registry_of(context: Context) -> Registry:
    if context.outside.registry is None:
        raise refuse(409, "no_registry", "this market asks no registry: register at its site, and record the number")
    return context.outside.registry


async def _ask(context: Context, ask: Callable[[], T]) -> T:
    try:
        return await context.in_thread(ask)
    except RegistryError as error:
        raise unavailable("registry_unavailable", str(error), 60) from error


def routes() -> list[web.RouteDef]:
    return [
        web.get("/v1/receivables/{receivable}/registration", show),
        web.post("/v1/receivables/{receivable}/registration", record),
        web.post("/v1/receivables/{receivable}/registration/request", ask_to_register),
        web.get("/v1/registrations", show_all),
        web.post("/v1/registrations/{number}/cancellation", ask_to_cancel),
    ]
