"""A RunView made of the projections alone: what can be said about a long run before its journal has been read.

Owns the shape; every key of a RunView is there. Attempts, artifacts, transitions and gates are empty in it, whatever happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from wfconsole.domain.codec import from_iso, iso
from wfconsole.domain.plan import Json
from wfconsole.views.step_part import elapsed

Row = Sequence[Json]
"""``step_id kind status attempts started_at finished_at code reason`` of one step, in the plan's order; times in milliseconds."""


def sketch(view: Mapping[str, Json], rows: Sequence[Row]) -> dict[str, Json]:
    """A RunView from the JSON of the run's row and the rows of its steps."""
    over = view["finished_at"] is not None
    steps = [_step(row) for row in rows]
    waiting = [] if over else [step["step_id"] for step in steps if step["status"] == "needs_human"]
    live = [step["step_id"] for step in steps if step["status"] == "running" and step["kind"] != "steps"]
    started, finished = view["started_at"], view["finished_at"]
    return {
        "schema_version": 1,
        **view,
        "state": {},
        "waiting_for": waiting,
        "duration_ms": None if started is None or finished is None else from_iso(finished) - from_iso(started),
        "current_step": next(iter(live or waiting), None),
        "transitions": [],
        "steps": steps,
        "approvals": [],
        "artifacts": [],
        "warnings": [],
        "failure": _failure(view["failure"]),
        "rollback": {"performed": False, "steps": []},
        "lineage": {"root": view["run_id"], "parent": None, "retried_from": None, "reused": [], "successors": []},
        "interventions": [],
        "budget": {"limits": {}, "used": {}},
        "bundle": f"runs/{view['run_id']}/bundle",
    }


def _failure(known: Mapping[str, Json] | None) -> dict[str, Json] | None:
    if not known:
        return None
    empty: dict[str, Json] = {
        "hint": "",
        "message": "",
        "step_id": None,
        "last_successful_step": None,
        "missing_fields": [],
    }
    return {**empty, "retry": {"allowed": False, "command": None, "reason": None}, **known}


def _step(row: Row) -> dict[str, Json]:
    step_id, kind, status, attempts, started_at, finished_at, code, reason = row
    return {
        "step_id": step_id,
        "kind": kind,
        "status": status,
        "reason": reason,
        "failure": {"code": code, "message": reason or "", "hint": "", "details": {}} if code else None,
        "started_at": _moment(started_at),
        "finished_at": _moment(finished_at),
        "duration_ms": elapsed(started_at, finished_at),
        "retry_at": None,
        "retries": max(0, attempts - 1),
        "attempts": [],
        "outputs": {},
        "artifacts": [],
        "reused_from": None,
        "trace_url": None,
        "children": None,
    }


def _moment(at: int | None) -> str | None:
    """`moment`, quick for the many times of one run: the minute is remembered."""
    if at is None:
        return None
    minute, rest = divmod(at, 60_000)
    return f"{_minute(minute)}{rest // 1000:02d}.{rest % 1000:03d}Z"


@lru_cache(maxsize=4096)
def _minute(minute: int) -> str:
    return iso(minute * 60_000)[:17]
