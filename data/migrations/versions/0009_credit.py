"""What a member is trusted with: features, scores, limits."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Scores and limits with their history; limits of before stand until a lender sets that member's again."""
    _scores()
    _limits()


def _scores() -> None:
    op.create_table(
        "credit_models",
        sa.Column("model_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("card", sa.Text(), nullable=False),
        sa.Column("first_used_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("model_hash", name="pk_credit_models"),
        comment="Scorecards that decisions were made with; none is ever changed",
    )
    op.create_table(
        "credit_runs",
        sa.Column("run", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("model_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("as_of_s", sa.BigInteger(), nullable=False),
        sa.Column("last_cycle", sa.BigInteger(), nullable=False),
        sa.Column("members", sa.BigInteger(), nullable=False),
        sa.Column("decisions", sa.BigInteger(), nullable=False),
        sa.Column("scored_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", name="pk_credit_runs"),
        sa.ForeignKeyConstraint(["model_hash"], ["credit_models.model_hash"], name="fk_credit_runs_model_hash"),
        comment="Each time when all members were scored",
    )
    op.create_table(
        "credit_decisions",
        sa.Column("decision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run", sa.BigInteger(), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("input", sa.Text(), nullable=False),
        sa.Column("input_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("points", sa.Text(), nullable=False),
        sa.Column("total", sa.BigInteger(), nullable=False),
        sa.Column("rating", sa.String(length=3), nullable=False),
        sa.Column("limit_fen", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("decision", name="pk_credit_decisions"),
        sa.ForeignKeyConstraint(["run"], ["credit_runs.run"], name="fk_credit_decisions_run"),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_credit_decisions_member_id"),
    )
    op.create_index("ix_credit_decisions_member_id_decision", "credit_decisions", ["member_id", "decision"])
    op.create_index("ix_credit_decisions_run", "credit_decisions", ["run"])


def _limits() -> None:
    op.create_table(
        "credit_limits",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("lender", sa.BigInteger(), nullable=False),
        sa.Column("limit_micro", sa.BigInteger(), nullable=False),
        sa.Column("set_s", sa.BigInteger(), nullable=False),
        sa.Column("decision", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_credit_limits"),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_credit_limits_member_id"),
        sa.ForeignKeyConstraint(["lender"], ["members.member_id"], name="fk_credit_limits_lender"),
        sa.ForeignKeyConstraint(["decision"], ["credit_decisions.decision"], name="fk_credit_limits_decision"),
        comment="How far each lender lets members buy on terms; every change is a row that stays",
    )
    op.create_index("ix_credit_limits_member_id_lender_number", "credit_limits", ["member_id", "lender", "number"])
    op.create_index("ix_credit_limits_lender_number", "credit_limits", ["lender", "number"])
