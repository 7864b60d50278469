"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_STRICT = {"sqlite_strict": True}
_CLUSTERED = {"sqlite_strict": True, "sqlite_with_rowid": False}


def upgrade() -> None:
    _truth()
    _projections()


def _truth() -> None:
    op.create_table(
        "meta",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("database_id", sa.Text, nullable=False),
        sa.Column("application_id", sa.Text, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.CheckConstraint("id = 1", name="meta_has_one_row"),
        **_STRICT,
    )
    op.create_table(
        "journal",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at", sa.Integer, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("prev", sa.LargeBinary, nullable=False),
        sa.Column("hash", sa.LargeBinary, nullable=False),
        sa.PrimaryKeyConstraint("run_id", "seq"),
        **_STRICT,
    )
    op.create_table(
        "inbox",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("fact_id", sa.Text, nullable=False),
        sa.Column("type", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary),
        sa.Column("posted_at", sa.Integer, nullable=False),
        sa.Column("decided_seq", sa.Integer),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("run_id", "fact_id", name="inbox_one_fact"),
        **_STRICT,
    )
    op.create_index("inbox_pending", "inbox", ["run_id", "id"], sqlite_where=sa.text("decided_seq IS NULL"))
    op.create_table(
        "intents",
        sa.Column("intent_id", sa.Text, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("intent_id"),
        **_STRICT,
    )


def _projections() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("workflow_id", sa.Text, nullable=False),
        sa.Column("trace_id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("version", sa.Text, nullable=False),
        sa.Column("project", sa.Text),
        sa.Column("intent_hash", sa.Text),
        sa.Column("created_at", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Integer),
        sa.Column("finished_at", sa.Integer),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("failure_code", sa.Text),
        sa.Column("steps_total", sa.Integer, nullable=False),
        sa.Column("steps_succeeded", sa.Integer, nullable=False),
        sa.Column("steps_failed", sa.Integer, nullable=False),
        sa.Column("steps_skipped", sa.Integer, nullable=False),
        sa.Column("steps_cancelled", sa.Integer, nullable=False),
        sa.Column("view", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id"),
        sa.UniqueConstraint("workflow_id", name="runs_one_workflow"),
        **_STRICT,
    )
    op.create_index("runs_newest", "runs", ["created_at", "run_id"])
    op.create_table(
        "steps",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("step_id", sa.Text, nullable=False),
        sa.Column("ordinal", sa.Integer, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parent", sa.Text),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("started_at", sa.Integer),
        sa.Column("finished_at", sa.Integer),
        sa.Column("code", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("run_id", "step_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        **_CLUSTERED,
    )
    op.create_table(
        "attempts",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("step_id", sa.Text, nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("claimed_at", sa.Integer, nullable=False),
        sa.Column("ended_at", sa.Integer),
        sa.Column("outcome", sa.Text),
        sa.Column("code", sa.Text),
        sa.Column("exit_code", sa.Integer),
        sa.PrimaryKeyConstraint("run_id", "step_id", "n"),
        sa.ForeignKeyConstraint(["run_id", "step_id"], ["steps.run_id", "steps.step_id"]),
        **_CLUSTERED,
    )
    op.create_table(
        "artifacts",
        sa.Column("run_id", sa.Text, nullable=False),
        sa.Column("artifact_id", sa.Text, nullable=False),
        sa.Column("step_id", sa.Text),
        sa.Column("attempt", sa.Integer),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("sha256", sa.Text),
        sa.Column("bytes", sa.Integer),
        sa.Column("media_type", sa.Text),
        sa.Column("reason", sa.Text),
        sa.PrimaryKeyConstraint("run_id", "artifact_id"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        sa.CheckConstraint("(kind = 'none') = (sha256 IS NULL)", name="artifacts_content_or_none"),
        **_CLUSTERED,
    )
