"""One row of `tombstones` as a value, with what does not hold in it, and what somebody is told who asks for the run.

Refuses to ask the database. Its event must be the one that the run's chain ended with.
"""

from __future__ import annotations

import json
from typing import Any

from wfconsole.domain.codec import iso, record_from_wire
from wfconsole.domain.events import RunDeleted
from wfconsole.domain.plan import Json
from wfconsole.ports import WfconsoleError
from wfconsole.ports.keeping import Tombstone
from wfconsole.store import journal


def read(row: tuple[Any, ...]) -> Tombstone:
    """A tombstone, with what does not hold in it: its event must be the one that the chain ended with."""
    run_id, workflow_id, deleted_at, seq, body, prev, hashed, doomed, _measured, freed, finished_at = row
    problems = [] if journal.link(prev, body) == hashed else [f"event {seq} is not what was written"]
    event: RunDeleted | None = None
    actor = "?"
    try:
        record = record_from_wire(json.loads(body))
        actor = record.actor.user
        event = record.event if isinstance(record.event, RunDeleted) else None
        told = (record.seq, record.at, json.loads(body).get("run_id"))
        if told != (seq, deleted_at, run_id) or event is None or event.workflow_id != workflow_id:
            problems.append("the tombstone says something else than its event")
    except (ValueError, KeyError, TypeError) as error:
        problems.append(f"its event cannot be read: {error!r}")
    if bool(doomed) != (finished_at is None):
        problems.append("it is neither finished nor under way")
    return Tombstone(
        run_id=run_id,
        workflow_id=workflow_id,
        deleted_at=deleted_at,
        seq=seq,
        hash=hashed.hex(),
        counts=event.counts if event else {},
        bytes=event.bytes if event else 0,
        actor=actor,
        reason=event.reason if event else None,
        freed=freed,
        finished_at=finished_at,
        problems=tuple(problems),
    )


def gone(stone: Tombstone) -> WfconsoleError:
    """What somebody is told who asks for a run that was deleted."""
    facts: dict[str, Json] = {
        "run_id": stone.run_id,
        "workflow_id": stone.workflow_id,
        "deleted_at": iso(stone.deleted_at),
        "deleted_by": stone.actor,
        "counts": dict(stone.counts),
        "bytes": stone.bytes,
        "freed": stone.freed,
    }
    return WfconsoleError(
        "NOT_FOUND",
        f"run {stone.run_id} was deleted at {iso(stone.deleted_at)} by {stone.actor}",
        f"its tombstone: {stone.told}; `wfconsole runs` lists the runs",
        {"tombstone": facts},
    )
