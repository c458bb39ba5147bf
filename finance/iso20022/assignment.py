"""tsin.006.001.01 and tsin.008.001.01: a seller asks a bank to take over receivables; the debtor is told that it did.

InvoiceAssignmentRequest goes from the assignor (the seller) to the assignee (the bank); InvoiceAssignmentNotification
goes to the payer (the debtor) and says that the payment obligation belongs to the assignee now. Both hold the same list
of items between a letter's head and the totals. An item is a debit item (``CdtDbtInd`` DBIT): an invoice, not a credit
note. Parties and documents stand in the head under an ``ID`` and are referred to by ``IDREF``.
"""

from dataclasses import dataclass
from datetime import date
from enum import Enum

from lxml import etree

from finance.iso20022.messages import (
    CURRENCY,
    amount_fen,
    amount_text,
    expect_count,
    expect_sum,
    finished,
    open_message,
    plain,
)
from finance.iso20022.shapes import TSIN_006, TSIN_008
from finance.iso20022.xml import MessageError, Writer, find, find_all, text_at

INVOICE = "CINV"
"""External document type code of a commercial invoice."""


class Kind(Enum):
    """Namespace, and names of message, list and its count."""

    REQUEST = (TSIN_006, "InvcAssgnmtReq", "AssgnmtList", "AssgnmtCnt")
    NOTIFICATION = (TSIN_008, "InvcAssgnmtNtfctn", "NtfctnList", "NtfctnCnt")


@dataclass(frozen=True, slots=True)
class Partner:
    """A party by its number here, its legal name and its tax identifier (empty: not given)."""

    number: str
    name: str
    tax_id: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One receivable. ``invoice`` is the tax invoice's number, empty when there is none; net and tax sum to the total.

    ``note`` is for people, ``due_fen`` what is open of the total.
    """

    reference: str
    issued: date
    due: date
    net_fen: int
    tax_fen: int
    due_fen: int
    invoice: str
    note: str

    @property
    def total_fen(self) -> int:
        return self.net_fen + self.tax_fen


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one file is about: items of one seller and one debtor for one bank, payable to ``account``.

    ``asked_fen`` is the advance that the seller asks for or got; 0 leaves it to the bank.
    """

    kind: Kind
    letter: str
    day: date
    seller: Partner
    bank: Partner
    debtor: Partner
    account: str
    items: tuple[Item, ...]
    asked_fen: int = 0


_SELLER, _BANK, _DEBTOR = "SELLER", "BANK", "DEBTOR"


def build(assignment: Assignment) -> bytes:
    """The file. Raises MessageError when a text does not fit."""
    namespace, message, list_name, count_name = assignment.kind.value
    writer = Writer(namespace, message)
    _put_head(writer, assignment)
    listed = writer.put(writer.message, list_name)
    writer.put(listed, "Idr", text=assignment.letter)
    writer.put(listed, "IsseDt", text=assignment.day.isoformat())
    writer.put(listed, "Assgne", text=_BANK)
    writer.put(listed, "Assgnr", text=_SELLER)
    told = writer.put(listed, "NtfctnInf")
    writer.put(told, "NtifngPty", text=_SELLER)
    writer.put(told, "NtfctnRcvr", text=_DEBTOR)
    for number, item in enumerate(assignment.items, 1):
        _put_item(writer, listed, item, number, assignment.account)
    count, total = str(len(assignment.items)), amount_text(sum(item.total_fen for item in assignment.items))
    writer.put(listed, "ItmCnt", text=count)
    writer.put(listed, "CtrlSum", text=total)
    if assignment.asked_fen:
        writer.put(listed, "TtlReqFincg", "Amt", text=amount_text(assignment.asked_fen), Ccy=CURRENCY)
    writer.put(writer.message, count_name, text="1")
    writer.put(writer.message, "ItmCnt", text=count)
    writer.put(writer.message, "CtrlSum", text=total)
    return finished(writer)


def _put_head(writer: Writer, assignment: Assignment) -> None:
    head = writer.put(writer.message, "Hdr")
    letter = writer.put(head, "LttrIdr")
    writer.put(letter, "Id", text="LETTER")
    writer.put(letter, "ItmIdr", text=assignment.letter)
    writer.put(letter, "ElctrncOrgnl", text="true")
    writer.put(head, "Dt", text=assignment.day.isoformat())
    is_request = assignment.kind is Kind.REQUEST
    first, other = (assignment.bank, assignment.debtor) if is_request else (assignment.debtor, assignment.bank)
    names = (_BANK, _DEBTOR) if is_request else (_DEBTOR, _BANK)
    _put_party(writer, head, "Orgtr", _SELLER, assignment.seller)
    _put_party(writer, head, "PmryRcpt", names[0], first)
    _put_party(writer, head, "AuthstnUsr", "USER", assignment.seller)
    _put_party(writer, head, "OthrPty", names[1], other)
    for number, item in enumerate(assignment.items, 1):
        if item.invoice:
            document = writer.put(head, "AssoctdDoc")
            writer.put(document, "Id", text=f"INVOICE{number}")
            writer.put(document, "ItmIdr", text=item.invoice)
            writer.put(document, "ElctrncOrgnl", text="true")
            writer.put(document, "DocTp", text=INVOICE)


def _put_party(writer: Writer, head: etree._Element, role: str, name: str, party: Partner) -> None:
    element = writer.put(head, role)
    writer.put(element, "Id", text=name)
    base = writer.put(element, "Pty", "BasePty")
    identity = writer.put(base, "PtyId")
    writer.put(identity, "Id", "OrgId", "Othr", "Id", text=party.number)
    writer.put(identity, "Nm", text=plain(party.name, 35))
    writer.put(base, "LglOrg", "Nm", text=plain(party.name, 140))
    if party.tax_id:
        writer.put(base, "TaxPty", "TaxId", text=party.tax_id)


def _put_item(writer: Writer, listed: etree._Element, item: Item, number: int, account: str) -> None:
    element = writer.put(listed, "FinItm")
    context = writer.put(element, "ItmCntxt")
    writer.put(context, "Idr", text=item.reference)
    writer.put(context, "IsseDt", text=item.issued.isoformat())
    writer.put(context, "Buyr", text=_DEBTOR)
    writer.put(context, "Sellr", text=_SELLER)
    writer.put(context, "Ccy", text=CURRENCY)
    if account:
        writer.put(context, "CdtAcct", "Othr", "Id", text=account)
    if item.invoice:
        writer.put(element, "FinDocRef", text=f"INVOICE{number}")
    writer.put(element, "CdtDbtInd", text="DBIT")
    total = writer.put(element, "TtlAmt")
    writer.put(total, "TtlTaxblAmt", text=amount_text(item.net_fen), Ccy=CURRENCY)
    writer.put(total, "TtlTaxAmt", text=amount_text(item.tax_fen), Ccy=CURRENCY)
    writer.put(total, "TtlInvcAmt", text=amount_text(item.total_fen), Ccy=CURRENCY)
    writer.put(total, "PmtDueDt", text=item.due.isoformat())
    writer.put(element, "DueAmt", text=amount_text(item.due_fen), Ccy=CURRENCY)
    if item.note:
        writer.put(element, "AddtlInf", text=plain(item.note, 2000))


# ------------------------------------------------------------------------------------------------- reading


def read(data: bytes) -> list[Assignment]:
    """The lists of a file, whichever of the two messages it is. Raises MessageError: totals must be exact."""
    message = open_message(data, TSIN_006, TSIN_008)
    name = etree.QName(message).localname
    kind = next(each for each in Kind if each.value[1] == name)
    _, _, list_name, count_name = kind.value
    lists = find_all(message, list_name)
    found = [_read_list(message, listed, kind) for listed in lists]
    items = [item for assignment in found for item in assignment.items]
    expect_count(find(message, count_name), len(lists), count_name)
    expect_count(find(message, "ItmCnt"), len(items), "ItmCnt")
    expect_sum(find(message, "CtrlSum"), sum(item.total_fen for item in items), "CtrlSum")
    return found


def _read_list(message: etree._Element, listed: etree._Element, kind: Kind) -> Assignment:
    parties, documents = _named(message)
    elements = find_all(listed, "FinItm")
    items = tuple(_read_item(each, documents) for each in elements)
    expect_count(find(listed, "ItmCnt"), len(items), "ItmCnt")
    expect_sum(find(listed, "CtrlSum"), sum(item.total_fen for item in items), "CtrlSum")
    debtors = {text_at(each, "ItmCntxt/Buyr") or "" for each in elements}
    accounts = {text_at(each, "ItmCntxt/CdtAcct/Othr/Id") or "" for each in elements}
    if len(debtors) != 1 or len(accounts) != 1:
        raise MessageError("bad_content", "the items of a list have one debtor and one account", "FinItm")
    asked = find(listed, "TtlReqFincg/Amt")
    return Assignment(
        kind=kind,
        letter=text_at(listed, "Idr") or "",
        day=date.fromisoformat((text_at(listed, "IsseDt") or "")[:10]),
        seller=_party(parties, text_at(listed, "Assgnr")),
        bank=_party(parties, text_at(listed, "Assgne")),
        debtor=_party(parties, debtors.pop()),
        account=accounts.pop(),
        items=items,
        asked_fen=0 if asked is None else amount_fen(asked, "TtlReqFincg/Amt"),
    )


def _named(message: etree._Element) -> tuple[dict[str, Partner], dict[str, str]]:
    """Parties and documents of the head by the names that the rest refers to them with."""
    parties, documents = {}, {}
    for element in find_all(message, "Hdr/*"):
        name = text_at(element, "Id") or ""
        base = find(element, "Pty/BasePty")
        if base is not None:
            parties[name] = Partner(
                number=text_at(base, "PtyId/Id/OrgId/Othr/Id") or "",
                name=text_at(base, "LglOrg/Nm") or text_at(base, "PtyId/Nm") or "",
                tax_id=text_at(base, "TaxPty/TaxId") or "",
            )
        else:
            documents[name] = text_at(element, "ItmIdr") or ""
    return parties, documents


def _party(parties: dict[str, Partner], name: str | None) -> Partner:
    found = parties.get(name or "")
    if found is None:
        raise MessageError("bad_content", f"{name} is no party of the head", "Hdr")
    return found


def _read_item(element: etree._Element, documents: dict[str, str]) -> Item:
    net, tax, total = (_amount_at(element, f"TtlAmt/{name}") for name in ("TtlTaxblAmt", "TtlTaxAmt", "TtlInvcAmt"))
    if net + tax != total:
        raise MessageError("bad_content", f"{amount_text(net + tax)} are not the total", "TtlAmt/TtlInvcAmt")
    if text_at(element, "CdtDbtInd") != "DBIT":
        raise MessageError("bad_content", "credit notes are not taken", "CdtDbtInd")
    due = find(element, "DueAmt")
    return Item(
        reference=text_at(element, "ItmCntxt/Idr") or "",
        issued=date.fromisoformat((text_at(element, "ItmCntxt/IsseDt") or "")[:10]),
        due=date.fromisoformat((text_at(element, "TtlAmt/PmtDueDt") or "")[:10]),
        net_fen=net,
        tax_fen=tax,
        due_fen=total if due is None else amount_fen(due, "DueAmt"),
        invoice=documents.get(text_at(element, "FinDocRef") or "", ""),
        note=text_at(element, "AddtlInf") or "",
    )


def _amount_at(element: etree._Element, path: str) -> int:
    found = find(element, path)
    assert found is not None, "the table asks for it"
    return amount_fen(found, path)
