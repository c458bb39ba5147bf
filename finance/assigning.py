"""A receivable as the bank messages about its assignment tell of it; see ``iso20022/assignment.py``."""

from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from finance import outside, registry_store
from finance.iso20022.assignment import Assignment, Item, Kind, Partner
from finance.references import receivable_reference


class Sheet(NamedTuple):
    """What is the same in all messages of a market on a day: its chain, where debtors pay, the day."""

    chain_id: int
    account: str
    today: date


def assignment_of(connection: Connection, row: Row[Any], kind: Kind, bank: int, sheet: Sheet) -> Assignment:
    """One receivable (a row of ``receivables``) assigned, or to be, to a bank."""
    reference = receivable_reference(sheet.chain_id, row.number)
    return Assignment(
        kind=kind,
        letter=reference,
        day=sheet.today,
        seller=_partner(connection, row.creditor),
        bank=_partner(connection, bank),
        debtor=_partner(connection, row.debtor),
        account=sheet.account,
        items=(_item(connection, row, reference),),
        asked_fen=row.advance_fen if kind is Kind.NOTIFICATION else 0,
    )


def _partner(connection: Connection, member: int) -> Partner:
    party = outside.shown_party_of(connection, member)
    return Partner(str(member), party.name, party.code)


def _item(connection: Connection, row: Row[Any], reference: str) -> Item:
    """Without a tax invoice that stands, all of the face is told as net."""
    invoice = registry_store.fapiao_of(connection, row.receivable_id)
    stands = invoice is not None and invoice.state != "refused"
    return Item(
        reference=reference,
        issued=date.fromisoformat(row.issue_day),
        due=date.fromisoformat(row.due_day),
        net_fen=invoice.net_fen if stands and invoice is not None else row.face_fen,
        tax_fen=invoice.tax_fen if stands and invoice is not None else 0,
        due_fen=row.face_fen - row.paid_fen,
        invoice=invoice.number if stands and invoice is not None else "",
        note=f"receivable {row.receivable_id.hex()}" + ("" if stands else ", no tax invoice recorded"),
    )
