"""The two displays that need no terminal: a line for each event that matters, and an object for each event.

Refuses to know wording (`views.timeline`) and shapes (`domain.codec`): it only puts them on stdout, a batch at a time.
"""

from __future__ import annotations

from wfconsole.cli.output import Output
from wfconsole.domain import events as ev
from wfconsole.domain.codec import wire
from wfconsole.domain.events import Record, StepSkipped
from wfconsole.views import report
from wfconsole.views.run_view import RunViewBuilder
from wfconsole.views.timeline import event_line, plain

_WIDEST = 32


class PlainDisplay:
    """Lines with times relative to the run's creation; at the end the failure panel or the outputs."""

    interval = None

    def __init__(self, out: Output) -> None:
        self._out = out
        self._began: dict[str, int] = {}
        self._width = 0

    def add(self, record: Record, view: RunViewBuilder) -> None:
        event = record.event
        if isinstance(event, ev.RunCreated):
            self._width = min(_WIDEST, max((len(step.step_id) for step in event.plan.steps), default=0))
            self._out.lines(report.heading(view.document())[:2])
        if isinstance(event, ev.StepStarted):
            self._began.setdefault(event.step_id, record.at)
        if isinstance(record.event, StepSkipped) and record.event.cause == "group":
            return  # the line of the group says it for all of them
        line = event_line(record, self._began)
        if line is not None:
            since = record.at - view.created_at
            self._out.line(plain(line, since=since, width=self._width, ascii_only=self._out.ascii_only))

    def tick(self, view: RunViewBuilder) -> None:  # noqa: ARG002 - a display's method
        self._out.flush()

    def note(self, text: str) -> None:
        self._out.note(text)

    def end(self, view: RunViewBuilder) -> None:
        self._out.lines(ending(view, ascii_only=self._out.ascii_only))
        self._out.flush()

    def leave(self) -> None:
        """Lines need no tidying up."""


def ending(view: RunViewBuilder, *, ascii_only: bool) -> list[str]:
    """How it went: verdict, why, what came out, where to read on."""
    document = view.document()
    lines = ["", report.verdict_line(document, ascii_only=ascii_only)]
    lines += (f"  {line}" for line in report.failure_lines(document))
    lines += (f"  {line}" for line in report.waiting_lines(document))
    lines += (f"  {line}" for line in report.lineage_lines(document))
    lines += (f"  gate       {line}" for line in report.gate_lines(document, ascii_only=ascii_only))
    lines += (f"  {line}" for line in report.output_lines(document["outputs"]))
    lines.append(f"  details    wfconsole show {document['run_id']}")
    return lines


class JsonDisplay:
    """One object a line, the last one ``{"type": "run_view", "run": RunView}``."""

    interval = None

    def __init__(self, out: Output) -> None:
        self._out = out

    def add(self, record: Record, view: RunViewBuilder) -> None:
        recipe = view.plan.recipe
        self._out.json(wire(record, run_id=view.run_id, name=recipe.name, version=recipe.version))

    def tick(self, view: RunViewBuilder) -> None:  # noqa: ARG002 - a display's method
        self._out.flush()

    def note(self, text: str) -> None:
        self._out.note(text)

    def end(self, view: RunViewBuilder) -> None:
        self._out.json({"type": "run_view", "run": view.document()})
        self._out.flush()

    def leave(self) -> None:
        """Lines need no tidying up."""
