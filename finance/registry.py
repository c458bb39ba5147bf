"""The registry of movable-property financing (中登网), as far as a sale needs it: what a search showed, and what bars.

The unified registration system of the PBoC's Credit Reference Center (www.zhongdengwang.org.cn; PBoC Order [2021]
No. 7) publishes what the registrant wrote and examines nothing. Who takes security registers it: both parties, a
description of the object, a term in months; the system answers with a number and an amendment code (修改码), without
which nothing is amended, extended or cancelled. It is searched by the legal name of the *grantor* (担保人), an
individual's by identity number; what is found comes as a search certificate with a number and a time.

``Registry`` is the port, ``registry_folder.py`` the adapter that ships. The rules here are pure. They err on the safe
side: whatever a registration does not show to be about something else bars the sale, until it is cancelled, has run
out, or releases the receivable by name.
"""

import calendar
import unicodedata
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec

from data.units import format_instant, parse_instant_s
from settlement.keccak import keccak

SEARCH_HOLDS_S = 24 * 3600
"""A search older than this proves nothing (finance.md, "Selling to a bank")."""

LONGEST_TERM_MONTHS = 360
"""A registration's term is from one month to thirty years, and is extended before it ends."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_Number = Annotated[str, msgspec.Meta(min_length=8, max_length=40, pattern="^[0-9A-Za-z-]+$")]
_Code = Annotated[str, msgspec.Meta(max_length=18, pattern="^[0-9A-Z]*$")]
_Day = Annotated[str, msgspec.Meta(pattern="^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
_Time = Annotated[str, msgspec.Meta(max_length=20)]


class RegistryError(Exception):
    """The registry can not be asked, or what it answered can not be read. Nothing may be sold on it meanwhile."""


class Refusal(NamedTuple):
    """Why something outside the market bars a listing or a sale; ``code`` is stable."""

    code: str
    reason: str


class Named(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A party as the registry knows it; ``code`` is its unified social credit code or identity number."""

    name: _Name
    code: _Code = ""


Business = Literal["receivable_pledge", "factoring", "chattel", "deposit_or_warehouse", "lease", "retention", "other"]
"""What kinds of security are registered: pledge and assignment of receivables are about receivables, and ``other`` may
be; goods, deposits, leases and retained title are not."""

_ABOUT_RECEIVABLES = ("receivable_pledge", "factoring", "other")


class Form(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a registrant writes. ``grantors`` give security or assign (担保人), ``secured`` take it (担保权人).

    What follows ``description`` says in fields what it says in words; what is empty is left open: an assignment
    without debtors, period and invoices is one of all receivables.
    """

    business: Business
    grantors: Annotated[tuple[Named, ...], msgspec.Meta(min_length=1)]
    secured: Annotated[tuple[Named, ...], msgspec.Meta(min_length=1)]
    description: _Text
    amount: str = ""
    term_months: Annotated[int, msgspec.Meta(ge=1, le=LONGEST_TERM_MONTHS)]
    debtors: tuple[Named, ...] = ()
    first_day: _Day = ""
    last_day: _Day = ""
    invoices: tuple[str, ...] = ()
    receivables: tuple[str, ...] = ()


class Release(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The secured party's word that its registration does not reach a receivable: its id, or its invoice's number."""

    of: _Name
    released_at: _Time

    def __post_init__(self) -> None:
        parse_instant_s(self.released_at)


class Registration(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A registration as its certificate shows it, amended and extended as it is now."""

    number: _Number
    registered_at: _Time
    form: Form
    cancelled_at: _Time = ""
    releases: tuple[Release, ...] = ()

    def __post_init__(self) -> None:
        parse_instant_s(self.registered_at)
        if self.cancelled_at:
            parse_instant_s(self.cancelled_at)


class Receipt(NamedTuple):
    """What the registry answers to a new registration; the amendment code is the registrant's secret."""

    number: str
    amendment_code: str


class SearchCertificate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a search by grantor found: the registration numbers, cancelled ones left out by the registry itself."""

    number: _Number
    searched_at: _Time
    grantor: Named
    found: tuple[_Number, ...] = ()

    def __post_init__(self) -> None:
        parse_instant_s(self.searched_at)


class Found(NamedTuple):
    """The newest search by a grantor, and every registration that names it, known by search or otherwise."""

    search: SearchCertificate
    registrations: tuple[Registration, ...]


class Registry(Protocol):
    """What a connection to the registry does. Each raises RegistryError when it can not.

    A folder answers ``search`` with what a clerk put there, and ``register`` with None until the clerk has put the
    certificate there too; a connection to the web site would ask it then and there.
    """

    def search(self, grantor: Named) -> Found | None: ...
    def register(self, form: Form, reference: str) -> Receipt | None: ...
    def amend(self, receipt: Receipt, form: Form) -> None: ...
    def cancel(self, receipt: Receipt) -> None: ...
    def certificate(self, number: str) -> Registration | None: ...


class Subject(NamedTuple):
    """The receivable that is to be sold, as a registration could describe it; days are ISO."""

    receivable: str
    seller: Named
    debtor: Named
    first_day: str
    last_day: str
    invoice: str | None


class Said(NamedTuple):
    """What a bank says of its registration: number, itself as the secured party, last day of the term."""

    number: str
    secured: Named
    last_day: date


# ----------------------------------------------------------------------------------------------------- rules


def registration_hash(number: str) -> bytes:
    """What stands for a registration's number on the chain: 32 bytes, used once there."""
    return keccak(number.encode())


def same_party(one: Named, other: Named) -> bool:
    """By code where both have one, else by name: full-width forms and spaces do not matter."""
    if one.code and other.code:
        return one.code == other.code
    return _plain(one.name) == _plain(other.name)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split()).casefold()


def ends_s(found: Registration) -> int:
    """When a registration has run out: its term counts in calendar months."""
    start = datetime.fromtimestamp(parse_instant_s(found.registered_at), UTC)
    months = start.month - 1 + found.form.term_months
    year, month = start.year + months // 12, months % 12 + 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())


def last_day(found: Registration) -> date:
    """The last whole day of a registration's term."""
    return (datetime.fromtimestamp(ends_s(found), UTC) - timedelta(days=1)).date()


def is_in_force(found: Registration, now_s: int) -> bool:
    """Whether it stands at this time: neither cancelled by then nor run out."""
    cancelled = bool(found.cancelled_at) and parse_instant_s(found.cancelled_at) <= now_s
    return not cancelled and now_s < ends_s(found)


def reaches(form: Form, subject: Subject) -> bool:
    """Whether a registration may be about this receivable. False only where it shows that it is about another."""
    if form.business not in _ABOUT_RECEIVABLES or not any(same_party(each, subject.seller) for each in form.grantors):
        return False
    if subject.receivable in form.receivables or (subject.invoice is not None and subject.invoice in form.invoices):
        return True
    if form.receivables or (form.invoices and subject.invoice is not None):
        return False
    if form.debtors and not any(same_party(each, subject.debtor) for each in form.debtors):
        return False
    begins_later = bool(form.first_day) and form.first_day > subject.last_day
    ended_before = bool(form.last_day) and form.last_day < subject.first_day
    return not begins_later and not ended_before


def is_released(found: Registration, subject: Subject, now_s: int) -> bool:
    """Whether its secured party let this receivable go."""
    names = {subject.receivable, subject.invoice}
    return any(each.of in names and parse_instant_s(each.released_at) <= now_s for each in found.releases)


class Exempt(NamedTuple):
    """What bars nothing: registrations that secure the buyer alone, and the one under which the receivable was sold.

    That one is known on the chain, where only what its holder does not own can be pledged to another.
    """

    buyer: Named | None = None
    sold_under: bytes | None = None

    def holds(self, found: Registration) -> bool:
        """Whether a registration is one of them."""
        if self.sold_under is not None and registration_hash(found.number) == self.sold_under:
            return True
        return self.buyer is not None and all(same_party(each, self.buyer) for each in found.form.secured)


NOTHING = Exempt()


def conflicts(
    found: Sequence[Registration], subject: Subject, now_s: int, exempt: Exempt = NOTHING
) -> list[Registration]:
    """The registrations that bar a sale."""
    return [
        each
        for each in found
        if is_in_force(each, now_s)
        and reaches(each.form, subject)
        and not is_released(each, subject, now_s)
        and not exempt.holds(each)
    ]


def mismatch(found: Registration, subject: Subject, said: Said, now_s: int) -> str | None:
    """Why a certificate is not the registration of a purchase, as the end of a sentence; None: it is."""
    if not is_in_force(found, now_s):
        return "is cancelled or has run out"
    if not any(same_party(each, said.secured) for each in found.form.secured):
        return "does not secure you"
    if not reaches(found.form, subject):
        return "is about something else"
    last = last_day(found)
    return f"stands until {last}" if said.last_day > last else None


def refusal_of(found: Found | None, subject: Subject, now_s: int, exempt: Exempt = NOTHING) -> Refusal | None:
    """Why a receivable may not be listed or sold on what the registry showed; None: it may."""
    if found is None:
        return Refusal("registry_search_missing", f"nobody has searched the registry for {subject.seller.name} yet")
    searched_s = parse_instant_s(found.search.searched_at)
    if not now_s - SEARCH_HOLDS_S < searched_s <= now_s:
        shown = f"search {found.search.number} is of {format_instant(searched_s)}"
        return Refusal("registry_search_stale", f"{shown}; it must be less than 24 hours old")
    known = {each.number for each in found.registrations}
    unread = [number for number in found.search.found if number not in known]
    if unread:
        return Refusal("registry_search_incomplete", f"the search found {unread[0]}, whose certificate is not there")
    barring = conflicts(found.registrations, subject, now_s, exempt)
    if barring:
        secured = ", ".join(each.name for each in barring[0].form.secured)
        return Refusal("registry_conflict", f"registration {barring[0].number} of {secured} reaches this receivable")
    return None
