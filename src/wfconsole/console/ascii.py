"""Terminals that have nothing but ASCII: every other character becomes one that they have, in as many cells.

Owns the pairs. It works on what is about to be drawn, so it holds for Textual's own borders and scroll bars as well as for a
recipe's title in any script.
"""

from __future__ import annotations

from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_PAIRS = {
    **dict.fromkeys("─━═╌┄▔▁▂▃▄▅▆▇", "-"), **dict.fromkeys("│┃║▏▎▍▌▋▊▉▐▕", "|"), **dict.fromkeys("█▓▒", "#"), "░": ".",
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╔╗╚╝", "+"), "…": "~", "✓": "o", "✗": "x", "▸": ">", "↻": "~", "⊘": "/", "·": ".", "•": "*",
    "→": ">", "←": "<", "↑": "^", "↓": "v", "⋯": "~",
}  # fmt: skip


@lru_cache(maxsize=4096)
def ascii_text(text: str) -> str:
    """`text` in ASCII, in as many cells."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else _PAIRS.get(char) or "?" * cell_len(char) for char in text)


class AsciiFilter(LineFilter):
    """The last thing that a line goes through."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002 - Textual's hook
        return [
            segment if segment.control or segment.text.isascii() else Segment(ascii_text(segment.text), segment.style)
            for segment in segments
        ]
