"""What order entry and market data need."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("orders", sa.Column("reduced_lots", sa.BigInteger(), nullable=False, server_default="0"))
    for index in ("ix_orders_state_slot_s", "ix_orders_slot_s", "ix_orders_signature_id"):
        op.drop_index(index, "orders")
    _controls()


def _controls() -> None:
    op.create_table(
        "member_controls",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("change", sa.String(length=10), nullable=False),
        sa.Column("changed_s", sa.BigInteger(), nullable=False),
        sa.Column("changed_by", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("open_orders", sa.BigInteger()),
        sa.Column("batch_orders", sa.BigInteger()),
        sa.Column("messages_per_s", sa.BigInteger()),
        sa.Column("message_burst", sa.BigInteger()),
        sa.Column("stopped", sa.String(length=10)),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_member_controls_member_id"),
        sa.PrimaryKeyConstraint("number", name="pk_member_controls"),
        comment="What each member may do beside the rules for all; every change is a row that stays",
    )
    op.create_index("ix_member_controls_member_id", "member_controls", ["member_id"])
