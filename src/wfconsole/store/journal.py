"""One commit as the writer carries it out: encode, append to the chain, project, mark the fact as decided.

Owns the hash chain and what makes a commit idempotent; refuses to know threads and transactions: the writer calls `writing`
before the lock is taken and its result inside the commit's own savepoint. The decision that would surprise: a command that
was never posted gets an inbox row without a body, so that posting it later changes nothing; other facts are never posted.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import get_args

from wfconsole.domain.codec import canonical, fact_to_json, wire
from wfconsole.domain.events import Record, RunCreated, wire_name
from wfconsole.domain.facts import AnyFact, Command, SetAside, TakeRun
from wfconsole.ports import Commit, Lease, StoreConflictError
from wfconsole.store import faults, statements as sql
from wfconsole.store.projections import Change, advance, project

_COMMANDS: tuple[type, ...] = get_args(Command)

MAX_NAMES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A commit, encoded: for each record its journal columns (seq, at, type, body), and the projections' changes."""

    run_id: str
    expected_seq: int
    genesis: bytes | None
    rows: tuple[tuple[int, int, str, bytes], ...]
    changes: tuple[Change, ...]
    fact_id: str
    fact_type: str
    fact_at: int
    remembered: bool
    successor: Prepared | None = None
    lease: Lease | None = None
    progress: bool = True


def genesis(run_id: str, digest: str) -> bytes:
    """What the first event of a run hangs on: the run and the plan it pins."""
    return hashlib.sha256(f"{run_id}{digest}".encode()).digest()


def link(prev: bytes, body: bytes) -> bytes:
    """The hash of a journal row: over the hash before it and the stored bytes."""
    return hashlib.sha256(prev + body).digest()


class Names:
    """Recipe name and version by run, as events carry them; immutable once the run exists, so cached."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, str]] = {}

    def of(self, db: sqlite3.Connection, commit: Commit) -> tuple[str, str]:
        known = self._known.get(commit.run_id)
        if known is not None:
            return known
        first = commit.records[0].event
        if isinstance(first, RunCreated):
            return first.plan.recipe.name, first.plan.recipe.version
        row = db.execute(sql.NAMES, (commit.run_id,)).fetchone()
        if row is None:
            raise faults.conflict(f"there is no run {commit.run_id}", expected_seq=commit.expected_seq)
        if len(self._known) >= MAX_NAMES:
            self._known.clear()
        self._known[commit.run_id] = (row[0], row[1])
        return self._known[commit.run_id]


def writing(db: sqlite3.Connection, names: Names, commit: Commit) -> Callable[[sqlite3.Connection], None]:
    """Prepare without the lock; what is returned writes under it."""
    try:
        prepared = prepare(db, names, commit)
    except StoreConflictError:
        # its run may come into being in the same transaction: look again then, and remember nothing
        return lambda db: write(db, prepare(db, Names(), commit))
    return lambda db: write(db, prepared)


def prepare(db: sqlite3.Connection, names: Names, commit: Commit) -> Prepared:
    """Everything of a commit that needs no lock. Raises StoreConflictError for records that do not follow each other."""
    first = commit.records[0].event if commit.records else None
    for offset, record in enumerate(commit.records, start=1):
        starts = isinstance(record.event, RunCreated)
        if record.seq != commit.expected_seq + offset or starts != (record.seq == 1):
            raise faults.conflict("the records of this commit do not follow each other", seq=record.seq)
    return Prepared(
        run_id=commit.run_id,
        expected_seq=commit.expected_seq,
        genesis=genesis(commit.run_id, first.plan.recipe.digest) if isinstance(first, RunCreated) else None,
        rows=tuple(_encode(commit, names.of(db, commit))) if commit.records else (),
        changes=_changes(commit),
        fact_id=commit.fact.fact_id,
        fact_type=wire_name(type(commit.fact)),
        fact_at=commit.fact.at,
        remembered=isinstance(commit.fact, _COMMANDS) or not commit.records,
        successor=None if commit.successor is None else prepare(db, names, commit.successor),
        lease=commit.lease,
        progress=not isinstance(commit.fact, TakeRun | SetAside),
    )


def _changes(commit: Commit) -> tuple[Change, ...]:
    if not commit.records:
        return ()
    changes = [change for record in commit.records for change in project(commit.run_id, record)]
    return (*changes, advance(commit.run_id, commit.records[-1].seq, commit.records))


def _encode(commit: Commit, names: tuple[str, str]) -> list[tuple[int, int, str, bytes]]:
    name, version = names
    return [
        (r.seq, r.at, wire_name(type(r.event)), encode(r, run_id=commit.run_id, name=name, version=version))
        for r in commit.records
    ]


def encode(record: Record, *, run_id: str, name: str, version: str) -> bytes:
    """The stored bytes of an event."""
    return canonical(wire(record, run_id=run_id, name=name, version=version))


def write(db: sqlite3.Connection, commit: Prepared) -> None:
    """Append and project inside the caller's savepoint. Raises StoreConflictError, or sqlite3.IntegrityError."""
    _write_own(db, commit)
    if commit.successor is not None:
        write(db, commit.successor)


def _write_own(db: sqlite3.Connection, commit: Prepared) -> None:
    if commit.lease is not None:
        end = commit.expected_seq + len(commit.rows)
        names = (commit.run_id, commit.lease.owner, commit.lease.fence, end, commit.progress)
        if not db.execute(sql.SIGN_IN, names).rowcount:
            raise faults.owner_lost(commit.run_id)
    head = db.execute(sql.HEAD, (commit.run_id,)).fetchone()
    seq, prev = head or (0, commit.genesis or b"")
    if seq != commit.expected_seq:
        if _is_there(db, commit, seq):
            return
        raise faults.conflict(f"run {commit.run_id} has moved", expected_seq=commit.expected_seq, seq=seq)
    for number, at, kind, body in commit.rows:
        hashed = link(prev, body)
        db.execute(sql.APPEND, (commit.run_id, number, at, kind, body, prev, hashed))
        seq, prev = number, hashed
    for statement, parameters in commit.changes:
        db.execute(statement, parameters)
    decided = db.execute(sql.DECIDE, (seq, commit.run_id, commit.fact_id)).rowcount
    if not decided and commit.remembered:
        db.execute(sql.POST, (commit.run_id, commit.fact_id, commit.fact_type, None, commit.fact_at, seq))


def _is_there(db: sqlite3.Connection, commit: Prepared, seq: int) -> bool:
    """Whether exactly this was committed before: the same bytes at the same place (for no records: the same decision)."""
    end = commit.expected_seq + len(commit.rows)
    if seq < end:
        return False
    if not commit.rows:
        row = db.execute(sql.DECIDED_AT, (commit.run_id, commit.fact_id)).fetchone()
        return bool(row == (commit.expected_seq,))
    stored = db.execute(sql.BODIES_BETWEEN, (commit.run_id, commit.expected_seq, end)).fetchall()
    return [body for (body,) in stored] == [body for *_, body in commit.rows]


def post(db: sqlite3.Connection, run_id: str, fact: AnyFact) -> None:
    """Put a fact into the inbox; a fact_id that is there, decided or not, stays as it is."""
    body = canonical(fact_to_json(fact))
    db.execute(sql.POST, (run_id, fact.fact_id, wire_name(type(fact)), body, fact.at, None))


def save_intent(db: sqlite3.Connection, intent_id: str, body: bytes, at: int) -> None:
    db.execute(sql.SAVE_INTENT, (intent_id, body, at))
