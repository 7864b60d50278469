"""What is left of runs that were deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "tombstones",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("deleted_at", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("prev", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.Column("doomed", sa.Text),
        sa.Column("measured", sa.Integer),
        sa.Column("freed", sa.Integer),
        sa.Column("finished_at", sa.Integer),
        sa.PrimaryKeyConstraint("run_id"),
        sa.CheckConstraint("(finished_at IS NULL) = (doomed IS NOT NULL)", name="tombstones_doomed_until_finished"),
        sqlite_strict=True,
    )
    op.create_index("tombstones_unfinished", "tombstones", ["run_id"], sqlite_where=sa.text("finished_at IS NULL"))
