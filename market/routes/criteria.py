"""What a bank finances, as data: kept in versions, and held by us against what it looks at, each failure named.

A criterion bars nothing by itself: an offer is the bank's own decision. Standing programs finance by the same rules.
"""

from typing import Annotated

import msgspec
from aiohttp import web
from sqlalchemy import Connection

from data.units import UnitError
from finance import criteria_store, store
from finance.book import may_see
from finance.credit.ratings import RATINGS
from finance.eligibility import CODES, Criteria, Failure, Recourse, in_order
from finance.listing import Viewer
from finance.listing_store import with_consents
from finance.offer import PPM, format_rate, parse_rate_ppm
from market import wire
from market.context import CONTEXT, Context
from market.identity import require
from market.openapi.fields import Fen, FenGiven, Hash, Rate, RateGiven, choice
from market.openapi.operation import operation
from market.problems import not_found, refuse
from market.receivable_views import fen_text, money_fen, receivable_id_of, viewer_of
from settlement import calendar

Rating = Annotated[str, choice(*RATINGS)]
Days = Annotated[int, msgspec.Meta(ge=0, le=3_650)]
Source = Annotated[str, msgspec.Meta(min_length=1, max_length=20)]

_SHARES = ("debtor_share", "seller_share", "cross_ageing")
_AMOUNTS = ("book_at_least", "face_from", "face_to")


class CriteriaBody(wire.Body, frozen=True):
    """What is left out is not asked. Shares are of the bank's book with the candidate in it, never of less than
    ``book_at_least``; ``cross_ageing`` is the share of the debtor's debt here that may be overdue.
    """

    acknowledged: bool = True
    tenor_from_days: Days | None = None
    tenor_to_days: Days | None = None
    rating_at_least: Rating | None = None
    debtor_share: RateGiven | None = None
    seller_share: RateGiven | None = None
    book_at_least: FenGiven | None = None
    cross_ageing: RateGiven | None = None
    face_from: FenGiven | None = None
    face_to: FenGiven | None = None
    sources: Annotated[tuple[Source, ...], msgspec.Meta(max_length=20)] = ()
    recourse: Recourse | None = None
    fapiao: bool = False
    registry: bool = False


class CriteriaShown(msgspec.Struct, frozen=True):
    """A bank's criteria; `version` 0 are the defaults, before it has said anything."""

    version: int
    acknowledged: bool
    tenor_from_days: int | None
    tenor_to_days: int | None
    rating_at_least: Rating | None
    debtor_share: Rate | None
    seller_share: Rate | None
    book_at_least: Fen
    cross_ageing: Rate | None
    face_from: Fen | None
    face_to: Fen | None
    sources: list[str]
    recourse: Recourse | None
    fapiao: bool
    registry: bool


class CheckBody(wire.Body, frozen=True):
    """Receivables in the order in which they would be taken: what passes is in the book that the next meets."""

    receivables: Annotated[list[Hash], msgspec.Meta(min_length=1, max_length=100)]


class FailureShown(msgspec.Struct, frozen=True):
    """A criterion that is not met, in words of what is wanted and what was found."""

    code: Annotated[str, choice(*CODES)]
    wanted: str
    found: str


class Checked(msgspec.Struct, frozen=True):
    """A receivable held against the bank's criteria and its book as they are now."""

    receivable: Hash
    eligible: bool
    failures: list[FailureShown]


class CheckedAnswer(msgspec.Struct, frozen=True):
    """Each receivable in the order in which it was named; ``version`` is that of the criteria."""

    version: int
    receivables: list[Checked]


@operation(
    CriteriaShown,
    who=("bank",),
    scope="finance",
    body=CriteriaBody,
    refuses=("422 bad_rate bad_amount bad_rating bad_range",),
)
async def put(request: web.Request) -> web.Response:
    """What the bank finances from now on; earlier versions are kept."""
    context, bank = request.app[CONTEXT], require(request, "bank", scope="finance")
    asked, now_s = _criteria(await wire.read(request, CriteriaBody)), context.clock.now_s()

    def write(connection: Connection) -> int:
        return criteria_store.set_criteria(connection, bank.member_id, asked, now_s)

    return await context.write_and_answer(write, lambda version: wire.reply(_shown(asked, version)))


@operation(CriteriaShown, who=("bank",), scope="read")
async def show(request: web.Request) -> web.Response:
    """What the bank finances."""
    context, bank = request.app[CONTEXT], require(request, "bank", scope="read")
    wire.query(request)
    return wire.reply(_shown(*await context.read(lambda it: criteria_store.criteria_of(it, bank.member_id))))


@operation(
    CheckedAnswer, who=("bank",), scope="finance", body=CheckBody, refuses=("404 not_found", "422 bad_receivable")
)
async def check(request: web.Request) -> web.Response:
    """Up to 100 receivables held against the bank's criteria, one after another, with its book as it grows."""
    context, bank = request.app[CONTEXT], require(request, "bank", scope="finance")
    body = await wire.read(request, CheckBody)
    ids = [wire.hex_bytes(each, 32, f"receivables[{n}]", "bad_receivable") for n, each in enumerate(body.receivables)]
    answer = await context.read(lambda connection: _check(connection, context, viewer_of(bank), ids))
    return wire.reply(answer)


@operation(Checked, who=("bank",), scope="read", path={"receivable": Hash}, refuses=("404 not_found",))
async def show_one(request: web.Request) -> web.Response:
    """One receivable held against the bank's criteria and its book."""
    context, bank = request.app[CONTEXT], require(request, "bank", scope="read")
    receivable_id = receivable_id_of(request)
    answer = await context.read(lambda connection: _check(connection, context, viewer_of(bank), [receivable_id]))
    return wire.reply(answer.receivables[0])


def _check(connection: Connection, context: Context, viewer: Viewer, ids: list[bytes]) -> CheckedAnswer:
    now_s = context.clock.now_s()
    seeing = with_consents(connection, viewer, now_s)
    found = store.receivables_by_id(connection, ids)
    if not all(each in found and may_see(connection, seeing, found[each]) for each in ids):
        raise not_found("receivable")
    today = calendar.day_of(now_s, context.config.market.time_zone)
    asked, version = criteria_store.criteria_of(connection, viewer.member)
    book = criteria_store.book_of(connection, viewer.member)
    candidates = criteria_store.candidates(connection, [found[each] for each in ids], viewer.member, today)
    checked = [_checked(each.receivable_id, failed) for each, failed in in_order(asked, candidates, book)]
    return CheckedAnswer(version, checked)


def _checked(receivable_id: bytes, failed: tuple[Failure, ...]) -> Checked:
    return Checked(
        receivable_id.hex(), not failed, [FailureShown(each.code, each.wanted, each.found) for each in failed]
    )


def _criteria(body: CriteriaBody) -> Criteria:
    """A body as rules take it. Raises ProblemError."""
    if body.rating_at_least is not None and body.rating_at_least not in RATINGS:
        raise refuse(422, "bad_rating", f"ratings are {', '.join(RATINGS)}", "rating_at_least")
    for lower, upper in (("tenor_from_days", "tenor_to_days"),):
        first, last = getattr(body, lower), getattr(body, upper)
        if first is not None and last is not None and first > last:
            raise refuse(422, "bad_range", "it ends before it begins", upper)
    shares = {f"{name}_ppm": _share_ppm(getattr(body, name), name) for name in _SHARES}
    amounts = {f"{name}_fen": _fen(getattr(body, name), name) for name in _AMOUNTS}
    first_fen, last_fen = amounts["face_from_fen"], amounts["face_to_fen"]
    if first_fen is not None and last_fen is not None and first_fen > last_fen:
        raise refuse(422, "bad_range", "it ends before it begins", "face_to")
    return Criteria(
        acknowledged=body.acknowledged,
        tenor_from_days=body.tenor_from_days,
        tenor_to_days=body.tenor_to_days,
        rating_at_least=body.rating_at_least,
        debtor_share_ppm=shares["debtor_share_ppm"],
        seller_share_ppm=shares["seller_share_ppm"],
        book_at_least_fen=amounts["book_at_least_fen"] or 0,
        cross_ageing_ppm=shares["cross_ageing_ppm"],
        face_from_fen=first_fen,
        face_to_fen=last_fen,
        sources=body.sources,
        recourse=body.recourse,
        fapiao=body.fapiao,
        registry=body.registry,
    )


def _share_ppm(text: str | None, field: str) -> int | None:
    if text is None:
        return None
    try:
        ppm = parse_rate_ppm(text)
    except UnitError as error:
        raise refuse(422, "bad_rate", str(error), field) from error
    if ppm > PPM:
        raise refuse(422, "bad_rate", "a share is at most 1", field)
    return ppm


def _fen(text: str | None, field: str) -> int | None:
    return None if text is None else money_fen(text, field)


def _shown(asked: Criteria, version: int) -> CriteriaShown:
    def share(ppm: int | None) -> str | None:
        return None if ppm is None else format_rate(ppm)

    def amount(fen: int | None) -> str | None:
        return None if fen is None else fen_text(fen)

    return CriteriaShown(
        version=version,
        acknowledged=asked.acknowledged,
        tenor_from_days=asked.tenor_from_days,
        tenor_to_days=asked.tenor_to_days,
        rating_at_least=asked.rating_at_least,
        debtor_share=share(asked.debtor_share_ppm),
        seller_share=share(asked.seller_share_ppm),
        book_at_least=fen_text(asked.book_at_least_fen),
        cross_ageing=share(asked.cross_ageing_ppm),
        face_from=amount(asked.face_from_fen),
        face_to=amount(asked.face_to_fen),
        sources=list(asked.sources),
        recourse=asked.recourse,
        fapiao=asked.fapiao,
        registry=asked.registry,
    )


def routes() -> list[web.RouteDef]:
    return [
        web.put("/v1/criteria", put),
        web.get("/v1/criteria", show),
        web.post("/v1/criteria/check", check),
        web.get("/v1/receivables/{receivable}/eligibility", show_one),
    ]
