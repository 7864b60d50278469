"""Views and triggers: the invariants that the database itself holds, in one list, recreated after every migration.

Refuses to decide anything about a run: each trigger only keeps what was written from being written otherwise. The one that
would surprise: every append-only table has a BEFORE INSERT guard too, since INSERT OR REPLACE walks around UPDATE and DELETE
triggers.
"""

from __future__ import annotations

from wfconsole.store.statements import UNACCOUNTED

VIEWS: dict[str, str] = {
    # public: one row for each step that took effect; one that a successor took over did so in the run before
    "marks": (
        "CREATE VIEW marks (run_id, step, step_id) AS "
        "SELECT run_id, step_id, step_id FROM steps WHERE status = 'succeeded' AND attempts > 0"
    ),
}


def _trigger(name: str, moment: str, when: str | None, message: str) -> str:
    condition = f"WHEN {when} " if when else ""
    return f"CREATE TRIGGER {name} BEFORE {moment} {condition}BEGIN SELECT RAISE(ABORT, '{message}'); END"


def _never(table: str, verb: str, when: str | None = None) -> tuple[str, str]:
    name = f"{table}_no_{verb.lower()}"
    return name, _trigger(name, f"{verb} ON {table}", when, f"{table}: rows are never changed or removed")


def _once(table: str, key: str, message: str) -> tuple[str, str]:
    name = f"{table}_once"
    return name, _trigger(name, f"INSERT ON {table}", f"EXISTS (SELECT 1 FROM {table} WHERE {key})", message)  # noqa: S608


_NOT_BEING_DELETED = "NOT EXISTS (SELECT 1 FROM tombstones WHERE run_id = OLD.run_id AND finished_at IS NULL)"
_DELETED = "EXISTS (SELECT 1 FROM tombstones WHERE run_id = NEW.run_id)"
_GONE = "this run was deleted"
_UNACCOUNTED = UNACCOUNTED.replace("?", "NEW.run_id")
FENCED = "leases: another process has taken this run over"
NOT_SIGNED = "journal: only who has the lease of this run writes it"

TRIGGERS: dict[str, str] = dict(
    (
        _once("meta", "1", "meta: there is one row"),
        _never("meta", "UPDATE"),
        _never("meta", "DELETE"),
        (
            "journal_next",
            _trigger(
                "journal_next",
                "INSERT ON journal",
                "NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM journal WHERE run_id = NEW.run_id)",
                "journal: seq is not the next one",
            ),
        ),
        (
            "journal_chain",
            _trigger(
                "journal_chain",
                "INSERT ON journal",
                "NEW.seq > 1 AND NEW.prev IS NOT "
                "(SELECT hash FROM journal WHERE run_id = NEW.run_id AND seq = NEW.seq - 1)",
                "journal: prev is not the hash before",
            ),
        ),
        (
            "journal_one_fallback",
            _trigger(
                "journal_one_fallback",
                "INSERT ON journal",
                "NEW.type = 'template_fallback' AND EXISTS (SELECT 1 FROM journal WHERE run_id = NEW.run_id "
                "AND type = 'template_fallback' AND json_extract(CAST(body AS TEXT), '$.step_id') "
                "= json_extract(CAST(NEW.body AS TEXT), '$.step_id'))",
                "journal: one fallback a step",
            ),
        ),
        _never("journal", "UPDATE"),
        _never("journal", "DELETE", _NOT_BEING_DELETED),
        (
            "journal_of_the_living",
            _trigger("journal_of_the_living", "INSERT ON journal", _DELETED, f"journal: {_GONE}"),
        ),
        _once(
            "inbox",
            "id = NEW.id OR (run_id = NEW.run_id AND fact_id = NEW.fact_id)",
            "inbox: this fact is already there",
        ),
        _never(
            "inbox",
            "UPDATE",
            "OLD.decided_seq IS NOT NULL OR NEW.id IS NOT OLD.id OR NEW.run_id IS NOT OLD.run_id "
            "OR NEW.fact_id IS NOT OLD.fact_id OR NEW.type IS NOT OLD.type OR NEW.body IS NOT OLD.body "
            "OR NEW.posted_at IS NOT OLD.posted_at",
        ),
        _never("inbox", "DELETE", _NOT_BEING_DELETED),
        (
            "inbox_of_the_living",
            _trigger(
                "inbox_of_the_living", "INSERT ON inbox", f"NEW.body IS NOT NULL AND {_DELETED}", f"inbox: {_GONE}"
            ),
        ),
        _once("intents", "intent_id = NEW.intent_id", "intents: this intent is already there"),
        _never("intents", "UPDATE"),
        _never("intents", "DELETE"),
        _once(
            "runs",
            "run_id = NEW.run_id OR workflow_id = NEW.workflow_id",
            "runs: one run per workflow_id",
        ),
        _never("runs", "UPDATE", "NEW.run_id IS NOT OLD.run_id OR NEW.workflow_id IS NOT OLD.workflow_id"),
        _once("steps", "run_id = NEW.run_id AND step_id = NEW.step_id", "steps: one row per step"),
        _never(
            "steps",
            "UPDATE",
            "NEW.run_id IS NOT OLD.run_id OR NEW.step_id IS NOT OLD.step_id "
            "OR (OLD.status = 'succeeded' AND NEW.status IS NOT 'succeeded')",
        ),
        _once(
            "attempts",
            "run_id = NEW.run_id AND step_id = NEW.step_id AND n = NEW.n",
            "attempts: this attempt is already claimed",
        ),
        _never(
            "attempts",
            "UPDATE",
            "OLD.outcome IS NOT NULL OR NEW.run_id IS NOT OLD.run_id OR NEW.step_id IS NOT OLD.step_id "
            "OR NEW.n IS NOT OLD.n OR NEW.claimed_at IS NOT OLD.claimed_at",
        ),
        (
            "runs_accounted",
            _trigger(
                "runs_accounted",
                "UPDATE OF finished_at ON runs",
                f"OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND EXISTS ({_UNACCOUNTED})",
                "runs: a step has left neither an artifact nor a reason",
            ),
        ),
        _once(
            "artifacts",
            "run_id = NEW.run_id AND artifact_id = NEW.artifact_id",
            "artifacts: this artifact is already there",
        ),
        _never("artifacts", "UPDATE"),
        _once("tombstones", "run_id = NEW.run_id", "tombstones: this run was deleted already"),
        _never(
            "tombstones",
            "UPDATE",
            "OLD.finished_at IS NOT NULL OR NEW.run_id IS NOT OLD.run_id OR NEW.workflow_id IS NOT OLD.workflow_id "
            "OR NEW.deleted_at IS NOT OLD.deleted_at OR NEW.seq IS NOT OLD.seq OR NEW.body IS NOT OLD.body "
            "OR NEW.prev IS NOT OLD.prev OR NEW.hash IS NOT OLD.hash",
        ),
        _never("tombstones", "DELETE"),
        (
            "journal_leased",
            _trigger(
                "journal_leased",
                "INSERT ON journal",
                "EXISTS (SELECT 1 FROM leases WHERE run_id = NEW.run_id AND seq < NEW.seq)",
                NOT_SIGNED,
            ),
        ),
        (
            "leases_writer",
            _trigger(
                "leases_writer",
                "UPDATE OF writer, writer_fence, seq ON leases",
                "NEW.writer IS NOT OLD.owner OR NEW.writer_fence IS NOT OLD.fence OR NEW.seq < OLD.seq",
                FENCED,
            ),
        ),
        (
            "leases_fence",
            _trigger(
                "leases_fence",
                "UPDATE ON leases",
                "NEW.run_id IS NOT OLD.run_id OR NEW.fence < OLD.fence "
                "OR (NEW.owner IS NOT OLD.owner AND NEW.fence = OLD.fence)",
                "leases: a fence only grows, and with every owner",
            ),
        ),
        _once("leases", "run_id = NEW.run_id", "leases: one lease a run"),
        _never("leases", "DELETE", _NOT_BEING_DELETED),
    )
)
