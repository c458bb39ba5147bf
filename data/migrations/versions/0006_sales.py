"""How receivables are sold: auctions, programs."""

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Nothing yet."""
