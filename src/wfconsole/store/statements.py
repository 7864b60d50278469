"""Every statement of the hot path, as constants: what the writer issues and what the readers ask.

Refuses to build SQL at run time (`listing` alone joins fixed conditions). A test compiles each statement against a fresh
schema and compares the columns of the inserts with the SQLModel tables. No decision is taken in SQL.
"""

from __future__ import annotations

# ------------------------------------------------------------------------------------------------------------- journal

HEAD = "SELECT seq, hash FROM journal WHERE run_id = ? ORDER BY seq DESC LIMIT 1"
HASH = "SELECT seq, hash FROM journal WHERE run_id = ? AND seq = ?"
APPEND = "INSERT INTO journal (run_id, seq, at, type, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?)"
BODIES = "SELECT body FROM journal WHERE run_id = ? AND seq > ? ORDER BY seq"
BODIES_BETWEEN = "SELECT body FROM journal WHERE run_id = ? AND seq > ? AND seq <= ? ORDER BY seq"
CHAIN = "SELECT seq, type, body, prev, hash FROM journal WHERE run_id = ? ORDER BY seq"
NAMES = "SELECT recipe, version FROM runs WHERE run_id = ?"
JOURNAL_RUNS = "SELECT DISTINCT run_id FROM journal ORDER BY run_id"

# --------------------------------------------------------------------------------------------------------------- inbox

POST = (
    "INSERT INTO inbox (run_id, fact_id, type, body, posted_at, decided_seq) SELECT ?1, ?2, ?3, ?4, ?5, ?6 "
    "WHERE NOT EXISTS (SELECT 1 FROM inbox WHERE run_id = ?1 AND fact_id = ?2)"
)
DECIDE = "UPDATE inbox SET decided_seq = ? WHERE run_id = ? AND fact_id = ? AND decided_seq IS NULL"
DECIDED_AT = "SELECT decided_seq FROM inbox WHERE run_id = ? AND fact_id = ?"
PENDING = "SELECT body FROM inbox WHERE run_id = ? AND decided_seq IS NULL ORDER BY id"

# --------------------------------------------------------------------------------------------------------- projections

RUN_CREATED = (
    "INSERT INTO runs (run_id, workflow_id, trace_id, status, recipe, version, project, intent_hash, created_at, "
    "started_at, finished_at, seq, failure_code, steps_total, steps_succeeded, steps_failed, steps_skipped, "
    "steps_cancelled, view) VALUES (?, ?, ?, 'pending', ?, ?, ?, ?, ?, NULL, NULL, ?, NULL, ?, 0, 0, 0, 0, ?)"
)
STEP_PLANNED = (
    "INSERT INTO steps (run_id, step_id, ordinal, kind, parent, status, attempts, started_at, finished_at, code, reason) "
    "VALUES (?, ?, ?, ?, ?, 'pending', 0, NULL, NULL, NULL, NULL)"
)
RUN_ADVANCED = (
    "UPDATE runs SET seq = ?, steps_succeeded = steps_succeeded + ?, steps_failed = steps_failed + ?, "
    "steps_skipped = steps_skipped + ?, steps_cancelled = steps_cancelled + ? WHERE run_id = ?"
)
RUN_STATUS = (
    "UPDATE runs SET status = ?1, view = json_set(view, '$.status', ?1, '$.waiting_for', json(?2)) WHERE run_id = ?3"
)
RUN_STARTED = (
    "UPDATE runs SET started_at = ?1, view = json_set(view, '$.started_at', ?2) "
    "WHERE run_id = ?3 AND started_at IS NULL"
)
RUN_ENDED = (
    "UPDATE runs SET finished_at = ?1, failure_code = ?2, view = json_set(view, '$.finished_at', ?3, "
    "'$.duration_ms', ?1 - coalesce(started_at, created_at), '$.failure', json(?4), '$.outputs', json(?5)) "
    "WHERE run_id = ?6"
)
STEP_STARTED = (
    "UPDATE steps SET status = 'running', attempts = max(attempts, ?1), started_at = coalesce(started_at, ?2), "
    "code = NULL, reason = NULL WHERE run_id = ?3 AND step_id = ?4"
)
STEP_WAITS = "UPDATE steps SET status = ?, code = ?, reason = ? WHERE run_id = ? AND step_id = ?"
STEP_ENDED = "UPDATE steps SET status = ?, finished_at = ?, code = ?, reason = ? WHERE run_id = ? AND step_id = ?"
CLAIM = (
    "INSERT INTO attempts (run_id, step_id, n, claimed_at, ended_at, outcome, code, exit_code) "
    "VALUES (?, ?, ?, ?, NULL, NULL, NULL, NULL)"
)
ATTEMPT_ENDED = (
    "UPDATE attempts SET ended_at = ?, outcome = ?, code = ?, exit_code = ? "
    "WHERE run_id = ? AND step_id = ? AND n = ? AND outcome IS NULL"
)
ARTIFACT = (
    "INSERT INTO artifacts (run_id, artifact_id, step_id, attempt, name, kind, sha256, bytes, media_type, reason) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
PROJECTIONS: dict[str, str] = {
    "runs": "SELECT * FROM runs WHERE run_id = ?",
    "steps": "SELECT * FROM steps WHERE run_id = ? ORDER BY step_id",
    "attempts": "SELECT * FROM attempts WHERE run_id = ? ORDER BY step_id, n",
    "artifacts": "SELECT * FROM artifacts WHERE run_id = ? ORDER BY artifact_id",
}
"""The rows of one run in each projection, in an order that lets them be compared."""

FORGET: tuple[str, ...] = (
    "DELETE FROM artifacts WHERE run_id = ?",
    "DELETE FROM attempts WHERE run_id = ?",
    "DELETE FROM steps WHERE run_id = ?",
    "DELETE FROM runs WHERE run_id = ?",
)
"""Remove the projections of one run, children before parents."""

UNACCOUNTED = (
    "SELECT DISTINCT a.step_id, a.n FROM attempts a JOIN steps s USING (run_id, step_id) WHERE a.run_id = ? "
    "AND a.outcome IS NOT NULL AND a.n = s.attempts AND s.finished_at IS NOT NULL "
    "AND s.kind NOT IN ('set', 'check', 'steps') "
    "AND NOT EXISTS (SELECT 1 FROM artifacts f WHERE f.run_id = a.run_id AND f.step_id = a.step_id)"
)
"""Executed steps without an artifact row, not even an explicit `none`."""

# ------------------------------------------------------------------------------------------------------------- intents

SAVE_INTENT = (
    "INSERT INTO intents (intent_id, body, created_at) SELECT ?1, ?2, ?3 "
    "WHERE NOT EXISTS (SELECT 1 FROM intents WHERE intent_id = ?1)"
)
INTENTS = "SELECT intent_id, body FROM intents WHERE substr(intent_id, 1, length(?1)) = ?1 ORDER BY intent_id LIMIT 11"

# --------------------------------------------------------------------------------------------------------------- reads

DATABASE_ID = "SELECT database_id FROM meta"
REVISION = "SELECT version_num FROM alembic_version"
DATA_VERSION = "PRAGMA data_version"
RUN_BY_ID = "SELECT run_id FROM runs WHERE run_id = ?"
RUN_BY_WORKFLOW = "SELECT run_id FROM runs WHERE workflow_id = ?"
RUN_LATEST = "SELECT run_id FROM runs ORDER BY created_at DESC, run_id DESC LIMIT 1"
RUN_BY_PART = (
    "SELECT run_id FROM runs WHERE substr(run_id, 1, length(?1)) = ?1 OR substr(run_id, -length(?1)) = ?1 "
    "ORDER BY created_at DESC, run_id DESC LIMIT 11"
)
RUNS = "SELECT run_id, workflow_id, status, recipe, version, project, created_at, started_at, finished_at, seq, view FROM runs"


def listing(
    *,
    statuses: tuple[str, ...] | None,
    recipe: str | None,
    project: str | None,
    since_ms: int | None,
    limit: int | None,
) -> tuple[str, tuple[str | int, ...]]:
    """The run list, newest first: statement and parameters."""
    conditions: list[tuple[str, tuple[str | int, ...]]] = []
    if statuses is not None:
        conditions.append((f"status IN ({', '.join('?' * len(statuses))})", statuses))
    if recipe is not None:
        conditions.append(("recipe = ?", (recipe,)))
    if project is not None:
        conditions.append(("project = ?", (project,)))
    if since_ms is not None:
        conditions.append(("created_at >= ?", (since_ms,)))
    where = f" WHERE {' AND '.join(text for text, _ in conditions)}" if conditions else ""
    parameters = tuple(value for _, values in conditions for value in values)
    return f"{RUNS}{where} ORDER BY created_at DESC, run_id DESC LIMIT ?", (*parameters, -1 if limit is None else limit)
