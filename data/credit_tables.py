"""Tables of what members are trusted with: how they were scored, and who lets them owe how much."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, String, Table, Text

from data.metadata import shared as metadata

credit_models = Table(
    "credit_models",
    metadata,
    Column("model_hash", LargeBinary(32), primary_key=True),  # keccak-256 of the card
    Column("name", String(100), nullable=False),
    Column("card", Text, nullable=False),  # finance/credit/card.py, canonical JSON
    Column("first_used_s", BigInteger, nullable=False),
    comment="Scorecards that decisions were made with; none is ever changed",
)

credit_runs = Table(
    "credit_runs",
    metadata,
    Column("run", BigInteger, primary_key=True, autoincrement=False),  # 1, 2, 3 ...
    Column("model_hash", ForeignKey("credit_models.model_hash"), nullable=False),
    Column("as_of_s", BigInteger, nullable=False),  # what came later was not looked at
    Column("last_cycle", BigInteger, nullable=False),  # the last that was applied then
    Column("members", BigInteger, nullable=False),  # how many were scored
    Column("decisions", BigInteger, nullable=False),  # of how many something had changed
    Column("scored_s", BigInteger, nullable=False),
    comment="Each time when all members were scored",
)

credit_decisions = Table(
    "credit_decisions",
    metadata,
    Column("decision", BigInteger, primary_key=True, autoincrement=False),  # the last of a member holds
    Column("run", ForeignKey("credit_runs.run"), nullable=False),
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("input", Text, nullable=False),  # canonical JSON: model, as of when, features
    Column("input_hash", LargeBinary(32), nullable=False),
    Column("points", Text, nullable=False),  # JSON list, in the order of the card's features
    Column("total", BigInteger, nullable=False),
    Column("rating", String(3), nullable=False),
    Column("limit_fen", BigInteger, nullable=False),  # suggested; what holds stands in credit_limits
    Index(None, "member_id", "decision"),
    Index(None, "run"),
)

credit_limits = Table(
    "credit_limits",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),  # the last of a lender and member holds
    Column("member_id", ForeignKey("members.member_id"), nullable=False),
    Column("lender", ForeignKey("members.member_id"), nullable=False),
    Column("limit_micro", BigInteger, nullable=False),
    Column("set_s", BigInteger, nullable=False),
    Column("decision", ForeignKey("credit_decisions.decision")),  # the member's latest then; null: it had none
    Index(None, "member_id", "lender", "number"),
    Index(None, "lender", "number"),
    comment="How far each lender lets members buy on terms; every change is a row that stays",
)
