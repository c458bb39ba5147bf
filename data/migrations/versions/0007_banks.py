"""What banks ask for and are told: lists of a million receivables, criteria, webhooks, consents."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
    _lists()


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
