"""The inbox: everything that waits for a person, over all runs.

Owns what counts as waiting: every open gate of a run that is not over, also while other branches run, and every gate whose
context could not be gathered, which nobody can decide yet. Refuses to know the store: RunViews come in. Most urgent first:
what expires next; last what cannot be decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from wfconsole.domain.codec import from_iso
from wfconsole.domain.lifecycle import RUN_TERMINAL
from wfconsole.domain.plan import Json
from wfconsole.views.approval_card import approvals_so_far, expiry, who_decides
from wfconsole.views.evidence import Told
from wfconsole.views.report import table
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration

HEADER = ("RUN", "GATE", "KIND", "AGE", "EXPIRES", "RISK", "WHO", "TITLE")
_TITLE = 60
_WIDE = 1000


def inbox(views: Iterable[Mapping[str, Json]]) -> list[dict[str, Json]]:
    """What waits, as JSON; `gate_id` is None for a gate that could not open, whose `code` and `hint` say why."""
    found = [entry for view in views if view["status"] not in RUN_TERMINAL for entry in _entries(view)]
    return sorted(found, key=lambda entry: (entry["expires_at"] is None, entry["expires_at"] or "", entry["run_id"]))


def open_gates(view: Mapping[str, Json]) -> list[dict[str, Json]]:
    """The gates of a run that can be decided now, in the order in which they opened."""
    over = view["status"] in RUN_TERMINAL
    return [] if over else [gate for gate in view["approvals"] if gate["status"] == "open"]


def _entries(view: Mapping[str, Json]) -> list[dict[str, Json]]:
    gates = open_gates(view)
    asking = {gate["step_id"] for gate in gates}
    stuck = [step for step in view["steps"] if step["status"] == "needs_human" and step["step_id"] not in asking]
    return [*(_entry(view, gate) for gate in gates), *(_stuck(view, step) for step in stuck)]


def _entry(view: Mapping[str, Json], gate: Mapping[str, Json]) -> dict[str, Json]:
    return {
        **_run(view),
        "gate_id": gate["gate_id"],
        "step_id": gate["step_id"],
        "kind": gate["kind"],
        "title": gate["title"],
        "choices": gate["choices"],
        "context_digest": gate["context_digest"],
        "risk": risk_level(gate),
        "approvers": gate["approvers"],
        "approved": approvals_so_far(gate),
        "who": who_decides(gate),
        "opened_at": gate["opened_at"],
        "expires_at": gate["expires_at"],
        "code": None,
        "hint": None,
    }


def _stuck(view: Mapping[str, Json], step: Mapping[str, Json]) -> dict[str, Json]:
    why = step["failure"] or {}
    return {
        **_run(view),
        "gate_id": None,
        "step_id": step["step_id"],
        "kind": step["kind"],
        "title": step["reason"] or "",
        "choices": [],
        "context_digest": None,
        "risk": None,
        "approvers": None,
        "approved": 0,
        "who": "nobody yet",
        "opened_at": step["started_at"] or view["started_at"] or view["created_at"],
        "expires_at": None,
        "code": why.get("code"),
        "hint": why.get("hint"),
    }


def _run(view: Mapping[str, Json]) -> dict[str, Json]:
    return {
        "run_id": view["run_id"],
        "workflow_id": view["workflow_id"],
        "recipe": {"name": view["recipe"]["name"], "version": view["recipe"]["version"]},
        "project": view["project"],
        "status": view["status"],
    }


def risk_level(gate: Mapping[str, Json]) -> str | None:
    """low, medium or high; a command that the policy refuses is high; None when the card has no risk."""
    if gate["kind"] == "blocked":
        return "high"
    context = gate["context"] if isinstance(gate["context"], dict) else {}
    risk = context.get("risk")
    return str(risk["level"]) if isinstance(risk, dict) and "level" in risk else None


def entry_lines(entry: Mapping[str, Json]) -> Iterator[Told]:
    """One entry in a few lines: what the table has no room for."""
    recipe = entry["recipe"]
    found = [
        Told("asks" if entry["gate_id"] else "waits", entry["title"], "note"),
        Told("run", f"{entry['run_id']}  {recipe['name']}@{recipe['version']}  {entry['project'] or ''}".rstrip()),
        Told("gate", entry["gate_id"] or f"{entry['step_id']} cannot open yet"),
        Told("decides", entry["who"]),
        Told("expires", entry["expires_at"] or ""),
        Told("code", entry["code"] or "", "failed"),
        Told("hint", entry["hint"] or ""),
        Told("digest", entry["context_digest"] or "", "muted"),
    ]
    yield from (told._replace(text=safe_text(told.text, limit=_WIDE)) for told in found if told.text)


def inbox_table(entries: Sequence[Mapping[str, Json]], now: int) -> list[str]:
    """The lines of the table."""
    return table(HEADER, [_cells(entry, now) for entry in entries])


def _cells(entry: Mapping[str, Json], now: int) -> tuple[str, ...]:
    cells = (
        entry["run_id"],
        entry["gate_id"] or entry["step_id"],
        entry["kind"] if entry["code"] is None else str(entry["code"]),
        duration(now - from_iso(entry["opened_at"])),
        "-" if entry["expires_at"] is None else expiry(entry, now).removeprefix("in "),
        entry["risk"] or "-",
        entry["who"],
        entry["title"],
    )
    return tuple(safe_text(str(cell), limit=_TITLE) for cell in cells)
