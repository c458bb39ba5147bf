"""What settlement needs beyond one market day: disputes, late readings, area meters, witnesses."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Each part adds its own tables and columns."""
