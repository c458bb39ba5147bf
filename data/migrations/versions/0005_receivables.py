"""A receivable's whole life: its fractions, what it adds when late, disputes."""

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Nothing yet."""
