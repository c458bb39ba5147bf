"""What a member is trusted with: features, scores, limits."""

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Nothing yet."""
