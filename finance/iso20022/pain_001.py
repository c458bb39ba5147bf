"""pain.001.001.09, CustomerCreditTransferInitiation: the custodian's bank is asked to pay these."""

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
from finance.iso20022.shapes import PAIN_001
from finance.iso20022.xml import MessageError, Writer, find, find_all, text_at

CNAPS = "CNAPS"
"""The external clearing system code of China's national payment system; members there have twelve digits."""


@dataclass(frozen=True, slots=True)
class Account:
    """Whose account, where: ``bank_code`` is the bank's in CNAPS."""

    name: str
    number: str
    bank_code: str
    bank_name: str


@dataclass(frozen=True, slots=True)
class Payment:
    """One transfer. ``reference`` goes through to the payee's statement, at most 35 characters."""

    reference: str
    amount_fen: int
    payee: Account
    purpose: str


@dataclass(frozen=True, slots=True)
class PaymentOrder:
    """What one file asks for: paid on ``day`` from one account. ``made`` has no zone and is UTC; whole seconds."""

    message: str
    made: datetime
    day: date
    payer: Account
    payments: tuple[Payment, ...]


def build(order: PaymentOrder) -> bytes:
    """The file. Raises MessageError when a text does not fit."""
    assert order.payments, "a bank takes no empty order"
    writer = Writer(PAIN_001, "CstmrCdtTrfInitn")
    count, total = str(len(order.payments)), amount_text(sum(each.amount_fen for each in order.payments))
    header = writer.put(writer.message, "GrpHdr")
    writer.put(header, "MsgId", text=order.message)
    writer.put(header, "CreDtTm", text=order.made.isoformat(timespec="seconds") + "Z")
    writer.put(header, "NbOfTxs", text=count)
    writer.put(header, "CtrlSum", text=total)
    writer.put(header, "InitgPty", "Nm", text=order.payer.name)
    batch = writer.put(writer.message, "PmtInf")
    writer.put(batch, "PmtInfId", text=order.message)
    writer.put(batch, "PmtMtd", text="TRF")
    writer.put(batch, "BtchBookg", text="false")
    writer.put(batch, "NbOfTxs", text=count)
    writer.put(batch, "CtrlSum", text=total)
    writer.put(batch, "ReqdExctnDt", "Dt", text=order.day.isoformat())
    writer.put(batch, "Dbtr", "Nm", text=order.payer.name)
    _put_account(writer, writer.put(batch, "DbtrAcct"), order.payer)
    _put_agent(writer, writer.put(batch, "DbtrAgt"), order.payer)
    writer.put(batch, "ChrgBr", text="DEBT")
    for payment in order.payments:
        _put_payment(writer, batch, payment)
    return finished(writer)


def _put_payment(writer: Writer, batch: etree._Element, payment: Payment) -> None:
    transfer = writer.put(batch, "CdtTrfTxInf")
    writer.put(transfer, "PmtId", "EndToEndId", text=payment.reference)
    writer.put(transfer, "Amt", "InstdAmt", text=amount_text(payment.amount_fen), Ccy=CURRENCY)
    _put_agent(writer, writer.put(transfer, "CdtrAgt"), payment.payee)
    writer.put(transfer, "Cdtr", "Nm", text=payment.payee.name)
    _put_account(writer, writer.put(transfer, "CdtrAcct"), payment.payee)
    writer.put(transfer, "RmtInf", "Ustrd", text=payment.purpose)


def _put_account(writer: Writer, element: etree._Element, account: Account) -> None:
    writer.put(element, "Id", "Othr", "Id", text=account.number)
    writer.put(element, "Ccy", text=CURRENCY)


def _put_agent(writer: Writer, element: etree._Element, account: Account) -> None:
    institution = writer.put(element, "FinInstnId")
    member = writer.put(institution, "ClrSysMmbId")
    writer.put(member, "ClrSysId", "Cd", text=CNAPS)
    writer.put(member, "MmbId", text=account.bank_code)
    writer.put(institution, "Nm", text=account.bank_name)


# ------------------------------------------------------------------------------------------------- reading


def read(data: bytes) -> list[PaymentOrder]:
    """The orders in a file, one for each of its batches. Raises MessageError: totals must be exact."""
    message = open_message(data, PAIN_001)
    name = text_at(message, "GrpHdr/MsgId") or ""
    made = datetime.fromisoformat((text_at(message, "GrpHdr/CreDtTm") or "")[:19])
    orders = [_read_batch(batch, name, made) for batch in find_all(message, "PmtInf")]
    payments = [each for order in orders for each in order.payments]
    expect_count(find(message, "GrpHdr/NbOfTxs"), len(payments), "GrpHdr/NbOfTxs")
    expect_sum(find(message, "GrpHdr/CtrlSum"), sum(each.amount_fen for each in payments), "GrpHdr/CtrlSum")
    return orders


def _read_batch(batch: etree._Element, name: str, made: datetime) -> PaymentOrder:
    payments = tuple(_read_payment(each) for each in find_all(batch, "CdtTrfTxInf"))
    expect_count(find(batch, "NbOfTxs"), len(payments), "PmtInf/NbOfTxs")
    expect_sum(find(batch, "CtrlSum"), sum(each.amount_fen for each in payments), "PmtInf/CtrlSum")
    day = text_at(batch, "ReqdExctnDt/Dt") or text_at(batch, "ReqdExctnDt/DtTm") or ""
    return PaymentOrder(name, made, date.fromisoformat(day[:10]), _read_account(batch, "Dbtr"), payments)


def _read_payment(transfer: etree._Element) -> Payment:
    amount = find(transfer, "Amt/InstdAmt")
    if amount is None:
        raise MessageError("bad_content", "an amount in another currency is not taken", "Amt/EqvtAmt")
    return Payment(
        reference=text_at(transfer, "PmtId/EndToEndId") or "",
        amount_fen=amount_fen(amount, "Amt/InstdAmt"),
        payee=_read_account(transfer, "Cdtr"),
        purpose=text_at(transfer, "RmtInf/Ustrd") or "",
    )


def _read_account(element: etree._Element, role: str) -> Account:
    number = text_at(element, f"{role}Acct/Id/Othr/Id") or text_at(element, f"{role}Acct/Id/IBAN") or ""
    return Account(
        name=text_at(element, f"{role}/Nm") or "",
        number=number,
        bank_code=text_at(element, f"{role}Agt/FinInstnId/ClrSysMmbId/MmbId") or "",
        bank_name=text_at(element, f"{role}Agt/FinInstnId/Nm") or "",
    )
