"""Tables of who members are: how they show it, what was decided about them. ``tables.py`` has them too."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table, Text

from data.metadata import shared as metadata

sessions = Table(
    "sessions",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("session_id", String(16), nullable=False, unique=True),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("scopes", Text, nullable=False),  # JSON list
    Column("opened_s", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("fresh_until_s", BigInteger, nullable=False),  # until when its second factor counts; 0: none was shown
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_hash", LargeBinary(32), primary_key=True),
    Column("api_key_id", String(16), nullable=False, unique=True),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("scopes", Text, nullable=False),  # JSON list
    Column("networks", Text, nullable=False),  # JSON list of CIDR blocks; empty: from anywhere
    Column("created_s", BigInteger, nullable=False),
    Column("expires_s", BigInteger),  # null: until it is revoked
    Column("used_s", BigInteger),  # to the minute, written now and then
    Index(None, "member_id"),
)

factors = Table(
    "factors",
    metadata,
    Column("factor_id", String(16), primary_key=True),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("kind", String(10), nullable=False),  # totp, passkey
    Column("name", String(100), nullable=False),
    Column("secret", LargeBinary, nullable=False),  # totp: sealed, see market/vault.py; passkey: id and public key
    Column("counter", BigInteger, nullable=False),  # totp: last step used; passkey: signatures counted
    Column("created_s", BigInteger, nullable=False),
    Column("used_s", BigInteger),
    Index(None, "member_id"),
)

recovery_codes = Table(
    "recovery_codes",
    metadata,
    Column("member_id", ForeignKey("members.member_id"), primary_key=True),
    Column("mark", LargeBinary(32), primary_key=True),  # market/vault.py; a row goes when its code is used
)

member_decisions = Table(
    "member_decisions",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("decision", String(20), nullable=False),  # admitted, refused, suspended, reinstated, roles_set
    Column("decided_s", BigInteger, nullable=False),
    Column("decided_by", BigInteger, nullable=False),
    Column("note", Text, nullable=False),  # the record of an admission, else the reason
    Column("checked", Text, nullable=False),  # JSON list of {what, how}
    Index(None, "member_id"),
)
