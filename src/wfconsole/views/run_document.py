"""A row of the run list as JSON, in the names of a RunView."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wfconsole.domain.moments import elapsed, iso, moment

if TYPE_CHECKING:
    from wfconsole.domain.plan import Json
    from wfconsole.ports import RunRow


def run_document(row: RunRow) -> dict[str, Json]:
    """The row as JSON, in the names of a RunView."""
    return {
        "run_id": row.run_id,
        "workflow_id": row.workflow_id,
        "status": row.status,
        "recipe": {"name": row.recipe, "version": row.version},
        "project": row.project,
        "created_at": iso(row.created_at),
        "started_at": moment(row.started_at),
        "finished_at": moment(row.finished_at),
        "duration_ms": elapsed(row.started_at, row.finished_at),
        "quarantine": None,
        "progress": {"over": row.steps_over, "total": row.steps_total},
        **row.view,
    }
