"""No table changes: the trigger that holds a run to what its steps left is made anew with all others."""

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Nothing but what follows every migration."""
