"""What must be in order outside the market before a receivable is listed or sold: registry and tax invoice.

``Outside`` is given to whoever lists and sells. Each question is answered with a ``Refusal``, or None when nothing is
in the way; a market without a registry asks none, and says so (``GET /v1/market``).
"""

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from sqlalchemy import Connection, Row

from data.units import FEN_DECIMALS, format_steps
from finance import fapiao, registry, registry_store
from finance.fapiao import Fapiao, FapiaoVerifier, Owed, State
from finance.particulars import is_organisation
from finance.registry import Exempt, Form, Named, Refusal, Registry, RegistryError, Said, Subject

FapiaoNeed = Literal["no", "recorded", "verified"]
"""What a listing asks of a receivable's tax invoice."""


@dataclass(frozen=True, slots=True)
class Outside:
    """``registry`` None: there is none, and nothing is searched; ``fapiao`` None: no tax office is asked."""

    registry: Registry | None = None
    fapiao: FapiaoVerifier | None = None
    fapiao_need: FapiaoNeed = "no"

    def listing_refusal(self, connection: Connection, row: Row[Any], now_s: int) -> Refusal | None:
        """Why a row of ``receivables`` may not be put up for sale now."""
        return self._fapiao_refusal(connection, row) or self._search_refusal(connection, row, now_s)

    def sale_refusal(
        self, connection: Connection, row: Row[Any], bank: int, registration_hash: bytes, now_s: int
    ) -> Refusal | None:
        """Why it may not be sold to this bank under this registration now; the registry is searched again."""
        again = self._fapiao_refusal(connection, row) or self._search_refusal(connection, row, now_s, bank)
        return again or self._registration_refusal(connection, row, bank, registration_hash)

    def standing_refusal(self, connection: Connection, row: Row[Any], bank: int, now_s: int) -> Refusal | None:
        """Why it may not be sold to a bank whose one registration covers a whole program."""
        return self._fapiao_refusal(connection, row) or self._search_refusal(connection, row, now_s, bank)

    def registering_refusal(self, connection: Connection, row: Row[Any], said: Said, now_s: int) -> Refusal | None:
        """Why what a bank says of a registration is not what the registry shows of it."""
        if self.registry is None:
            return None
        try:
            found = self.registry.certificate(said.number)
        except RegistryError as error:
            return _unavailable(error)
        if found is None:
            return Refusal("registration_unknown", f"the registry has no certificate {said.number}")
        why = registry.mismatch(found, subject_of(connection, row), said, now_s)
        return None if why is None else Refusal("registration_mismatch", f"registration {said.number} {why}")

    def _search_refusal(
        self, connection: Connection, row: Row[Any], now_s: int, bank: int | None = None
    ) -> Refusal | None:
        if self.registry is None:
            return None
        subject = subject_of(connection, row)
        try:
            found = self.registry.search(subject.seller)
        except RegistryError as error:
            return _unavailable(error)
        buyer = None if bank is None else party_of(connection, bank)
        exempt = Exempt(buyer, row.registration)
        return registry.refusal_of(found, subject, now_s, exempt)

    def _registration_refusal(
        self, connection: Connection, row: Row[Any], bank: int, registration_hash: bytes
    ) -> Refusal | None:
        if self.registry is None:
            return None
        found = registry_store.registration_by_hash(connection, registration_hash)
        if found is None or (found.receivable_id, found.party) != (row.receivable_id, bank):
            return Refusal("registration_missing", "record the number of this sale's registration first")
        if found.expires_day < row.due_day:
            return Refusal(
                "registration_too_short", f"the registration ends on {found.expires_day}, before the due day"
            )
        return None

    def _fapiao_refusal(self, connection: Connection, row: Row[Any]) -> Refusal | None:
        if self.fapiao_need == "no":
            return None
        found = registry_store.fapiao_of(connection, row.receivable_id)
        if found is None:
            return Refusal("fapiao_missing", "record the tax invoice of this receivable first")
        try:
            state, reason = self.judge(said_of(found))
        except RegistryError as error:
            return _unavailable(error)
        if state == "refused" or (state != "verified" and self.fapiao_need == "verified"):
            return Refusal("fapiao_not_verified", f"tax invoice {found.number} is {state} {reason}".rstrip())
        return None

    def judge(self, said: Fapiao) -> tuple[State, str]:
        """What the tax office says of an invoice now: it may have been reversed since it was recorded.

        Raises RegistryError when it can not be asked.
        """
        if self.fapiao is None:
            return "unverified", ""
        return fapiao.judge(said, self.fapiao.verify(said.number, said.issued, said.total_fen))


def _unavailable(error: RegistryError) -> Refusal:
    return Refusal("registry_unavailable", f"the registry can not be asked: {error}")


def party_of(connection: Connection, member: int) -> Named:
    """A member as the registry would know it: by the particulars that the operator confirmed, else by the name that it
    was admitted under. What a member says of itself alone would let it have another searched in its place."""
    given = registry_store.particulars_of(connection, member, confirmed=True)
    if given is None:
        return Named(registry_store.name_of(connection, member))
    return Named(given.legal_name, given.code)


def shown_party_of(connection: Connection, member: int) -> Named:
    """The same for others' eyes: a person's identity number is left out."""
    party = party_of(connection, member)
    return party if is_organisation(party.code) else Named(party.name)


def subject_of(connection: Connection, row: Row[Any]) -> Subject:
    """A row of ``receivables`` as a registration could describe it."""
    first_day, last_day = registry_store.period_days(connection, row.period)
    invoice = registry_store.fapiao_of(connection, row.receivable_id)
    return Subject(
        receivable=row.receivable_id.hex(),
        seller=party_of(connection, row.creditor),
        debtor=party_of(connection, row.debtor),
        first_day=first_day,
        last_day=last_day,
        invoice=None if invoice is None or invoice.state == "refused" else invoice.number,
    )


def said_of(row: Row[Any]) -> Fapiao:
    """A row of ``fapiao`` as the seller gave it."""
    return Fapiao(
        row.number,
        date.fromisoformat(row.issue_day),
        row.net_fen,
        row.tax_fen,
        row.total_fen,
        Named(row.seller_name, row.seller_code),
        Named(row.buyer_name, row.buyer_code),
    )


def owed_of(connection: Connection, row: Row[Any]) -> Owed:
    """A row of ``receivables`` as a tax invoice would name it."""
    first_day, _ = registry_store.period_days(connection, row.period)
    parties = (party_of(connection, row.creditor), party_of(connection, row.debtor))
    return Owed(row.face_fen, date.fromisoformat(first_day), *parties)


def form_of(connection: Connection, row: Row[Any], bank: int, term_months: int) -> Form:
    """The registration of a sale to a bank, filled in as far as the market knows it."""
    subject = subject_of(connection, row)
    face = format_steps(row.face_fen, FEN_DECIMALS)
    invoice = f",数电发票号码{subject.invoice}" if subject.invoice else ""
    description = (
        f"{subject.seller.name}对{subject.debtor.name}的应收账款(售电电费),编号{row.number}({subject.receivable}),"
        f"供电期间{subject.first_day}至{subject.last_day},金额人民币{face}元,到期日{row.due_day}{invoice}"
    )
    return Form(
        business="factoring",
        grantors=(subject.seller,),
        secured=(party_of(connection, bank),),
        description=description,
        amount=face,
        term_months=term_months,
        debtors=(shown_party_of(connection, row.debtor),),
        first_day=subject.first_day,
        last_day=subject.last_day,
        invoices=(subject.invoice,) if subject.invoice else (),
        receivables=(subject.receivable,),
    )
