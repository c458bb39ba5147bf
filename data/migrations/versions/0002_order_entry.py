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
    _withdrawals()
    _halts()


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


def _withdrawals() -> None:
    op.create_table(
        "withdrawals",
        sa.Column("withdrawal", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_id", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(length=10), nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("nonce", sa.BigInteger(), nullable=False),
        sa.Column("deadline_s", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("requested_s", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("changed_s", sa.BigInteger(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger()),
        sa.Column("payable_micro", sa.BigInteger()),
        sa.Column("payout_nonce", sa.BigInteger()),
        sa.Column("payout_deadline_s", sa.BigInteger()),
        sa.Column("payout_signature", sa.LargeBinary(length=64)),
        sa.Column("bank_reference", sa.String(length=100)),
        sa.Column("refusal", sa.Text()),
        sa.ForeignKeyConstraint(["member_id"], ["members.member_id"], name="fk_withdrawals_member_id"),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.outbox_id"], name="fk_withdrawals_outbox_id"),
        sa.PrimaryKeyConstraint("withdrawal", name="pk_withdrawals"),
        sa.UniqueConstraint("bank_reference", name="uq_withdrawals_bank_reference"),
        sa.UniqueConstraint("member_id", "nonce", name="uq_withdrawals_member_id_nonce"),
    )
    op.create_index("ix_withdrawals_state", "withdrawals", ["state"])
    op.create_table(
        "exits",
        sa.Column("member_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("amount_micro", sa.BigInteger(), nullable=False),
        sa.Column("requested_s", sa.BigInteger(), nullable=False),
        sa.Column("horizon_s", sa.BigInteger(), nullable=False),
        sa.Column("outbox_id", sa.BigInteger()),
        sa.Column("tried_s", sa.BigInteger()),
        sa.ForeignKeyConstraint(["outbox_id"], ["outbox.outbox_id"], name="fk_exits_outbox_id"),
        sa.PrimaryKeyConstraint("member_id", name="pk_exits"),
        comment="Mirror of Clearing.exit_of: what may leave escrow as soon as it is due",
    )


def _halts() -> None:
    """A market that was halted stays so; until now that was a setting without a reason."""
    op.create_table(
        "halts",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("node_id", sa.BigInteger()),
        sa.Column("start_s", sa.BigInteger()),
        sa.Column("end_s", sa.BigInteger()),
        sa.Column("halted_s", sa.BigInteger(), nullable=False),
        sa.Column("halted_by", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("lifted_s", sa.BigInteger()),
        sa.Column("lifted_by", sa.BigInteger()),
        sa.Column("lift_reason", sa.Text()),
        sa.ForeignKeyConstraint(["node_id"], ["nodes.node_id"], name="fk_halts_node_id"),
        sa.PrimaryKeyConstraint("number", name="pk_halts"),
    )
    op.execute(
        "INSERT INTO halts (number, halted_s, halted_by, reason) "
        "SELECT 1, 0, 1, 'halted before this release' FROM settings WHERE name = 'halted' AND value = 'true'"
    )
    op.execute("DELETE FROM settings WHERE name = 'halted'")
