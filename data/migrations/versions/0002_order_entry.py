"""What order entry and market data need."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.add_column("orders", sa.Column("reduced_lots", sa.BigInteger(), nullable=False, server_default="0"))
    for index in ("ix_orders_state_slot_s", "ix_orders_slot_s", "ix_orders_signature_id"):
        op.drop_index(index, "orders")
