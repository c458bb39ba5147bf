"""A row of each table of what others told: for tests that need every table to have one."""

from typing import Any

from sqlalchemy import Connection, Table, insert

from data import tables
from finance.registry import registration_hash


def tell(connection: Connection, receivable_id: bytes, face_fen: int, *, seller: int, bank: int, at_s: int) -> None:
    """The seller's particulars and tax invoice, the bank's registration, a payment that the custodian's bank saw."""
    rows: list[tuple[Table, dict[str, Any]]] = [
        (tables.particulars, {"number": 1, "member_id": seller, "legal_name": "水电站", "code": "91110000600037341L",
                              "account": "6222000000000001", "bank_name": "闽江银行", "bank_code": "102100099996",
                              "given_s": at_s, "confirmed_s": at_s}),
        (tables.registrations, {"number": "N0000001", "place": 1, "registration_hash": registration_hash("N0000001"),
                                "receivable_id": receivable_id, "party": bank, "expires_day": "2027-12-31",
                                "recorded_s": at_s}),
        (tables.fapiao, {"number": "26352000000000000017", "receivable_id": receivable_id, "issue_day": "2026-07-03",
                         "net_fen": face_fen - 1, "tax_fen": 1, "total_fen": face_fen, "seller_name": "上堰水电站",
                         "seller_code": "91110000600037341L", "buyer_name": "铸造厂", "buyer_code": "",
                         "state": "verified", "reason": "", "recorded_s": at_s, "verified_s": at_s}),
        (tables.bank_entries, {"entry": 1, "account": "6222000000000002", "reference": "B1", "message": "M1",
                               "amount_fen": 10, "booked_day": "2026-07-03", "payer": "铸造厂", "quoted": "[]",
                               "receivable_id": receivable_id, "taken_s": at_s}),
    ]  # fmt: skip
    for table, row in rows:
        connection.execute(insert(table), row)
