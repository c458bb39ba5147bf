"""What settlement needs beyond one market day: disputes, late readings, area meters, witnesses."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
    _fills()
    _estimates()
    _drafts()
    _witness_statements()
    _custody()


def _fills() -> None:
    """What each order of a trade had traded before it; for the trades that are there, counted from them."""
    for side in ("buy", "sell"):
        column = f"{side}_filled_before_lots"
        op.add_column("trades", sa.Column(column, sa.BigInteger(), nullable=False, server_default="0"))
        op.execute(
            f"""
            UPDATE trades SET {column} = (
                SELECT coalesce(sum(earlier.quantity_lots), 0) FROM trades AS earlier
                WHERE earlier.{side}_order = trades.{side}_order AND earlier.trade_id < trades.trade_id
            )
            """
        )


def _estimates() -> None:
    op.create_table(
        "estimates",
        sa.Column("cycle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("slot_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", "slot_s", "node_id", name="pk_estimates"),
        comment="Meters that traded in a slot and have no reading that counts",
    )


def _drafts() -> None:
    """A cycle is drafted in portions, and puts right what came late for earlier ones."""
    op.create_table(
        "drafts",
        sa.Column("cycle", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("end_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("cycle", name="pk_drafts"),
        comment="The cycle being drafted: its day is closed, its deliveries and lines count once it stands in cycles",
    )
    with op.batch_alter_table("deliveries") as deliveries:
        deliveries.drop_constraint("fk_deliveries_cycle", type_="foreignkey")
    with op.batch_alter_table("statement_lines") as lines:
        lines.drop_constraint("fk_statement_lines_cycle", type_="foreignkey")
        lines.add_column(sa.Column("adjusts", sa.BigInteger()))
    op.drop_index("ix_readings_slot_s", "readings")
    op.create_index("ix_readings_slot_s_received_s", "readings", ["slot_s", "received_s"])


def _witness_statements() -> None:
    op.create_table(
        "witness_statements",
        sa.Column("witness", sa.String(40), nullable=False),
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("block_hash", sa.LargeBinary(32), nullable=False),
        sa.Column("block_s", sa.BigInteger(), nullable=False),
        sa.Column("witnessed_s", sa.BigInteger(), nullable=False),
        sa.Column("previous", sa.LargeBinary(32), nullable=False),
        sa.Column("signature", sa.LargeBinary(64), nullable=False),
        sa.Column("received_s", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("witness", "number", name="pk_witness_statements"),
        comment="Heads of the chain as outside parties countersigned them",
    )


def _custody() -> None:
    op.create_table(
        "custody_balances",
        sa.Column("as_of_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("balance_micro", sa.BigInteger(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.outbox_id"], name="fk_custody_balances_outbox_id"),
        sa.PrimaryKeyConstraint("as_of_s", name="pk_custody_balances"),
        comment="What the custodian said it holds for the market, as it signed it",
    )
