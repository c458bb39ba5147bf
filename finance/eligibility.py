"""What a bank finances, as data: its criteria, a receivable to be looked at, and every criterion that it fails, named.

Pure; who gathers candidates and books from the database is ``criteria_store.py``. For standing programs and for whoever
finances by rule::

    failed = failures(criteria, candidate, book)          # () when it may be financed
    for candidate, failed in in_order(criteria, candidates, book): ...

Concentration is a share of the bank's book *with* the candidate in it. A book that is empty, or small, would fail any
share: what is divided by is never less than ``book_at_least_fen``, the book that the bank means to have (0: the book as
it is, and the first receivable is all of it). Several candidates are taken one after another: whoever passes is in the
book that the next is held against.

Amounts are whole fen, shares whole parts per million; a share is compared by cross-multiplication, never divided.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Literal, NamedTuple

import msgspec

from data.units import FEN_DECIMALS, format_steps
from finance.credit.ratings import PLACES
from finance.offer import PPM, format_rate

Recourse = Literal["with", "without"]
Fen = Annotated[int, msgspec.Meta(ge=0, le=10**15)]
Ppm = Annotated[int, msgspec.Meta(ge=0, le=PPM)]
Days = Annotated[int, msgspec.Meta(ge=0, le=3_650)]


class Criteria(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A bank's criteria; what is None, empty or False is not asked. Bounds are included.

    ``cross_ageing_ppm``: no debtor more of whose open debt here than this share is overdue. ``sources``: kinds of
    meters, and ``mixed``. ``recourse``: how the bank buys.
    """

    acknowledged: bool = True
    tenor_from_days: Days | None = None
    tenor_to_days: Days | None = None
    rating_at_least: str | None = None
    debtor_share_ppm: Ppm | None = None
    seller_share_ppm: Ppm | None = None
    book_at_least_fen: Fen = 0
    cross_ageing_ppm: Ppm | None = None
    face_from_fen: Fen | None = None
    face_to_fen: Fen | None = None
    sources: tuple[str, ...] = ()
    recourse: Recourse | None = None
    fapiao: bool = False
    registry: bool = False


class Candidate(NamedTuple):
    """A receivable as criteria look at it.

    ``exposure_fen`` is what the bank would advance on it (the face, as long as nobody has said). ``rating`` is the
    debtor's, None when it has none. ``overdue_fen`` of ``debt_fen`` is overdue of all that the debtor owes here.
    ``with_recourse`` None: not said yet, and not asked.
    """

    receivable_id: bytes
    creditor: int
    debtor: int
    is_acknowledged: bool
    tenor_days: int
    face_fen: int
    exposure_fen: int
    rating: str | None
    overdue_fen: int
    debt_fen: int
    source: str
    with_recourse: bool | None
    has_fapiao: bool
    has_registration: bool


class Book(NamedTuple):
    """What a bank is exposed to, in fen: by debtor, by seller, and in all."""

    by_debtor: Mapping[int, int]
    by_seller: Mapping[int, int]
    total_fen: int

    def with_candidate(self, candidate: Candidate) -> "Book":
        """The book once the candidate is in it."""
        return Book(
            _more(self.by_debtor, candidate.debtor, candidate.exposure_fen),
            _more(self.by_seller, candidate.creditor, candidate.exposure_fen),
            self.total_fen + candidate.exposure_fen,
        )


EMPTY = Book({}, {}, 0)


def _more(amounts: Mapping[int, int], member: int, amount_fen: int) -> Mapping[int, int]:
    return {**amounts, member: amounts.get(member, 0) + amount_fen}


class Failure(msgspec.Struct, frozen=True):
    """A criterion that is not met: its stable code, what the bank wants, and what was found."""

    code: str
    wanted: str
    found: str


CODES = (
    "not_acknowledged",
    "tenor_too_short",
    "tenor_too_long",
    "rating_missing",
    "rating_too_low",
    "too_small",
    "too_large",
    "wrong_source",
    "wrong_recourse",
    "fapiao_missing",
    "registration_missing",
    "cross_ageing",
    "debtor_concentration",
    "seller_concentration",
)


def failures(criteria: Criteria, candidate: Candidate, book: Book) -> tuple[Failure, ...]:
    """Every criterion that a candidate fails, in the order of CODES; none: the bank's rules let it in."""
    return (
        *_of_itself(criteria, candidate),
        *_of_papers(criteria, candidate),
        *_of_debtor(criteria, candidate),
        *_of_book(criteria, candidate, book),
    )


def in_order(
    criteria: Criteria, candidates: Iterable[Candidate], book: Book
) -> Iterator[tuple[Candidate, tuple[Failure, ...]]]:
    """Candidates one after another: who passes is in the book that the next is held against."""
    for candidate in candidates:
        failed = failures(criteria, candidate, book)
        if not failed:
            book = book.with_candidate(candidate)
        yield candidate, failed


def _of_itself(criteria: Criteria, candidate: Candidate) -> Iterator[Failure]:
    if criteria.acknowledged and not candidate.is_acknowledged:
        yield Failure("not_acknowledged", "acknowledged by its debtor", "not acknowledged")
    days = candidate.tenor_days
    if criteria.tenor_from_days is not None and days < criteria.tenor_from_days:
        yield Failure("tenor_too_short", f"at least {criteria.tenor_from_days} days", f"{days} days")
    if criteria.tenor_to_days is not None and days > criteria.tenor_to_days:
        yield Failure("tenor_too_long", f"at most {criteria.tenor_to_days} days", f"{days} days")
    least = criteria.rating_at_least
    if least is not None and candidate.rating is None:
        yield Failure("rating_missing", f"{least} or better", "the debtor has no rating")
    elif least is not None and candidate.rating is not None and PLACES[candidate.rating] > PLACES[least]:
        yield Failure("rating_too_low", f"{least} or better", candidate.rating)
    if criteria.face_from_fen is not None and candidate.face_fen < criteria.face_from_fen:
        yield Failure("too_small", f"at least {_cny(criteria.face_from_fen)}", _cny(candidate.face_fen))
    if criteria.face_to_fen is not None and candidate.face_fen > criteria.face_to_fen:
        yield Failure("too_large", f"at most {_cny(criteria.face_to_fen)}", _cny(candidate.face_fen))
    if criteria.sources and candidate.source not in criteria.sources:
        yield Failure("wrong_source", " or ".join(criteria.sources), candidate.source or "not known")


def _of_papers(criteria: Criteria, candidate: Candidate) -> Iterator[Failure]:
    wanted, found = criteria.recourse, candidate.with_recourse
    if wanted is not None and found is not None and found != (wanted == "with"):
        yield Failure("wrong_recourse", f"{wanted} recourse", f"{'with' if found else 'without'} recourse")
    if criteria.fapiao and not candidate.has_fapiao:
        yield Failure("fapiao_missing", "a verified tax invoice", "none")
    if criteria.registry and not candidate.has_registration:
        yield Failure("registration_missing", "a registration for this bank", "none")


def _of_debtor(criteria: Criteria, candidate: Candidate) -> Iterator[Failure]:
    """What exactly is overdue is the debtor's business: only that it is too much is said."""
    most = criteria.cross_ageing_ppm
    if most is not None and candidate.overdue_fen * PPM > most * candidate.debt_fen:
        yield Failure("cross_ageing", f"at most {format_rate(most)} of the debtor's debt overdue", "more")


def _of_book(criteria: Criteria, candidate: Candidate, book: Book) -> Iterator[Failure]:
    grown = book.with_candidate(candidate)
    whole_fen = max(grown.total_fen, criteria.book_at_least_fen)
    for code, most, amount_fen in (
        ("debtor_concentration", criteria.debtor_share_ppm, grown.by_debtor[candidate.debtor]),
        ("seller_concentration", criteria.seller_share_ppm, grown.by_seller[candidate.creditor]),
    ):
        if most is not None and amount_fen * PPM > most * whole_fen:
            share_ppm = -(-amount_fen * PPM // whole_fen)
            yield Failure(code, f"at most {format_rate(most)} of the book", format_rate(share_ppm))


def _cny(amount_fen: int) -> str:
    return f"{format_steps(amount_fen, FEN_DECIMALS)} CNY"
