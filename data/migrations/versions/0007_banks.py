"""What banks ask for and are told: criteria, webhooks, consents."""

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Nothing yet."""
