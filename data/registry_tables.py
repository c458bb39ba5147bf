"""Tables of what others know: particulars, registrations, tax invoices, bank entries. ``tables.py`` has them too."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table, Text, UniqueConstraint

from data.metadata import shared as metadata

particulars = Table(
    "particulars",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # the last of a member holds
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("legal_name", String(140), nullable=False),
    Column("code", String(18), nullable=False),  # unified social credit code, or a person's identity number
    Column("account", String(34), nullable=False),  # its bank account; empty: none, as in the next two
    Column("bank_name", String(140), nullable=False),
    Column("bank_code", String(12), nullable=False),  # of the bank in CNAPS
    Column("given_s", BigInteger, nullable=False),
    Column("confirmed_s", BigInteger),  # by the operator, that name and code are the member's
    Index(None, "member_id"),
)

registrations = Table(
    "registrations",
    metadata,
    Column("number", String(40), primary_key=True),  # of the registration certificate
    Column("place", BigInteger, nullable=False, unique=True),  # 1, 2, 3 ...
    Column("registration_hash", LargeBinary(32), nullable=False, unique=True),  # keccak of it: what the chain has
    Column("receivable_id", ForeignKey("receivables.receivable_id"), nullable=False),
    Column("party", ForeignKey("members.member_id"), nullable=False),  # the bank that it secures
    Column("expires_day", String(10), nullable=False),
    Column("recorded_s", BigInteger, nullable=False),
    Index(None, "receivable_id"),
)

fapiao = Table(
    "fapiao",
    metadata,
    Column("number", String(20), primary_key=True),  # used once over all receivables
    Column("receivable_id", ForeignKey("receivables.receivable_id"), nullable=False),  # one that is not replaced
    Column("issue_day", String(10), nullable=False),
    Column("net_fen", BigInteger, nullable=False),
    Column("tax_fen", BigInteger, nullable=False),
    Column("total_fen", BigInteger, nullable=False),
    Column("seller_name", String(140), nullable=False),
    Column("seller_code", String(20), nullable=False),
    Column("buyer_name", String(140), nullable=False),
    Column("buyer_code", String(20), nullable=False),  # empty: a person who gave none
    Column("state", String(10), nullable=False),  # unverified, verified, refused, replaced
    Column("reason", Text, nullable=False),  # of a refusal
    Column("recorded_s", BigInteger, nullable=False),
    Column("verified_s", BigInteger),  # when the tax office's answer was read
    Index(None, "receivable_id"),
)

bank_entries = Table(
    "bank_entries",
    metadata,
    Column("entry", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("account", String(34), nullable=False),
    Column("reference", String(80), nullable=False),  # the bank's own
    Column("message", String(35), nullable=False),  # the notification that it came in
    Column("amount_fen", BigInteger, nullable=False),
    Column("booked_day", String(10), nullable=False),
    Column("payer", String(140), nullable=False),
    Column("quoted", Text, nullable=False),  # JSON list of the references that the payer gave
    Column("receivable_id", ForeignKey("receivables.receivable_id")),  # that it pays, by its reference
    Column("taken_s", BigInteger, nullable=False),
    UniqueConstraint("account", "reference"),  # each is consumed once
)
