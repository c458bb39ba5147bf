"""The fractions in which receivables are held. ``tables.py`` has them too."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, SmallInteger, Table

from data.metadata import shared as metadata

receivable_parts = Table(
    "receivable_parts",
    metadata,
    Column("receivable_id", ForeignKey("receivables.receivable_id"), primary_key=True),
    Column("part", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ... as the chain numbers them
    Column("claim", SmallInteger, nullable=False),  # 0 residual, 1 holder
    Column("owner", BigInteger, nullable=False),
    Column("open_fen", BigInteger, nullable=False),  # 0: paid, merged, or void; who owned it still sees it
    Column("pledgee", BigInteger, nullable=False),  # 0: not pledged
    Column("change", BigInteger, nullable=False),  # that of its receivable: lists of parts go on from here
    Index(None, "owner", "change"),
    Index(None, "pledgee", "change"),
)
