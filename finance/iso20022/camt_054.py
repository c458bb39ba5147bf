"""camt.054.001.08, BankToCustomerDebitCreditNotification: the custodian's bank says what has come in and gone out.

An entry may be one transaction or a batch of them; each transaction is told apart by the bank's own reference, and in
a batch its amount must be there and all of them must come to the entry's. Entries that are not booked yet, debits and
reversals are read too: whoever consumes them decides (``CreditEntry.is_money``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

from lxml import etree

from finance.iso20022.messages import (
    CURRENCY,
    amount_fen,
    amount_text,
    expect_count,
    expect_sum,
    finished,
    open_message,
)
from finance.iso20022.shapes import CAMT_054
from finance.iso20022.xml import MessageError, Writer, find, find_all, text_at

BOOKED = "BOOK"
NOT_PROVIDED = "NOTPROVIDED"
"""What ISO 20022 has payers write who give no reference."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One transaction on an account. ``reference`` is the bank's; ``quoted`` are the texts that the payer gave."""

    account: str
    reference: str
    amount_fen: int
    is_credit: bool
    status: str
    booked_day: date | None
    payer: str
    quoted: tuple[str, ...]
    is_reversal: bool = False

    @property
    def is_money(self) -> bool:
        """Whether it is money that has come in and stays: a booked credit that reverses nothing."""
        return self.is_credit and self.status == BOOKED and not self.is_reversal


@dataclass(frozen=True, slots=True)
class Notification:
    """A file. ``made`` has no zone, and is as the bank wrote it."""

    message: str
    made: datetime
    entries: tuple[Entry, ...]


def read(data: bytes) -> Notification:
    """The entries of a file. Raises MessageError."""
    message = open_message(data, CAMT_054)
    return Notification(
        message=text_at(message, "GrpHdr/MsgId") or "",
        made=datetime.fromisoformat((text_at(message, "GrpHdr/CreDtTm") or "")[:19]),
        entries=tuple(entry for part in find_all(message, "Ntfctn") for entry in _read_part(part)),
    )


def _read_part(part: etree._Element) -> list[Entry]:
    account = text_at(part, "Acct/Id/Othr/Id") or text_at(part, "Acct/Id/IBAN") or ""
    entries = find_all(part, "Ntry")
    credits_fen = [amount_fen(_amount(each), "Ntry/Amt") for each in entries if text_at(each, "CdtDbtInd") == "CRDT"]
    summary = "TxsSummry/TtlCdtNtries"
    expect_count(find(part, f"{summary}/NbOfNtries"), len(credits_fen), f"{summary}/NbOfNtries")
    expect_sum(find(part, f"{summary}/Sum"), sum(credits_fen), f"{summary}/Sum")
    return [found for each in entries for found in _read_entry(each, account)]


def _amount(element: etree._Element) -> etree._Element:
    found = find(element, "Amt")
    assert found is not None, "the table asks for it"
    return found


def _read_entry(entry: etree._Element, account: str) -> Iterator[Entry]:
    total_fen = amount_fen(_amount(entry), "Ntry/Amt")
    details = find_all(entry, "NtryDtls/TxDtls")
    if len(details) <= 1:
        yield _entry(entry, details[0] if details else None, account, total_fen)
        return
    amounts = [find(each, "Amt") for each in details]
    if any(each is None for each in amounts):
        raise MessageError("bad_content", "each transaction of a batch has an amount", "Ntry/NtryDtls/TxDtls")
    parts_fen = [amount_fen(each, "TxDtls/Amt") for each in amounts if each is not None]
    if sum(parts_fen) != total_fen:
        raise MessageError(
            "bad_content", f"the transactions come to {amount_text(sum(parts_fen))}, not to the entry's", "Ntry/Amt"
        )
    for detail, part_fen in zip(details, parts_fen, strict=True):
        yield _entry(entry, detail, account, part_fen)


def _entry(entry: etree._Element, detail: etree._Element | None, account: str, part_fen: int) -> Entry:
    own = None if detail is None else text_at(detail, "Refs/AcctSvcrRef")
    reference = own or text_at(entry, "AcctSvcrRef") or text_at(entry, "NtryRef")
    if reference is None:
        raise MessageError("bad_content", "an entry without the bank's reference can not be told from another", "Ntry")
    day = text_at(entry, "BookgDt/Dt") or text_at(entry, "BookgDt/DtTm")
    return Entry(
        account=account,
        reference=reference,
        amount_fen=part_fen,
        is_credit=text_at(entry, "CdtDbtInd") == "CRDT",
        status=text_at(entry, "Sts/Cd") or "",
        booked_day=None if day is None else date.fromisoformat(day[:10]),
        payer="" if detail is None else _payer(detail),
        quoted=() if detail is None else _quoted(detail),
        is_reversal=text_at(entry, "RvslInd") in ("true", "1"),
    )


def _payer(detail: etree._Element) -> str:
    names = ("RltdPties/Dbtr/Pty/Nm", "RltdPties/Dbtr/Agt/FinInstnId/Nm", "RltdPties/InitgPty/Pty/Nm")
    return next((text for name in names if (text := text_at(detail, name))), "")


def _quoted(detail: etree._Element) -> tuple[str, ...]:
    found = [text_at(detail, "Refs/EndToEndId"), text_at(detail, "Refs/InstrId")]
    found += [each.text for each in find_all(detail, "RmtInf/Strd/CdtrRefInf/Ref")]
    found += [each.text for each in find_all(detail, "RmtInf/Ustrd")]
    return tuple(dict.fromkeys(each for each in found if each and each != NOT_PROVIDED))


# ------------------------------------------------------------------------------------------------- building


def build(notification: Notification) -> bytes:
    """A file as a bank would send it: for tests, for simulated banks, and to show one what is read.

    Entries must be of one account, each with at most one reference (it becomes the end-to-end one) and a text.
    """
    (account,) = {entry.account for entry in notification.entries}
    writer = Writer(CAMT_054, "BkToCstmrDbtCdtNtfctn")
    header = writer.put(writer.message, "GrpHdr")
    writer.put(header, "MsgId", text=notification.message)
    writer.put(header, "CreDtTm", text=notification.made.isoformat(timespec="seconds"))
    part = writer.put(writer.message, "Ntfctn")
    writer.put(part, "Id", text=notification.message)
    writer.put(part, "Acct", "Id", "Othr", "Id", text=account)
    credits_fen = [entry.amount_fen for entry in notification.entries if entry.is_credit]
    summary = writer.put(part, "TxsSummry", "TtlCdtNtries")
    writer.put(summary, "NbOfNtries", text=str(len(credits_fen)))
    writer.put(summary, "Sum", text=amount_text(sum(credits_fen)))
    for entry in notification.entries:
        _put_entry(writer, part, entry)
    return finished(writer)


def _put_entry(writer: Writer, part: etree._Element, entry: Entry) -> None:
    element = writer.put(part, "Ntry")
    writer.put(element, "Amt", text=amount_text(entry.amount_fen), Ccy=CURRENCY)
    writer.put(element, "CdtDbtInd", text="CRDT" if entry.is_credit else "DBIT")
    if entry.is_reversal:
        writer.put(element, "RvslInd", text="true")
    writer.put(element, "Sts", "Cd", text=entry.status)
    if entry.booked_day is not None:
        writer.put(element, "BookgDt", "Dt", text=entry.booked_day.isoformat())
    writer.put(element, "AcctSvcrRef", text=entry.reference)
    domain = writer.put(element, "BkTxCd", "Domn")
    writer.put(domain, "Cd", text="PMNT")
    family = writer.put(domain, "Fmly")
    writer.put(family, "Cd", text="RCDT" if entry.is_credit else "ICDT")
    writer.put(family, "SubFmlyCd", text="DMCT")
    detail = writer.put(element, "NtryDtls", "TxDtls")
    reference, *texts = entry.quoted or (NOT_PROVIDED,)
    writer.put(detail, "Refs", "EndToEndId", text=reference)
    if entry.payer:
        writer.put(detail, "RltdPties", "Dbtr", "Pty", "Nm", text=entry.payer)
    if texts:
        remittance = writer.put(detail, "RmtInf")
        for text in texts:
            writer.put(remittance, "Ustrd", text=text)
