"""Events of any run as rows: when, which run, what happened, in the words of the timeline where it has some.

Refuses to know the store: records come in with the id of their run.
"""

from __future__ import annotations

import json

from wfconsole.domain.codec import iso
from wfconsole.domain.events import ArtifactRecorded, Event, Record, RunCreated, wire_name
from wfconsole.domain.plan import Json
from wfconsole.views.safe_text import safe_json, safe_text
from wfconsole.views.timeline import event_line

COLUMNS = ("TIME", "RUN", "SEQ", "EVENT", "STEP", "WHAT")
_WHAT = 160


def event_cells(run_id: str, record: Record) -> tuple[tuple[str, str], ...]:
    """(text, role) for each of `COLUMNS`."""
    line = event_line(record, {})
    name = wire_name(type(record.event))
    step, what = (line.subject, line.text) if line is not None else _quiet(record.event)
    return (
        (iso(record.at)[11:23], "muted"),
        (safe_text(run_id), "text"),
        (str(record.seq), "muted"),
        (name, line.status if line is not None else "text"),
        (safe_text(step, limit=40), "text"),
        (safe_text(what, limit=_WHAT), "muted"),
    )


def _quiet(event: Event) -> tuple[str, str]:
    """Step and words of an event that is no line of a timeline."""
    match event:
        case RunCreated():
            return "", f"{event.plan.recipe.name}@{event.plan.recipe.version}"
        case ArtifactRecorded():
            kept = event.artifact
            return kept.step_id or "", f"{kept.name}: {kept.reason or kept.kind}"
        case _:
            return getattr(event, "step_id", None) or "", ""


def pretty(document: Json) -> list[str]:
    """A JSON value on indented, safe lines."""
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
    return [safe_json(line) for line in text.splitlines()]
