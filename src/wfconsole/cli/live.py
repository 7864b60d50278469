"""The live view on a terminal: a compact table of steps that redraws itself and leaves its last state behind.

The only module of the command line that knows rich, imported only when stdout is a terminal. All text is plain `Text`: no markup
is ever read from what a recipe or a log says. It never takes more lines than the terminal has; steps that need attention stay.
"""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from wfconsole.cli.output import Output
from wfconsole.cli.plain import ending
from wfconsole.domain.events import Record
from wfconsole.views import timeline, words
from wfconsole.views.run_view import RunViewBuilder
from wfconsole.views.safe_text import safe_text

_FRAME = 4  # lines of the view that are not steps: heading, what was left out, summary, note
_NAMES = 28


def frame(
    view: RunViewBuilder, *, now: int, width: int, height: int, ascii_only: bool, note: str = "", whole: bool = False
) -> list[Text]:
    """The lines of one frame, each at most `width` wide; `whole` leaves no step out."""
    steps = view.steps()
    lines = timeline.step_lines(view.plan, steps, now)
    shown, left_out = (lines, 0) if whole else timeline.fit(lines, max(1, height - _FRAME - 1))
    names = min(_NAMES, max((len(_label(line)) for line in lines), default=0))
    found = [_heading(view, now, ascii_only=ascii_only)]
    found += [_step(line, names, ascii_only=ascii_only) for line in shown]
    if left_out:
        found.append(Text(f"  and {words.plural(left_out, 'step')} more", style="dim"))
    found.append(Text(timeline.summary(steps), style="dim"))
    if note or view.asks():
        found.append(Text(safe_text(note or f"decide: wfconsole approvals {view.run_id}"), style="bold yellow"))
    for text in found:
        text.truncate(width, overflow="crop")
    return found


def _heading(view: RunViewBuilder, now: int, *, ascii_only: bool) -> Text:
    recipe = view.plan.recipe
    took = (view.finished_at or now) - (view.started_at or view.created_at)
    text = Text(f"{words.glyph(view.status, ascii_only=ascii_only)} ", style=words.STYLES.get(view.status, ""))
    text.append(words.word(view.status), style=words.STYLES.get(view.status, ""))
    text.append(
        f"  {words.duration(took)}  {safe_text(recipe.name)}@{safe_text(recipe.version)}  {view.run_id}",
        style="default",
    )
    return text


def _label(line: timeline.StepLine) -> str:
    return "  " * line.depth + line.step_id.rsplit("/", 1)[-1]


def _step(line: timeline.StepLine, names: int, *, ascii_only: bool) -> Text:
    style = words.STYLES.get(line.status, "")
    label = _label(line)
    text = Text(f"  {words.glyph(line.status, ascii_only=ascii_only)} ", style=style)
    text.append(f"{label[:names]:<{names}}  ", style="default")
    text.append(f"{words.word(line.status):<11}", style=style)
    text.append(f" {line.took:>7}  {line.detail}".rstrip(), style="dim" if line.status == "pending" else "default")
    return text


class LiveDisplay:
    """Redraws four times a second at most; between frames nothing is written."""

    interval = 0.25

    def __init__(self, out: Output, now_ms: Callable[[], int], console: Console | None = None) -> None:
        self._out = out
        self._now_ms = now_ms
        self._console = console or Console(file=out.stdout, highlight=False, markup=False, emoji=False)
        self._note = ""
        self._drawn_at = 0
        self._live: Live | None = None

    def add(self, record: Record, view: RunViewBuilder) -> None:
        """Nothing yet: the next tick shows it."""

    def tick(self, view: RunViewBuilder) -> None:
        now = self._now_ms()
        if self._live is None:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
            )
            self._live.start()
        elif now - self._drawn_at < self.interval * 1000 / 2:
            return
        self._drawn_at = now
        width, height = self._console.size
        lines = frame(view, now=now, width=width, height=height, ascii_only=self._out.ascii_only, note=self._note)
        self._live.update(Group(*lines), refresh=True)

    def note(self, text: str) -> None:
        self._note = text
        self._drawn_at = 0

    def end(self, view: RunViewBuilder) -> None:
        self.leave()
        width, height = self._console.size
        now = self._now_ms()
        for line in frame(view, now=now, width=width, height=height, ascii_only=self._out.ascii_only, whole=True):
            self._console.print(line, no_wrap=True, crop=True)
        self._out.lines(ending(view, ascii_only=self._out.ascii_only))
        self._out.flush()

    def leave(self) -> None:
        if self._live is not None:
            self._live.stop()
