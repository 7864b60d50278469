"""The console's side of the SafeText door: strings go in, `Text` and `Segment` come out, and nothing else reaches a widget.

Owns that no markup is ever read, neither Rich's nor Textual's. Every function takes untrusted text and returns what may be
drawn.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from wfconsole.views.safe_text import safe_text

ELLIPSIS = "…"
_BREAK = 24
"""A line is broken at a space when there is one in so many cells before its end."""


def safe(text: str, style: str | Style = "", *, limit: int | None = None) -> Text:
    """One line of untrusted text as a Rich Text without markup; with `newlines` never: see `safe_lines`."""
    return Text(safe_text(text, limit=limit), style=style, no_wrap=True, end="")


def safe_lines(lines: Sequence[str], style: str | Style = "") -> Text:
    """Several lines, each made safe by itself."""
    return Text("\n".join(safe_text(line) for line in lines), style=style, end="")


def fitted(text: str, width: int, *, right: bool = False) -> str:
    """`text`, safe already, in exactly `width` cells: cut with an ellipsis or padded."""
    if width <= 0:
        return ""
    length = cell_len(text)
    if length > width:
        text = set_cell_size(text, width - 1) + ELLIPSIS if width > 1 else ELLIPSIS
        length = cell_len(text)
    padding = " " * (width - length)
    return padding + text if right else text + padding


def wrapped(text: str, width: int) -> list[str]:
    """`text`, safe already, in lines of at most `width` cells."""
    out, indent = [], len(text) - len(text.lstrip(" "))
    while cell_len(text) > width > 0:
        head = chop_cells(text, width)[0]
        space = head.rfind(" ", max(indent + 1, len(head) - _BREAK))
        at = space + 1 if space > 0 else len(head)
        out.append(text[:at].rstrip(" "))
        text = " " * min(indent, width // 2) + text[at:].lstrip(" ")
        if at <= indent:  # no progress is possible in so few cells
            break
    return [*out, text]


def segment(text: str, style: Style | None, width: int | None = None, *, right: bool = False) -> Segment:
    """A piece of a line of untrusted text, in `width` cells if given."""
    shown = safe_text(text)
    return Segment(shown if width is None else fitted(shown, width, right=right), style)
