"""What settlement needs beyond one market day: disputes, late readings, area meters, witnesses."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
    _fills()
    _estimates()


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
        sa.Column("cycle", sa.BigInteger(), nullable=False),
        sa.Column("slot_s", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("held", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["cycle"], ["cycles.cycle"], name="fk_estimates_cycle"),
        sa.PrimaryKeyConstraint("cycle", "slot_s", "node_id", name="pk_estimates"),
        comment="Meters that traded in a slot and have no reading that counts",
    )
