"""What a gate compares with: the coverage that the same gate showed when it was last approved, in an earlier run of the recipe.

Refuses to measure anything. The decision that would surprise: a run counts only when its gate was granted, so that nobody is
measured by what somebody rejected; and what is found is recorded with the card, which later runs do not change any more.
"""

from __future__ import annotations

from collections.abc import Sequence

from wfconsole.domain.events import ApprovalGranted, ApprovalRequested, Record, RunCreated
from wfconsole.domain.plan import Json
from wfconsole.domain.run import RunState
from wfconsole.ports import RunFilter, Store, WfconsoleError

LOOK_BACK = 5
"""How many earlier runs are looked at."""


async def coverage_before(store: Store, state: RunState, step_id: str) -> float | None:
    """In percent; None when no earlier run of this recipe over the same workspace has shown one, or none can be read."""
    created = state.created
    try:
        where = RunFilter(
            statuses=("succeeded",), recipe=created.plan.recipe.name, project=created.project, limit=LOOK_BACK
        )
        for row in await store.runs(where):
            shown = _shown(await store.load(row.run_id), created, step_id)
            if shown is not None:
                return shown
    except WfconsoleError:
        return None  # a card without a comparison is whole
    return None


def _shown(records: Sequence[Record], created: RunCreated, step_id: str) -> float | None:
    first = records[0].event if records else None
    if not isinstance(first, RunCreated) or _source(first) != _source(created):
        return None
    granted = {record.event.gate_id for record in records if isinstance(record.event, ApprovalGranted)}
    found: float | None = None
    for record in records:
        event = record.event
        if isinstance(event, ApprovalRequested) and event.step_id == step_id and event.gate_id in granted:
            found = _coverage(event.context)
    return found


def _source(created: RunCreated) -> str | None:
    return created.workspace.source if created.workspace is not None else None


def _coverage(context: Json) -> float | None:
    value = context
    for key in ("tests", "total", "coverage_percent"):
        value = value.get(key) if isinstance(value, dict) else None
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
