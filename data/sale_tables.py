"""Tables of how receivables are sold: auctions with their bids, banks' programs. ``tables.py`` has them too.

``auctions`` and ``auction_bids`` mirror the contract ``Sales``; what stands there before the chain has said anything is
a bid on its way. No column can hold what a bid is worth before the chain has shown it.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from data.metadata import shared as metadata

auctions = Table(
    "auctions",
    metadata,
    Column("auction", BigInteger, primary_key=True, autoincrement=False),  # as the chain numbers them
    Column("receivable_id", ForeignKey("receivables.receivable_id"), nullable=False),
    Column("seller", ForeignKey("members.member_id"), nullable=False),
    Column("advance_rate_ppm", BigInteger, nullable=False),
    Column("advance_fen", BigInteger, nullable=False),
    Column("minimum_fen", BigInteger, nullable=False),  # the least that a bid may pay
    Column("bond_fen", BigInteger, nullable=False),
    Column("costs_fen", BigInteger, nullable=False),
    Column("late_rate_ppm", BigInteger, nullable=False),
    Column("year_days", SmallInteger, nullable=False),
    Column("with_recourse", Boolean, nullable=False),
    Column("closes_s", BigInteger, nullable=False),
    Column("state", String(10), nullable=False),  # open, awarded, settled, failed, cancelled
    Column("winner", BigInteger),  # who has to pay, or paid
    Column("proceeds_fen", BigInteger),  # what the winner pays
    Column("pay_by_s", BigInteger),
    Column("act_outbox", ForeignKey("outbox.outbox_id")),  # award, lapse, settlement or cancellation on its way
    Column("act_s", BigInteger),  # when that was sent
    Index(None, "receivable_id"),
    Index(None, "seller"),
    Index(None, "state", "closes_s"),
)

auction_bids = Table(
    "auction_bids",
    metadata,
    Column("auction", ForeignKey("auctions.auction"), primary_key=True),
    Column("bank", ForeignKey("members.member_id"), primary_key=True),
    Column("bid", LargeBinary(32), nullable=False),  # the hash; the salt behind it stays with the bank
    Column("place", SmallInteger),  # 1, 2, 3 ... in the order of the chain; null: on its way
    Column("proceeds_fen", BigInteger),  # null until the chain has shown it, after the close
    Column("bond", String(10), nullable=False),  # sent, held, returned, forfeited
    Column("act_outbox", ForeignKey("outbox.outbox_id")),  # its commitment or its reveal, until the chain says so
    Index(None, "bank"),
)

programs = Table(
    "programs",
    metadata,
    Column("program", BigInteger, primary_key=True, autoincrement=False),
    Column("bank", ForeignKey("members.member_id"), nullable=False),
    Column("prices", Text, nullable=False),  # JSON list of {rating, max_days, rate}
    Column("advance_rate_ppm", BigInteger, nullable=False),
    Column("limit_fen", BigInteger, nullable=False),
    Column("fee_fen", BigInteger, nullable=False),
    Column("costs_fen", BigInteger, nullable=False),
    Column("late_rate_ppm", BigInteger, nullable=False),
    Column("year_days", SmallInteger, nullable=False),
    Column("with_recourse", Boolean, nullable=False),
    Column("registration", LargeBinary(32), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("expires_s", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),  # of its rows
    Column("digest", LargeBinary(32), nullable=False, unique=True),  # what the bank signs, and its name on the chain
    Column("signature", LargeBinary(64)),
    Column("state", String(10), nullable=False),  # drafted, open, cancelled
    Column("drawn_fen", BigInteger, nullable=False),
    Column("act_outbox", ForeignKey("outbox.outbox_id")),  # its cancellation
    Column("made_s", BigInteger, nullable=False),
    UniqueConstraint("bank", "nonce"),
    Index(None, "state"),
)

program_rows = Table(
    "program_rows",
    metadata,
    Column("program", ForeignKey("programs.program"), primary_key=True),
    Column("place", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ... as the leaves of its tree
    Column("debtor", ForeignKey("members.member_id"), nullable=False),
    Column("max_days", BigInteger, nullable=False),
    Column("rate_ppm", BigInteger, nullable=False),
    Index(None, "debtor", "program"),
    comment="A program's prices, written out for each debtor that its criteria let in; the bank signs the root",
)
