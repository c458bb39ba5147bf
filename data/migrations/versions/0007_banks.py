"""What banks ask for and are told: lists of a million receivables, criteria, webhooks, consents."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
    _lists()
    _feed()
    _webhooks()
    _consents()
    _criteria()


def _lists() -> None:
    """A page of receivables is read as a range of an index that ends in the latest change."""
    op.add_column("receivables", sa.Column("source", sa.String(20), nullable=False, server_default=""))
    op.execute(
        """
        UPDATE receivables SET source = coalesce((
            SELECT CASE WHEN min(m.kind) = max(m.kind) THEN min(m.kind) ELSE 'mixed' END
            FROM receivable_trades AS c JOIN trades AS t ON t.trade_id = c.trade_id
            JOIN meters AS m ON m.node_id = t.sell_node
            WHERE c.receivable_id = receivables.receivable_id), '')
        """
    )
    for name in ("debtor_state", "creditor_state", "changed_s"):
        op.drop_index(f"ix_receivables_{name}", "receivables")
    for columns in (
        ("debtor", "state", "change"),
        ("creditor", "state", "change"),
        ("creditor", "change"),
        ("debtor", "change"),
        ("holder", "change"),
        ("state", "change"),
        ("changed_s", "change"),
    ):
        op.create_index(f"ix_receivables_{'_'.join(columns)}", "receivables", list(columns))


def _feed() -> None:
    op.create_table(
        "feed_events",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("at_s", sa.BigInteger(), nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(32)),
        sa.Column("subject", sa.BigInteger()),
        sa.Column("content", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_feed_events"),
        comment="What members are told of what they may see; never changed, so that any of it can be told again",
    )
    op.create_index("ix_feed_events_kind_subject", "feed_events", ["kind", "subject"])
    op.create_table(
        "feed_audience",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("member_id", "number", name="pk_feed_audience"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "feed_positions",
        sa.Column("source", sa.String(20), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("source", name="pk_feed_positions"),
    )


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("webhook_id", sa.String(16), nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("kinds", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created_s", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.SmallInteger(), nullable=False),
        sa.Column("failing_s", sa.BigInteger()),
        sa.Column("next_try_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(10), nullable=False),
        sa.Column("last_status", sa.SmallInteger()),
        sa.Column("last_error", sa.Text()),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_webhooks_member_id"),
        sa.PrimaryKeyConstraint("webhook_id", name="pk_webhooks"),
    )
    op.create_index("ix_webhooks_member_id", "webhooks", ["member_id"])


def _consents() -> None:
    op.create_table(
        "consents",
        sa.Column("consent", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seller", sa.BigInteger(), nullable=False),
        sa.Column("bank", sa.BigInteger(), nullable=False),
        sa.Column("receivable_id", sa.LargeBinary(32)),
        sa.Column("granted_s", sa.BigInteger(), nullable=False),
        sa.Column("until_s", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_s", sa.BigInteger()),
        sa.Column("change", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["seller"], ["members.member_id"], name="fk_consents_seller"),
        sa.ForeignKeyConstraint(["bank"], ["members.member_id"], name="fk_consents_bank"),
        sa.ForeignKeyConstraint(["receivable_id"], ["receivables.receivable_id"], name="fk_consents_receivable_id"),
        sa.PrimaryKeyConstraint("consent", name="pk_consents"),
        sa.UniqueConstraint("change", name="uq_consents_change"),
        comment="Who let which bank see receivables that are not for sale; rows stay as history",
    )
    op.create_index("ix_consents_bank", "consents", ["bank"])
    op.create_index("ix_consents_seller", "consents", ["seller"])


def _criteria() -> None:
    op.create_table(
        "criteria",
        sa.Column("bank", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("set_s", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["bank"], ["members.member_id"], name="fk_criteria_bank"),
        sa.PrimaryKeyConstraint("bank", "version", name="pk_criteria"),
        comment="What a bank finances; every version is kept",
    )
