# ruff: noqa: E501  the statements are generated, one a line
"""The schema of a fresh database, as statements: generated from `tables.py` and checked in.

Owns nothing of its own: `python -m wfconsole.store.tables` prints TABLES, and a test proves this list, SQLModel's create_all
and the result of all migrations to be the same schema. It is here because creating a store must not import SQLModel.
"""

from __future__ import annotations

from wfconsole.store.triggers import TRIGGERS, VIEWS

APPLICATION_ID = 0x57464331
"""SQLite's application_id of our files: the bytes ``WFC1``."""

REVISIONS: tuple[str, ...] = ("0001", "0002", "0003", "0004")
"""Every Alembic revision that this version knows, oldest first."""

HEAD = REVISIONS[-1]

VERSION_TABLE = (
    "CREATE TABLE alembic_version ( version_num VARCHAR(32) NOT NULL, "
    "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num) )"
)

# fmt: off
TABLES: tuple[str, ...] = (
    "CREATE TABLE meta ( id INTEGER NOT NULL, database_id TEXT NOT NULL, application_id TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (id), CONSTRAINT meta_has_one_row CHECK (id = 1) ) STRICT",
    "CREATE TABLE journal ( run_id TEXT NOT NULL, seq INTEGER NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL, body BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (run_id, seq) ) STRICT",
    "CREATE TABLE inbox ( id INTEGER NOT NULL, run_id TEXT NOT NULL, fact_id TEXT NOT NULL, type TEXT NOT NULL, body BLOB, posted_at INTEGER NOT NULL, decided_seq INTEGER, PRIMARY KEY (id), CONSTRAINT inbox_one_fact UNIQUE (run_id, fact_id) ) STRICT",
    "CREATE INDEX inbox_pending ON inbox (run_id, id) WHERE decided_seq IS NULL",
    'CREATE TABLE runs ( run_id TEXT NOT NULL, workflow_id TEXT NOT NULL, trace_id TEXT NOT NULL, status TEXT NOT NULL, recipe TEXT NOT NULL, version TEXT NOT NULL, project TEXT, intent_hash TEXT, created_at INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, seq INTEGER NOT NULL, failure_code TEXT, steps_total INTEGER NOT NULL, steps_succeeded INTEGER NOT NULL, steps_failed INTEGER NOT NULL, steps_skipped INTEGER NOT NULL, steps_cancelled INTEGER NOT NULL, "view" TEXT NOT NULL, PRIMARY KEY (run_id), CONSTRAINT runs_one_workflow UNIQUE (workflow_id) ) STRICT',
    "CREATE INDEX runs_newest ON runs (created_at, run_id)",
    "CREATE TABLE intents ( intent_id TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (intent_id) ) STRICT",
    "CREATE TABLE tombstones ( run_id TEXT NOT NULL, workflow_id TEXT NOT NULL, deleted_at INTEGER NOT NULL, seq INTEGER NOT NULL, body BLOB NOT NULL, prev BLOB NOT NULL, hash BLOB NOT NULL, doomed TEXT, measured INTEGER, freed INTEGER, finished_at INTEGER, PRIMARY KEY (run_id), CONSTRAINT tombstones_doomed_until_finished CHECK ((finished_at IS NULL) = (doomed IS NOT NULL)) ) STRICT",
    "CREATE INDEX tombstones_unfinished ON tombstones (run_id) WHERE finished_at IS NULL",
    "CREATE TABLE owners ( owner TEXT NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL, pid INTEGER NOT NULL, ticks INTEGER NOT NULL, socket TEXT, expires INTEGER NOT NULL, PRIMARY KEY (owner) ) STRICT",
    "CREATE TABLE leases ( run_id TEXT NOT NULL, owner TEXT, fence INTEGER NOT NULL, locked INTEGER NOT NULL, setbacks INTEGER NOT NULL, trouble TEXT, writer TEXT, writer_fence INTEGER, seq INTEGER NOT NULL, PRIMARY KEY (run_id), CONSTRAINT leases_fence_positive CHECK (fence > 0) ) STRICT",
    "CREATE INDEX leases_held ON leases (owner) WHERE owner IS NOT NULL",
    "CREATE TABLE steps ( run_id TEXT NOT NULL, step_id TEXT NOT NULL, ordinal INTEGER NOT NULL, kind TEXT NOT NULL, parent TEXT, status TEXT NOT NULL, attempts INTEGER NOT NULL, started_at INTEGER, finished_at INTEGER, code TEXT, reason TEXT, PRIMARY KEY (run_id, step_id), FOREIGN KEY(run_id) REFERENCES runs (run_id) ) WITHOUT ROWID, STRICT",
    "CREATE TABLE artifacts ( run_id TEXT NOT NULL, artifact_id TEXT NOT NULL, step_id TEXT, attempt INTEGER, name TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT, bytes INTEGER, media_type TEXT, reason TEXT, PRIMARY KEY (run_id, artifact_id), FOREIGN KEY(run_id) REFERENCES runs (run_id), CONSTRAINT artifacts_content_or_none CHECK ((kind = 'none') = (sha256 IS NULL)) ) WITHOUT ROWID, STRICT",
    "CREATE TABLE attempts ( run_id TEXT NOT NULL, step_id TEXT NOT NULL, n INTEGER NOT NULL, claimed_at INTEGER NOT NULL, ended_at INTEGER, outcome TEXT, code TEXT, exit_code INTEGER, PRIMARY KEY (run_id, step_id, n), FOREIGN KEY(run_id, step_id) REFERENCES steps (run_id, step_id) ) WITHOUT ROWID, STRICT",
)
# fmt: on


def fresh() -> tuple[str, ...]:
    """Everything that makes an empty file a store of revision HEAD, but for its row in `meta`."""
    return (
        f"PRAGMA application_id = {APPLICATION_ID}",
        VERSION_TABLE,
        f"INSERT INTO alembic_version (version_num) VALUES ('{HEAD}')",  # noqa: S608  a constant of ours
        *TABLES,
        *VIEWS.values(),
        *TRIGGERS.values(),
    )
