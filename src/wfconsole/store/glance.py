"""The newest runs at a glance: one read of the store by the standard library alone, before anything else is imported.

Owns nothing: what cannot be read at once is left to the store itself, which says what is wrong with it.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from wfconsole.ports import RunRow
from wfconsole.store import statements

_NAME = "wfconsole.db"


def newest(state_dir: Path, limit: int) -> Sequence[RunRow] | None:
    """The newest runs; None when they cannot be had without waiting, creating or repairing anything."""
    statement, parameters = statements.listing(statuses=None, recipe=None, project=None, since_ms=None, limit=limit)
    try:
        with closing(sqlite3.connect(f"{(state_dir / _NAME).absolute().as_uri()}?mode=ro", uri=True, timeout=0)) as db:
            return [row_of(row) for row in db.execute(statement, parameters)]
    except (sqlite3.Error, ValueError):
        return None


def row_of(row: tuple[object, ...]) -> RunRow:
    """A row of `statements.listing` as the port gives it."""
    *plain, view, total, over = row
    names = (
        "run_id", "workflow_id", "status", "recipe", "version", "project", "created_at", "started_at", "finished_at", "seq",
    )  # fmt: skip
    return RunRow(
        **dict(zip(names, plain, strict=True)),  # type: ignore[arg-type]  # as the statement selects them
        view=json.loads(str(view)),
        steps_total=total,  # type: ignore[arg-type]
        steps_over=over,  # type: ignore[arg-type]
    )
