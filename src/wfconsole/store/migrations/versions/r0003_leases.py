"""Which process may write a run."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "owners",
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("ticks", sa.Integer, nullable=False),
        sa.Column("socket", sa.Text),
        sa.Column("expires", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("owner"),
        sqlite_strict=True,
    )
    op.create_table(
        "leases",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("owner", sa.Text),
        sa.Column("fence", sa.Integer, nullable=False),
        sa.Column("locked", sa.Integer, nullable=False),
        sa.Column("setbacks", sa.Integer, nullable=False),
        sa.Column("trouble", sa.Text),
        sa.Column("writer", sa.Text),
        sa.Column("writer_fence", sa.Integer),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
        sa.CheckConstraint("fence > 0", name="leases_fence_positive"),
        sqlite_strict=True,
    )
    op.create_index("leases_held", "leases", ["owner"], sqlite_where=sa.text("owner IS NOT NULL"))
