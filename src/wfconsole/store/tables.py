"""The tables, declared once, with SQLModel: schema, migrations and tests are measured against this file.

Refuses to run a query: the hot path reads `statements.py`, whose columns a test compares with these. The decision that
would surprise: nothing imports this module in a normal run (0.4 s); a fresh database is made from `schema.py`, which
`python -m wfconsole.store.tables` prints and a test compares. Times are milliseconds since the epoch. Every table is STRICT.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Text,
    UniqueConstraint,
    create_mock_engine,
    text,
)
from sqlalchemy.dialects import sqlite
from sqlmodel import Field, SQLModel

_STRICT = {"sqlite_strict": True}
_CLUSTERED = {"sqlite_strict": True, "sqlite_with_rowid": False}


class MetaRow(SQLModel, table=True):
    """One row: who this database is. `database_id` labels containers, so that nobody else's are ever touched."""

    __tablename__ = "meta"
    __table_args__ = (CheckConstraint("id = 1", name="meta_has_one_row"), _STRICT)

    id: int = Field(primary_key=True, sa_type=Integer)
    database_id: str = Field(sa_type=Text)
    application_id: str = Field(sa_type=Text)
    created_at: int = Field(sa_type=Integer)


class JournalRow(SQLModel, table=True):
    """What happened: `body` is the canonical wire form, `hash` is sha256(prev || body). Append-only."""

    __tablename__ = "journal"
    __table_args__ = (_STRICT,)

    run_id: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(primary_key=True, sa_type=Integer)
    at: int = Field(sa_type=Integer)
    type: str = Field(sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    prev: bytes = Field(sa_type=LargeBinary)
    hash: bytes = Field(sa_type=LargeBinary)


class InboxRow(SQLModel, table=True):
    """What was asked. `body` is null for a fact that its own decider committed at once; the journal tells the rest."""

    __tablename__ = "inbox"
    __table_args__ = (
        UniqueConstraint("run_id", "fact_id", name="inbox_one_fact"),
        Index("inbox_pending", "run_id", "id", sqlite_where=text("decided_seq IS NULL")),
        _STRICT,
    )

    id: int = Field(primary_key=True, sa_type=Integer)
    run_id: str = Field(sa_type=Text)
    fact_id: str = Field(sa_type=Text)
    type: str = Field(sa_type=Text)
    body: bytes | None = Field(default=None, sa_type=LargeBinary)
    posted_at: int = Field(sa_type=Integer)
    decided_seq: int | None = Field(default=None, sa_type=Integer)


class RunsRow(SQLModel, table=True):
    """Projection: one line of the run list. `view` is JSON with the nesting of RunView. Counts are of steps that ended."""

    __tablename__ = "runs"
    __table_args__ = (
        UniqueConstraint("workflow_id", name="runs_one_workflow"),
        Index("runs_newest", "created_at", "run_id"),
        _STRICT,
    )

    run_id: str = Field(primary_key=True, sa_type=Text)
    workflow_id: str = Field(sa_type=Text)
    trace_id: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    recipe: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)
    project: str | None = Field(default=None, sa_type=Text)
    intent_hash: str | None = Field(default=None, sa_type=Text)
    created_at: int = Field(sa_type=Integer)
    started_at: int | None = Field(default=None, sa_type=Integer)
    finished_at: int | None = Field(default=None, sa_type=Integer)
    seq: int = Field(sa_type=Integer)
    failure_code: str | None = Field(default=None, sa_type=Text)
    steps_total: int = Field(sa_type=Integer)
    steps_succeeded: int = Field(sa_type=Integer)
    steps_failed: int = Field(sa_type=Integer)
    steps_skipped: int = Field(sa_type=Integer)
    steps_cancelled: int = Field(sa_type=Integer)
    view: str = Field(sa_type=Text)


class StepsRow(SQLModel, table=True):
    """Projection: one row a step of the plan, made with the run; a succeeded one is the step's mark."""

    __tablename__ = "steps"
    __table_args__ = (ForeignKeyConstraint(["run_id"], ["runs.run_id"]), _CLUSTERED)

    run_id: str = Field(primary_key=True, sa_type=Text)
    step_id: str = Field(primary_key=True, sa_type=Text)
    ordinal: int = Field(sa_type=Integer)
    kind: str = Field(sa_type=Text)
    parent: str | None = Field(default=None, sa_type=Text)
    status: str = Field(sa_type=Text)
    attempts: int = Field(sa_type=Integer)
    started_at: int | None = Field(default=None, sa_type=Integer)
    finished_at: int | None = Field(default=None, sa_type=Integer)
    code: str | None = Field(default=None, sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)


class AttemptsRow(SQLModel, table=True):
    """The claim: an attempt number is given out once, by the primary key. `outcome` is set once."""

    __tablename__ = "attempts"
    __table_args__ = (
        ForeignKeyConstraint(["run_id", "step_id"], ["steps.run_id", "steps.step_id"]),
        _CLUSTERED,
    )

    run_id: str = Field(primary_key=True, sa_type=Text)
    step_id: str = Field(primary_key=True, sa_type=Text)
    n: int = Field(primary_key=True, sa_type=Integer)
    claimed_at: int = Field(sa_type=Integer)
    ended_at: int | None = Field(default=None, sa_type=Integer)
    outcome: str | None = Field(default=None, sa_type=Text)
    code: str | None = Field(default=None, sa_type=Text)
    exit_code: int | None = Field(default=None, sa_type=Integer)


class ArtifactsRow(SQLModel, table=True):
    """What a step left, or with kind `none` the statement that it left nothing."""

    __tablename__ = "artifacts"
    __table_args__ = (
        ForeignKeyConstraint(["run_id"], ["runs.run_id"]),
        CheckConstraint("(kind = 'none') = (sha256 IS NULL)", name="artifacts_content_or_none"),
        _CLUSTERED,
    )

    run_id: str = Field(primary_key=True, sa_type=Text)
    artifact_id: str = Field(primary_key=True, sa_type=Text)
    step_id: str | None = Field(default=None, sa_type=Text)
    attempt: int | None = Field(default=None, sa_type=Integer)
    name: str = Field(sa_type=Text)
    kind: str = Field(sa_type=Text)
    sha256: str | None = Field(default=None, sa_type=Text)
    bytes: int | None = Field(default=None, sa_type=Integer)
    media_type: str | None = Field(default=None, sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)


class IntentsRow(SQLModel, table=True):
    """A submitted intent under the sha256 of its canonical JSON. Immutable."""

    __tablename__ = "intents"
    __table_args__ = (_STRICT,)

    intent_id: str = Field(primary_key=True, sa_type=Text)
    body: bytes = Field(sa_type=LargeBinary)
    created_at: int = Field(sa_type=Integer)


class TombstonesRow(SQLModel, table=True):
    """What is left of a run that was deleted: its last event, with the hash that the chain ended with.

    While it is being removed `doomed` is a JSON list of the artifacts' sha256; `measured` is what lay on disk before, `freed`
    what of it is gone, both in bytes.
    """

    __tablename__ = "tombstones"
    __table_args__ = (
        CheckConstraint("(finished_at IS NULL) = (doomed IS NOT NULL)", name="tombstones_doomed_until_finished"),
        Index("tombstones_unfinished", "run_id", sqlite_where=text("finished_at IS NULL")),
        _STRICT,
    )

    run_id: str = Field(primary_key=True, sa_type=Text)
    workflow_id: str = Field(sa_type=Text)
    deleted_at: int = Field(sa_type=Integer)
    seq: int = Field(sa_type=Integer)
    body: bytes = Field(sa_type=LargeBinary)
    prev: bytes = Field(sa_type=LargeBinary)
    hash: bytes = Field(sa_type=LargeBinary)
    doomed: str | None = Field(default=None, sa_type=Text)
    measured: int | None = Field(default=None, sa_type=Integer)
    freed: int | None = Field(default=None, sa_type=Integer)
    finished_at: int | None = Field(default=None, sa_type=Integer)


class OwnersRow(SQLModel, table=True):
    """A process that drives runs. `ticks` since the boot: when it started. `expires` is CLOCK_BOOTTIME in milliseconds.

    `socket` is the name of the socket that hears hints; null when it has none.
    """

    __tablename__ = "owners"
    __table_args__ = (_STRICT,)

    owner: str = Field(primary_key=True, sa_type=Text)
    host: str = Field(sa_type=Text)
    boot: str = Field(sa_type=Text)
    pid: int = Field(sa_type=Integer)
    ticks: int = Field(sa_type=Integer)
    socket: str | None = Field(default=None, sa_type=Text)
    expires: int = Field(sa_type=Integer)


class LeasesRow(SQLModel, table=True):
    """Who may write a run. No event makes it; it goes with the run.

    `owner` is null when nobody has it; `locked`: the last owner had the run's lock file too. `writer` and `writer_fence` are
    what the last writer claimed, `seq` up to where it was let write. `setbacks` counts failures to drive the run since
    something was written, `trouble` is the last one.
    """

    __tablename__ = "leases"
    __table_args__ = (
        CheckConstraint("fence > 0", name="leases_fence_positive"),
        Index("leases_held", "owner", sqlite_where=text("owner IS NOT NULL")),
        _STRICT,
    )

    run_id: str = Field(primary_key=True, sa_type=Text)
    owner: str | None = Field(default=None, sa_type=Text)
    fence: int = Field(sa_type=Integer)
    locked: int = Field(sa_type=Integer)
    setbacks: int = Field(sa_type=Integer)
    trouble: str | None = Field(default=None, sa_type=Text)
    writer: str | None = Field(default=None, sa_type=Text)
    writer_fence: int | None = Field(default=None, sa_type=Integer)
    seq: int = Field(sa_type=Integer)


def ddl() -> tuple[str, ...]:
    """The statements that `create_all` issues, in its order, with the white space of one line each."""
    out: list[str] = []

    def keep(statement: Any, *_: Any, **__: Any) -> None:
        out.append(" ".join(str(statement.compile(dialect=sqlite.dialect())).split()))

    SQLModel.metadata.create_all(create_mock_engine("sqlite://", keep), checkfirst=False)
    return tuple(out)


if __name__ == "__main__":
    import sys

    sys.stdout.writelines(f"    {statement!r},\n" for statement in ddl())
