"""A run as it is now and as it was after any of its events, at the cost of a few records instead of all of them.

Owns a view that grows (`GrowingView`: what an event did not touch is not made again) and the copies of it that are kept on
the way (`History`). Refuses threads: one grows a history; others may ask `at` meanwhile. The decision that would surprise: a
kept copy shares its steps with the view that goes on, and whichever of the two changes a step first makes it its own.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace

from wfconsole.domain.events import ArtifactRecorded, Record
from wfconsole.domain.plan import Json, Plan
from wfconsole.views.run_view import RunViewBuilder

SPACING = 512
"""Records between two kept copies, unless the run has more steps than that."""


class GrowingView(RunViewBuilder):
    """A RunViewBuilder that makes the documents of touched steps only, and that can be copied cheaply."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[str, dict[str, Json]] = {}
        self._stale: set[str] = set()
        self._own: set[str] = set()

    def add(self, record: Record) -> None:
        """See RunViewBuilder."""
        fresh = not self._steps
        touched = _touched(record)
        step = self._steps.get(touched or "")
        if touched is not None and step is not None and touched not in self._own:
            attempts = [replace(attempt, warned=list(attempt.warned)) for attempt in step.attempts]
            self._steps[touched] = replace(step, attempts=attempts, artifacts=list(step.artifacts))
        gate = self._gates.get(getattr(record.event, "gate_id", None) or "")
        if gate is not None:
            self._gates[gate.asked.gate_id] = replace(gate, decisions=list(gate.decisions))
        super().add(record)
        if fresh:
            self._own.update(self._steps)
            self._stale.update(self._steps)
        elif touched in self._steps:
            self._own.add(touched)
            self._stale.add(touched)

    def steps(self) -> list[dict[str, Json]]:
        """See RunViewBuilder. The documents are shared between calls: they are to be read only."""
        created = self._known()
        if self._stale:
            order = self._steps if len(self._made) != len(self._steps) else self._stale
            for name in order:
                if name in self._stale:
                    self._made[name] = self._steps[name].document(created.trace_url, created.trace_id)
            self._stale.clear()
        return list(self._made.values())

    def fork(self) -> GrowingView:
        """A copy that goes its own way. What both share is given up by both, so that neither changes it."""
        other = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, list | dict | set):
                setattr(other, name, copy.copy(value))
        self._own, other._own = set(), set()  # noqa: SLF001 - one of its own kind
        return other


def _touched(record: Record) -> str | None:
    """The one step that this event can change."""
    event = record.event
    if isinstance(event, ArtifactRecorded):
        return event.artifact.step_id
    found: str | None = getattr(event, "step_id", None)
    return found


class History:
    """All records of a run, the view after the last of them, and kept views to go back to."""

    def __init__(self, spacing: int = SPACING) -> None:
        self._spacing = spacing
        self._kept: list[GrowingView] = []
        self.records: list[Record] = []
        self._live = GrowingView()

    @property
    def seq(self) -> int:
        return len(self.records)

    @property
    def plan(self) -> Plan:
        return self._live.plan

    def extend(self, records: Iterable[Record]) -> None:
        """Take in the records that follow. ValueError when they do not."""
        for record in records:
            self._live.add(record)
            self.records.append(record)
            last = self._kept[-1].seq if self._kept else 0
            if record.seq - last >= max(self._spacing, len(self._live.plan.steps) // 4):
                self._live.steps()  # made once, here, and not by everyone who goes back to this place
                self._kept.append(self._live.fork())

    def document(self) -> dict[str, Json]:
        """The RunView now; its steps are shared with later ones and to be read only."""
        return self._live.document()

    def at(self, seq: int) -> dict[str, Json]:
        """The RunView as it was after event `seq`, which is 1 at least. From any thread."""
        wanted = max(1, min(seq, len(self.records)))
        near = next((kept for kept in reversed(self._kept) if kept.seq <= wanted), None)
        view = GrowingView() if near is None else near.fork()
        for record in self.records[view.seq : wanted]:
            view.add(record)
        return view.document()
