"""What others know of a receivable: registry, tax invoices, bank messages."""

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Nothing yet."""
