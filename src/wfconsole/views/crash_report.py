"""What a new owner found of a run whose owner was gone: one line, with the counts that prove it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from wfconsole.domain.events import Record, RunCreated, StepReused, StepSucceeded
from wfconsole.views.safe_text import safe_text

Found = Literal["adopted", "begun", "again", "ended"]
"""What became of an attempt that was under way: its container was there; it had not begun and begins now; its container was
gone and the step runs again; it had no container, and was carried out."""

_WORDS: dict[Found, str] = {
    "adopted": "adopted",
    "begun": "had not begun, begins now",
    "again": "gone, runs again",
    "ended": "carried out again",
}


def crash_report(run_id: str, crashed: str, before: Sequence[Record], found: Mapping[str, Found]) -> str:
    """`before`: the journal as it was found. `found`: by ``STEP#ATTEMPT``, in the order in which they were begun."""
    created = next((record.event for record in before if isinstance(record.event, RunCreated)), None)
    marks = Counter(record.event.step_id for record in before if isinstance(record.event, StepSucceeded))
    reused = sum(isinstance(record.event, StepReused) for record in before)
    total = len(created.plan.steps) if created is not None else 0
    twice = sorted(step_id for step_id, count in marks.items() if count > 1)
    kept = f"kept {len(marks) + reused} of {total} steps ({marks.total()} marks, {_twice(twice)})"
    parts = [f"{word}: {', '.join(names)}" for word, names in _by_word(found)]
    text = f"run {run_id} taken over from {crashed}: {kept}; {'; '.join(parts) or 'nothing was under way'}"
    return safe_text(text)


def _twice(steps: Sequence[str]) -> str:
    return f"TWICE: {', '.join(steps)}" if steps else "none twice"


def _by_word(found: Mapping[str, Found]) -> list[tuple[str, list[str]]]:
    sorted_out = [(text, [name for name, what in found.items() if what == word]) for word, text in _WORDS.items()]
    return [(text, names) for text, names in sorted_out if names]
