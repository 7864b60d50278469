"""How numbers and statuses read: durations, ages, sizes, and one glyph with one word for each status.

Owns the taste that both front ends share. A status is never shown by colour alone, nor by glyph alone; the ASCII glyphs are used
where the terminal's encoding has no others.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from wfconsole.views.safe_text import safe_text

if TYPE_CHECKING:
    from wfconsole.domain.plan import Json

STYLES: dict[str, str] = {
    "succeeded": "green",
    "failed": "bold red",
    "running": "cyan",
    "backing_off": "yellow",
    "needs_human": "bold yellow",
    "awaiting_approval": "bold yellow",
    "paused": "yellow",
    "cancelled": "magenta",
    "skipped": "dim",
    "pending": "dim",
    "open": "bold yellow",
    "granted": "green",
    "rejected": "bold red",
    "expired": "bold red",
    "withdrawn": "dim",
}
_UNICODE = {
    "succeeded": "✓", "failed": "✗", "running": "▸", "backing_off": "↻", "needs_human": "!", "awaiting_approval": "!",
    "paused": "=", "cancelled": "⊘", "skipped": "-", "pending": "·", "open": "!", "granted": "✓", "rejected": "✗",
    "expired": "⊘", "withdrawn": "-",
}  # fmt: skip
_ASCII = {
    "succeeded": "o", "failed": "x", "running": ">", "backing_off": "~", "needs_human": "!", "awaiting_approval": "!",
    "paused": "=", "cancelled": "/", "skipped": "-", "pending": ".", "open": "!", "granted": "o", "rejected": "x",
    "expired": "/", "withdrawn": "-",
}  # fmt: skip
_SHORT = {"awaiting_approval": "approval", "needs_human": "needs you", "backing_off": "backoff"}
_WORDS = {"needs_human": "needs you", "awaiting_approval": "awaiting approval", "backing_off": "backing off"}


def glyph(status: str, *, ascii_only: bool = False) -> str:
    return (_ASCII if ascii_only else _UNICODE).get(status, "?")


def word(status: str) -> str:
    """The status as a person reads it."""
    return _WORDS.get(status, status)


def short_word(status: str) -> str:
    """The status in at most nine letters, for a narrow column."""
    return _SHORT.get(status, status)


def duration(millis: int | None) -> str:
    """``0.8s  12.3s  1m05s  1h02m  3d04h``; a dash for what has none."""
    if millis is None:
        return "-"
    if millis < 60_000:
        return f"{max(0, millis) / 1000:.1f}s" if millis < 59_950 else "1m00s"
    seconds = millis // 1000
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds % 3600 // 60:02d}m"
    return f"{seconds // 86_400}d{seconds % 86_400 // 3600:02d}h"


def offset(millis: int) -> str:
    """Time since the run's creation in a column of one width: ``00:03.2``, from an hour on ``1:00:03``."""
    tenths = max(0, millis) // 100
    if tenths < 36_000:
        return f"{tenths // 600:02d}:{tenths // 10 % 60:02d}.{tenths % 10}"
    seconds = tenths // 10
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def size(count: int | None) -> str:
    """Bytes for people: ``512 B  4.1 MiB``."""
    if count is None:
        return "-"
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def value_text(value: Json, *, limit: int | None = None) -> str:
    """A JSON value on one safe line: text as it is, everything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return safe_text(text, limit=limit)
