"""The timeline: a row a step, what ticks on the left, and its bars over an axis of time that can be zoomed and panned.

Owns the window over the axis and which rows are drawn. Refuses to know how bars and axis are computed (`views.bars`,
`views.axis`). The decision that would surprise: a row is made when it is on the screen, so ten thousand steps cost what forty
do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from wfconsole.console.lines import Cell, Column, LazyRows, LineList, Row
from wfconsole.console.root import console_of, room_of
from wfconsole.console.text import segment
from wfconsole.console.theme import Palette
from wfconsole.domain.lifecycle import STEP_TERMINAL
from wfconsole.domain.plan import Json
from wfconsole.views.axis import SCALES, Axis, axis, coarse
from wfconsole.views.bars import Bars, millis, paint
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, glyph, short_word

_FIXED = (Column("TIME", 6, right=True), Column("STATE", 12), Column("TRY", 3, right=True))
_NAME, _NAME_WIDE = 18, 28
_WIDE = 90


@dataclass(frozen=True, slots=True)
class Chart:
    """A run at a moment: its RunView, the bars of its steps, and now (ms); `live` when time goes on."""

    view: Mapping[str, Json]
    bars: Bars
    now: int
    live: bool

    @property
    def start(self) -> int:
        return millis(self.view["started_at"] or self.view["created_at"])

    @property
    def end(self) -> int:
        return millis(self.view["finished_at"]) if self.view["finished_at"] else self.now


class Timeline(LineList):
    """`show` draws a chart; the keys of the screen move the window by `zoom_by`, `pan_by` and `fit`."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__((*_FIXED, Column("STEP")), empty="the plan has no steps", id=id)
        self._chart: Chart | None = None
        self._zoom = 0
        self._left: int | None = None
        self._places_of: dict[str, int] = {}
        self.axis: Axis | None = None

    def show(self, chart: Chart) -> None:
        """Draw this chart; only rows that look different are drawn again."""
        old = self._chart
        self._chart = chart
        if old is None or len(old.view["steps"]) != len(chart.view["steps"]):
            self._places_of = {step["step_id"]: place for place, step in enumerate(chart.view["steps"])}
        self._build()

    def on_resize(self) -> None:
        self._build()

    def on_unmount(self) -> None:
        self._chart = None
        self.rows = ()

    @property
    def scale(self) -> str:
        """What one column is: ``1 col = 5s``."""
        return f"1 col = {coarse(self.axis.scale)}" if self.axis is not None else ""

    def zoom_by(self, by: int) -> None:
        self._zoom = max(0, min(self._zoom + by, len(SCALES)))
        self._build()

    def pan_by(self, by: int) -> None:
        """A part of the window to the left (negative) or right; at the right end the window follows the run again."""
        if self.axis is None:
            return
        width = self._axis_width
        last = max(0, self.axis.columns - width)
        left = (last if self._left is None else self._left) + by * max(1, width // 4)
        self._left = None if left >= last else max(0, left)
        self._build()

    def fit(self) -> None:
        """All of the run in the window."""
        self._zoom, self._left = 0, None
        self._build()

    @property
    def _name_width(self) -> int:
        return _NAME_WIDE if self.size.width >= _WIDE else _NAME

    @property
    def _axis_width(self) -> int:
        return max(1, room_of(self) - sum(column.width or 0 for column in _FIXED) - self._name_width - 6)

    def _build(self) -> None:
        chart, width = self._chart, self._axis_width
        if chart is None or self.size.width == 0:
            return
        self.axis = axis(chart.start, chart.end, chart.bars.busy(chart.now), width, zoom=self._zoom)
        last = max(0, self.axis.columns - width)
        left = last if self._left is None else min(self._left, last)
        ascii_only = console_of(self).settings.ascii_only
        title = self.axis.header(left, width, ascii_only=ascii_only)
        steps, places, over = chart.view["steps"], self._places_of, self.axis

        def make(at: int) -> Row:
            return _row(steps[at], chart, over, left, width, ascii_only=ascii_only)

        columns = (*_FIXED, Column("STEP", self._name_width), Column(title))
        self.set_rows(LazyRows(len(steps), make, places.get), columns=columns)

    def _strip(self, cells: Sequence[Cell], palette: Palette, base: Style, *, chosen: bool = False) -> Strip:
        strip = super()._strip(cells[:4], palette, base, chosen=chosen) if len(cells) == 5 else None
        if strip is None or cells[4].role == "header":
            return super()._strip(cells, palette, base, chosen=chosen)
        left = self._spans()[-1][0]
        ground = palette.chosen("text", focused=self.has_focus) if chosen else base
        pieces: list[Segment] = list(strip.crop(0, left))
        for text, kind in unpacked(cells[4]):
            style = palette.chosen(kind, focused=self.has_focus) if chosen and kind else palette.style(kind or "text")
            pieces.append(segment(text, style if kind else ground, len(text)))
        return Strip(pieces).adjust_cell_length(self.size.width, ground)


def _row(step: Mapping[str, Json], chart: Chart, over: Axis, left: int, width: int, *, ascii_only: bool) -> Row:
    status = step["status"]
    bars = paint(chart.bars.of(step["step_id"], chart.now), over, left, width, ascii_only=ascii_only)
    parts = step["step_id"].split("/")
    name = "  " * (len(parts) - 1) + parts[-1]
    children = step["children"]
    state = f"{glyph(status, ascii_only=ascii_only)} {short_word(status)}"
    if children:
        name += f" x{children['total']}"
        state = (
            f"{glyph(status, ascii_only=ascii_only)} {children['succeeded'] + children['failed']}/{children['total']}"
        )
    tries = step["retries"] + 1 if step["retries"] or step["started_at"] else 0
    cells = (
        Cell(took(step, chart.now), "muted"),
        Cell(state, status),
        Cell(str(tries) if tries else "", "paused" if tries > 1 else "muted"),
        Cell(safe_text(name), "muted" if status in {"pending", "skipped"} else "text"),
        packed(bars),
    )
    return Row(step["step_id"], cells)


def took(step: Mapping[str, Json], now: int) -> str:
    """How long the step took, or has taken so far in whole seconds; empty for one that has not begun."""
    if step["started_at"] is None:
        return ""
    if step["status"] in STEP_TERMINAL:
        return duration(step["duration_ms"])
    so_far = max(0, now - millis(step["started_at"]))
    return f"{so_far // 1000}s" if so_far < 60_000 else duration(so_far)


def packed(runs: Sequence[tuple[str, str]]) -> Cell:
    """Bars as one cell, so that a changed bar is a changed cell: the roles stand in `role`, each with its length."""
    return Cell("".join(text for text, _ in runs), " ".join(f"{kind}:{len(text)}" for text, kind in runs))


def unpacked(cell: Cell) -> list[tuple[str, str]]:
    """The reverse of `packed`."""
    found, place = [], 0
    for part in cell.role.split():
        kind, _, length = part.partition(":")
        found.append((cell.text[place : place + int(length)], kind))
        place += int(length)
    return found
