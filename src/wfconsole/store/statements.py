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
NEWEST = "SELECT run_id, body FROM journal ORDER BY rowid DESC LIMIT ?"
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
RUN_ASIDE = "UPDATE runs SET view = json_set(view, '$.quarantine', json(?1)) WHERE run_id = ?2"
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

# ---------------------------------------------------------------------------------------------------------- tombstones

TOMBSTONE = (
    "INSERT INTO tombstones (run_id, workflow_id, deleted_at, seq, body, prev, hash, doomed, measured, freed, finished_at) "
    "SELECT j.run_id, ?3, j.at, j.seq, j.body, j.prev, j.hash, (SELECT json_group_array(DISTINCT sha256) FROM artifacts "
    "WHERE run_id = ?1 AND sha256 IS NOT NULL), NULL, NULL, NULL FROM journal j WHERE j.run_id = ?1 AND j.seq = ?2 "
    "AND NOT EXISTS (SELECT 1 FROM tombstones WHERE run_id = ?1)"
)
"""A fold makes none: its journal is elsewhere."""
TOMBSTONES = (
    "SELECT run_id, workflow_id, deleted_at, seq, body, prev, hash, doomed IS NOT NULL, measured, freed, finished_at "
    "FROM tombstones ORDER BY deleted_at, run_id"
)
TOMBSTONES_NAMED = (
    "SELECT run_id, workflow_id, deleted_at, seq, body, prev, hash, doomed IS NOT NULL, measured, freed, finished_at "
    "FROM tombstones WHERE run_id = ?1 OR workflow_id = ?1 OR (length(?1) > 2 AND (substr(run_id, 1, length(?1)) = ?1 "
    "OR substr(run_id, -length(?1)) = ?1)) ORDER BY run_id = ?1 DESC, deleted_at DESC, run_id LIMIT 1"
)
UNFINISHED = "SELECT run_id FROM tombstones WHERE finished_at IS NULL ORDER BY deleted_at, run_id"
IS_UNFINISHED = "SELECT 1 FROM tombstones WHERE run_id = ? AND finished_at IS NULL"
DOOMED = (
    "SELECT d.value FROM tombstones t, json_each(t.doomed) d WHERE t.run_id = ? "
    "AND NOT EXISTS (SELECT 1 FROM artifacts a WHERE a.sha256 = d.value)"
)
MEASURED = "UPDATE tombstones SET measured = ? WHERE run_id = ? AND measured IS NULL AND finished_at IS NULL"
BURIED = (
    "UPDATE tombstones SET doomed = NULL, freed = max(0, coalesce(measured, 0) - ?), finished_at = ? "
    "WHERE run_id = ? AND finished_at IS NULL"
)
TABLES_OF_RUNS = (
    "SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'run_id' "
    "WHERE m.type = 'table' AND m.name <> 'tombstones' ORDER BY m.name"
)
"""Every table whose rows belong to runs: also one that a later version adds."""
COUNTS = (
    "SELECT (SELECT count(*) FROM steps WHERE run_id = ?1), (SELECT count(*) FROM attempts WHERE run_id = ?1), "
    "(SELECT count(*) FROM artifacts WHERE run_id = ?1 AND sha256 IS NOT NULL)"
)
REUSES = (
    "SELECT DISTINCT j.run_id, json_extract(CAST(j.body AS TEXT), '$.reused_from') FROM runs r "
    "JOIN journal j ON j.run_id = r.run_id WHERE j.type = 'step_reused'"
)
"""Runs that reuse steps of another, and that other."""
EXCLUSIVE = (
    "SELECT DISTINCT sha256 FROM artifacts a WHERE run_id IN (SELECT value FROM json_each(?1)) AND sha256 IS NOT NULL "
    "AND NOT EXISTS (SELECT 1 FROM artifacts b WHERE b.sha256 = a.sha256 AND b.run_id NOT IN "
    "(SELECT value FROM json_each(?1)))"
)
"""Contents that these runs alone refer to."""
REFERRED = "SELECT DISTINCT sha256 FROM artifacts WHERE sha256 IS NOT NULL"
RETENTION = (
    "SELECT r.run_id, r.recipe, r.status, r.created_at, r.finished_at, "
    "json_extract(CAST(j.body AS TEXT), '$.plan.retention') FROM runs r "
    "JOIN journal j ON j.run_id = r.run_id AND j.seq = 1 ORDER BY r.created_at DESC, r.run_id DESC"
)
CONTENTS = (
    "SELECT run_id, artifact_id, sha256, bytes FROM artifacts WHERE sha256 IS NOT NULL ORDER BY run_id, artifact_id"
)
OVER = "SELECT a.step_id, a.n FROM attempts a WHERE a.run_id = ? AND a.outcome IS NOT NULL"

# -------------------------------------------------------------------------------------------------------------- leases

SIGN_IN = (
    "UPDATE leases SET writer = ?2, writer_fence = ?3, seq = max(seq, ?4), "
    "setbacks = CASE WHEN ?5 THEN 0 ELSE setbacks END WHERE run_id = ?1"
)
"""Whoever writes a run names its lease first, and up to which event it writes; `leases_writer` looks at the lease."""
OWNER = (
    "INSERT INTO owners (owner, host, boot, pid, ticks, socket, expires) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (owner) DO UPDATE SET socket = excluded.socket, expires = excluded.expires"
)
OWNERS_GONE = (
    "DELETE FROM owners WHERE (boot <> ? OR expires < ?) "
    "AND NOT EXISTS (SELECT 1 FROM leases WHERE leases.owner = owners.owner)"
)
LEASE = (
    "SELECT l.owner, l.fence, l.locked, l.setbacks, o.host, o.pid, o.boot, o.expires FROM leases l "
    "LEFT JOIN owners o ON o.owner = l.owner WHERE l.run_id = ?"
)
LEASE_NEW = (
    "INSERT INTO leases (run_id, owner, fence, locked, setbacks, trouble, writer, writer_fence, seq) "
    "SELECT run_id, ?2, 1, ?3, 0, NULL, NULL, NULL, seq FROM runs WHERE run_id = ?1 UNION ALL "
    "SELECT run_id, ?2, 1, ?3, 0, NULL, NULL, NULL, seq FROM tombstones WHERE run_id = ?1 AND finished_at IS NULL"
)
"""Of a run, or of what is left of one that is being removed."""
LEASE_TAKEN = "UPDATE leases SET owner = ?, fence = ?, locked = ? WHERE run_id = ?"
LEASE_FENCE = "SELECT owner, fence FROM leases WHERE run_id = ?"
LET_GO = (
    "UPDATE leases SET owner = NULL, fence = fence + 1, setbacks = setbacks + (?1 IS NOT NULL), "
    "trouble = coalesce(?1, trouble) WHERE run_id = ?2 AND owner = ?3 AND fence = ?4"
)
NOT_LET_GO = (
    "SELECT l.run_id FROM leases l JOIN runs r ON r.run_id = l.run_id "
    "WHERE l.owner IS NOT NULL AND l.owner <> ? AND r.finished_at IS NOT NULL ORDER BY r.finished_at DESC, l.run_id"
)
"""Runs that are over and that somebody has yet: it is about to let go, or died first."""
LEASE_ENDS = "DELETE FROM leases WHERE run_id = ?"
HELD = "SELECT run_id, fence FROM leases WHERE owner = ?"
SOCKET = "SELECT o.socket FROM leases l JOIN owners o ON o.owner = l.owner WHERE l.run_id = ?"
SETBACKS = "SELECT setbacks, trouble FROM leases WHERE run_id = ?"
LIFT = "UPDATE leases SET setbacks = 0, trouble = NULL WHERE run_id = ?"

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
RUNS = (
    "SELECT run_id, workflow_id, status, recipe, version, project, created_at, started_at, finished_at, seq, view, "
    "steps_total, steps_succeeded + steps_failed + steps_skipped + steps_cancelled FROM runs"
)


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
