"""One changed file of a diff: its lines one under another or side by side, drawn as they come on the screen.

Owns numbers, signs, colours by sign, and the way between hunks. Refuses to know cards. The decision that would surprise: text
of the diff stands only right of the border that follows the numbers, and every line of it is safe text in cells of its own,
so that nothing in a diff can look like anything else on the screen.
"""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.actions import SkipAction
from textual.binding import BindingType
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from wfconsole.console.actions import bindings
from wfconsole.console.evidence import gutter
from wfconsole.console.patch import Changed, FileText
from wfconsole.console.root import console_of, room_of
from wfconsole.console.text import fitted
from wfconsole.console.theme import Palette
from wfconsole.views.safe_text import safe_text

_ROLES = {"hunk": "diff-hunk", "note": "muted", "same": "text", "del": "diff-del", "add": "diff-add"}
_PAN = 8
_NUMBER = 5


class DiffView(ScrollView, can_focus=True):
    """Shows one `FileText`; `side` draws old and new beside each other."""

    DEFAULT_CSS = "DiffView { height: 1fr; width: 1fr; overflow-x: hidden; scrollbar-size-vertical: 1; }"
    BINDINGS: ClassVar[list[BindingType]] = [*bindings("list")]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self.changed: Changed | None = None
        self.text: FileText | None = None
        self.side = False
        self.note = ""
        self.pan = 0
        self.position = ""

    def show(self, changed: Changed | None, text: FileText | None, note: str = "") -> None:
        """Show a file from its first line; without `text` what `note` says."""
        self.changed, self.text, self.note, self.pan = changed, text, note, 0
        self._resize()
        self.scroll_to(y=0, animate=False, immediate=True)
        self.refresh()

    def set_side(self, side: bool) -> None:
        """One under another or side by side; the line on top stays."""
        if side == self.side:
            return
        index = None if self.text is None else self.text.index
        top = int(self.scroll_offset.y)
        self.side = side
        if index is not None and index.lines:
            top = index.row_of(min(top, index.lines - 1)) if side else index.line_of(min(top, index.rows - 1))
        self._resize()
        self.scroll_to(y=top, animate=False, immediate=True)
        self.refresh()

    @property
    def count(self) -> int:
        """Rows there are now."""
        if self.text is None:
            return 0
        return self.text.index.rows if self.side else self.text.index.lines

    def _resize(self) -> None:
        self.virtual_size = Size(self.size.width, self.count + 1)

    def on_resize(self) -> None:
        self._resize()

    def hunk(self, by: int) -> str:
        """Go to the next hunk, or with -1 to the one before; which of how many that is."""
        index = None if self.text is None else self.text.index
        if index is None or not index.hunks:
            return ""
        places = [index.row_of(line) if self.side else line for line in index.hunks]
        top = int(self.scroll_offset.y)
        later = [at for at, place in enumerate(places) if place > top]
        earlier = [at for at, place in enumerate(places) if place < top]
        at = (later[0] if later else len(places) - 1) if by > 0 else (earlier[-1] if earlier else 0)
        self.scroll_to(y=places[at], animate=False, immediate=True, force=True)
        return f"hunk {at + 1} of {len(places)}"

    def shift(self, by: int) -> None:
        """Move the text under its border."""
        self.pan = max(0, self.pan + by * _PAN)
        self.refresh()

    # drawing -----------------------------------------------------------------------------------------------------------

    @property
    def _palette(self) -> Palette:
        return console_of(self).palette

    @property
    def _edge(self) -> str:
        return gutter(ascii_only=console_of(self).settings.ascii_only)

    def render_line(self, y: int) -> Strip:
        width, palette = self.size.width, self._palette
        if y == 0:
            return Strip(self._head(width)).adjust_cell_length(width, palette.style("text"))
        row = int(self.scroll_offset.y) + y - 1
        base = palette.style("text")
        if self.text is None or row >= self.count:
            pieces = [Segment(f" {safe_text(self.note)}", palette.style("muted"))] if y == 1 and self.note else []
            return Strip(pieces).adjust_cell_length(width, base)
        room = room_of(self)
        pieces = self._side_by_side(row, room) if self.side else self._one(row, room)
        return Strip(pieces).adjust_cell_length(width, base)

    def _head(self, width: int) -> list[Segment]:
        palette = self._palette
        if self.changed is None:
            return []
        counts = f" {self.changed.mark} +{self.changed.added} -{self.changed.removed} "
        name = fitted(safe_text(self.changed.name), max(0, width - len(counts) - 2))
        return [
            Segment(counts, palette.style("header")), Segment(self._edge, palette.style("muted")),
            Segment(f" {name}", palette.style("diff-file")),
        ]  # fmt: skip

    def _one(self, line: int, width: int) -> list[Segment]:
        assert self.text is not None  # noqa: S101 - render_line looked
        place = self.text.index.place(line)
        return [
            Segment(f"{_number(place.old)} {_number(place.new)} ", self._palette.style("muted")),
            Segment(self._edge, self._palette.style("muted")),
            self._code(self.text.line(line), _ROLES[place.kind], width - 2 * _NUMBER - 3),
        ]

    def _side_by_side(self, row: int, width: int) -> list[Segment]:
        assert self.text is not None  # noqa: S101 - render_line looked
        left, right = self.text.index.pair(row)
        half = max(1, (width - 1) // 2)
        if left is not None and left == right:
            place = self.text.index.place(left)
            if place.old is None:
                return self._half(left, width, place.new)
            return [*self._half(left, half, place.old), *self._half(left, width - half, place.new)]
        return [*self._half(left, half, None), *self._half(right, width - half, None)]

    def _half(self, line: int | None, width: int, number: int | None) -> list[Segment]:
        muted = self._palette.style("muted")
        if line is None or self.text is None:
            return [Segment(" " * (_NUMBER + 1), muted), Segment(self._edge, muted),
                    Segment(" " * max(0, width - _NUMBER - 2), self._palette.style("text"))]  # fmt: skip
        place = self.text.index.place(line)
        shown = number or place.old or place.new
        code = self._code(self.text.line(line), _ROLES[place.kind], width - _NUMBER - 2)
        return [Segment(f"{_number(shown)} ", muted), Segment(self._edge, muted), code]

    def _code(self, line: str, role: str, width: int) -> Segment:
        style: Style = self._palette.style(role)
        sign, rest = line[:1], safe_text(line[1:])
        if role == "diff-hunk":
            sign, rest = "", safe_text(line)
        return Segment(fitted(safe_text(sign) + rest[self.pan :], max(0, width)), style)

    # keys of lists -----------------------------------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        self.scroll_relative(y=by, animate=False, immediate=True)

    def action_page(self, by: int) -> None:
        self.scroll_relative(y=by * max(1, self.size.height - 2), animate=False, immediate=True)

    def action_half(self, by: int) -> None:
        self.scroll_relative(y=by * max(1, self.size.height // 2), animate=False, immediate=True)

    def action_edge(self, to: int) -> None:
        self.scroll_to(y=0 if to < 0 else self.count, animate=False, immediate=True)

    def action_select(self) -> None:
        """Nothing here opens; on some screens the key means something else."""
        raise SkipAction


def _number(number: int | None) -> str:
    return " " * _NUMBER if number is None else str(number).rjust(_NUMBER)[-_NUMBER - 2 :]
