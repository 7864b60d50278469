"""The list of runs: a table for people and one object a run for programs.

Refuses to know the store: rows come in as the port gives them, and the age is computed from the `now` that the caller gives.
"""

from __future__ import annotations

from collections.abc import Sequence

from wfconsole.domain.moments import from_iso
from wfconsole.domain.plan import Json
from wfconsole.ports import RunRow
from wfconsole.views.report import table
from wfconsole.views.run_document import run_document as run_document  # noqa: PLC0414 - asked for here, too
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, glyph, word

HEADER = ("RUN", "STATUS", "RECIPE", "AGE", "TOOK", "CAUSE")


def run_table(rows: Sequence[RunRow], now: int, *, ascii_only: bool) -> list[str]:
    """The lines of the table, newest run first as the rows come."""
    cells = [_cells(run_document(row), now, ascii_only=ascii_only) for row in rows]
    return table(HEADER, cells)


def _cells(view: dict[str, Json], now: int, *, ascii_only: bool) -> tuple[str, ...]:
    began, ended = view["started_at"], view["finished_at"]
    took = view["duration_ms"]
    if took is None and began is not None and ended is None:
        took = now - from_iso(began)
    cells = (
        view["run_id"],
        f"{glyph(view['status'], ascii_only=ascii_only)} {word(view['status'])}",
        f"{view['recipe']['name']}@{view['recipe']['version']}",
        duration(now - from_iso(view["created_at"])),
        duration(took),
        _cause(view),
    )
    return tuple(safe_text(cell, limit=100) for cell in cells)


def _cause(view: dict[str, Json]) -> str:
    failure = view.get("failure")
    if failure:
        step = f" {failure['step_id']}" if failure.get("step_id") else ""
        return f"{failure['code']}{step}"
    aside = view.get("quarantine")
    if aside:
        return f"set aside: {aside['code']}; wfconsole resume {view['run_id']}"
    waiting = view.get("waiting_for") or []
    return f"waits for you: {', '.join(waiting)}" if waiting else ""
