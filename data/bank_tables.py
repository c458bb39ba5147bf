"""Tables of what banks ask for and are told: events, webhooks, criteria, consents. ``tables.py`` has them too."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, SmallInteger, String, Table, Text

from data.metadata import shared as metadata

feed_events = Table(
    "feed_events",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ..., given once
    Column("kind", String(20), nullable=False),  # receivable, offer, auction, payment, consent
    Column("at_s", BigInteger, nullable=False),
    Column("receivable_id", LargeBinary(32)),
    Column("subject", BigInteger),  # the number of the offer, auction or consent
    Column("content", Text, nullable=False),  # JSON, as finance/telling.py writes it
    Index(None, "kind", "subject"),
    comment="What members are told of what they may see; never changed, so that any of it can be told again",
)

feed_audience = Table(
    "feed_audience",
    metadata,
    Column("member_id", BigInteger, primary_key=True, autoincrement=False),  # 0: every bank
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

feed_positions = Table(
    "feed_positions",
    metadata,
    Column("source", String(20), primary_key=True),  # changes, offers, chain
    Column("position", BigInteger, nullable=False),  # up to which it was told
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("webhook_id", String(16), primary_key=True),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("url", Text, nullable=False),
    Column("kinds", Text, nullable=False),  # JSON list; empty: all
    Column("secret", LargeBinary, nullable=False),  # sealed, see market/vault.py
    Column("created_s", BigInteger, nullable=False),  # this and the others: the machine's time, not the market's
    Column("position", BigInteger, nullable=False),  # the last event that was delivered or is of no kind asked for
    Column("delivered", BigInteger, nullable=False),  # how many were
    Column("attempts", SmallInteger, nullable=False),  # at the next event, without success
    Column("failing_s", BigInteger),  # since when
    Column("next_try_s", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),  # active, given_up
    Column("last_status", SmallInteger),  # of HTTP; null: nothing was answered
    Column("last_error", Text),
    Index(None, "member_id"),
)

consents = Table(
    "consents",
    metadata,
    Column("consent", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("seller", ForeignKey("members.member_id"), nullable=False),
    Column("bank", ForeignKey("members.member_id"), nullable=False),
    Column("receivable_id", ForeignKey("receivables.receivable_id")),  # null: all of the seller's, later ones too
    Column("granted_s", BigInteger, nullable=False),
    Column("until_s", BigInteger, nullable=False),
    Column("withdrawn_s", BigInteger),
    Column("change", BigInteger, nullable=False, unique=True),  # a new one when it is granted and when it is withdrawn
    Index(None, "bank"),
    Index(None, "seller"),
    comment="Who let which bank see receivables that are not for sale; rows stay as history",
)

criteria = Table(
    "criteria",
    metadata,
    Column("bank", ForeignKey("members.member_id"), primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...; the last one holds
    Column("set_s", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # JSON, as finance/eligibility.py reads it
    comment="What a bank finances; every version is kept",
)
