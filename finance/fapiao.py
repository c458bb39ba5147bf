"""The tax invoice of a receivable: a fully digitalised e-invoice (数电发票), its rules, the tax office's word.

Such an invoice has one number of 20 digits and no code: two of the year, two of the tax office's province, one of the
channel it was issued through, fifteen of a serial number (State Taxation Administration, Announcement 2024 No. 11 on
the use of fully digitalised e-invoices). Anyone verifies it at the tax office's platform (全国增值税发票查验平台) by
number, day of issue and total.

*The total is the face.* A face is what the debtor owes for the period, tax included, in whole fen; what is below a fen
is carried to the next period and is invoiced there, with the face that it becomes part of. So one invoice stands for
one receivable and its total (价税合计) is the face, to the fen. Each number is used once over all receivables.
"""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec

from data.units import FEN_DECIMALS, format_steps, parse_instant_s, parse_money_fen
from finance.registry import Named, Refusal, same_party
from finance.registry_folder import read_document

_NUMBER = re.compile(r"(?P<year>\d\d)(?P<province>\d\d)\d{16}", re.ASCII)

State = Literal["unverified", "verified", "refused", "replaced"]
"""``replaced``: the seller recorded another one after it, whose number stays used."""


class Fapiao(NamedTuple):
    """What the seller says of an invoice; ``net_fen`` is without tax (金额), ``tax_fen`` the tax (税额)."""

    number: str
    issued: date
    net_fen: int
    tax_fen: int
    total_fen: int
    seller: Named
    buyer: Named


class Owed(NamedTuple):
    """The receivable that it is for."""

    face_fen: int
    first_day: date
    seller: Named
    buyer: Named


class Verdict(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the tax office shows of an invoice. ``void``: cancelled; ``red``: reversed by a red-letter invoice."""

    number: str
    issued: Annotated[str, msgspec.Meta(pattern=r"^\d{4}-\d{2}-\d{2}$")]
    total: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{1,12}\.[0-9]{2}$")]
    seller: Named
    buyer: Named
    status: Literal["valid", "void", "red"]
    checked_at: str

    def __post_init__(self) -> None:
        parse_instant_s(self.checked_at)


class FapiaoVerifier(Protocol):
    """Asks the tax office; None: it has not answered yet. Raises RegistryError when it can not be asked."""

    def verify(self, number: str, issued: date, total_fen: int) -> Verdict | None: ...


@dataclass(frozen=True, slots=True)
class FapiaoFolder:
    """Answers of the tax office as files: ``<number>.json``, each a ``Verdict``, put there by a clerk."""

    folder: Path

    def verify(self, number: str, issued: date, total_fen: int) -> Verdict | None:
        """The answer for a number; day and total are what the web site would be asked with."""
        assert _NUMBER.fullmatch(number), "a number is checked before it becomes a path"
        path = self.folder.joinpath(f"{number}.json")
        return read_document(path, Verdict) if path.exists() else None


# ----------------------------------------------------------------------------------------------------- rules


def refusal_of(said: Fapiao, owed: Owed, today: date) -> Refusal | None:
    """Why an invoice can not be that of a receivable; None: nothing speaks against it."""
    return _form_refusal(said, owed, today) or _amount_refusal(said, owed) or _party_refusal(said, owed)


def _form_refusal(said: Fapiao, owed: Owed, today: date) -> Refusal | None:
    found = _NUMBER.fullmatch(said.number)
    if found is None or found["province"] == "00":
        return Refusal("bad_fapiao", "a fully digitalised e-invoice has a number of 20 digits")
    if int(found["year"]) != said.issued.year % 100:
        return Refusal("bad_fapiao", f"the number begins with another year than {said.issued.year}")
    if not owed.first_day <= said.issued <= today:
        return Refusal("bad_fapiao", f"it was issued between {owed.first_day}, when delivery began, and today")
    return None


def _amount_refusal(said: Fapiao, owed: Owed) -> Refusal | None:
    if said.net_fen <= 0 or said.tax_fen < 0 or said.net_fen + said.tax_fen != said.total_fen:
        return Refusal("fapiao_amount", "net and tax come to the total; net is positive")
    if said.total_fen != owed.face_fen:
        face = format_steps(owed.face_fen, FEN_DECIMALS)
        return Refusal("fapiao_amount", f"the total, tax included, is the face: {face} CNY")
    return None


def _party_refusal(said: Fapiao, owed: Owed) -> Refusal | None:
    for role, on_invoice, here in (("seller", said.seller, owed.seller), ("buyer", said.buyer, owed.buyer)):
        if not same_party(on_invoice, here):
            return Refusal("fapiao_party", f"the {role} on it is not {here.name}; see /v1/particulars")
    return None


def judge(said: Fapiao, verdict: Verdict | None) -> tuple[State, str]:
    """What becomes of an invoice with the tax office's answer, and why it is refused."""
    if verdict is None:
        return "unverified", ""
    if verdict.status != "valid":
        return "refused", f"the tax office shows it as {verdict.status}"
    seen = (verdict.number, verdict.issued, parse_money_fen(verdict.total))
    if seen != (said.number, said.issued.isoformat(), said.total_fen):
        return "refused", "the tax office shows another number, day or total"
    if not (same_party(verdict.seller, said.seller) and same_party(verdict.buyer, said.buyer)):
        return "refused", "the tax office shows another seller or buyer"
    return "verified", ""
