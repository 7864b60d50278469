"""Logs as lines: cutting raw bytes into lines, showing them safely, keeping those that match.

Refuses to know files and streams: bytes come in as they were read, in pieces of any size. A line longer than MAX_LINE is given
out in pieces, so that a gigabyte without a line feed costs no memory. Bytes that are no UTF-8 are shown by their hex value.
"""

from __future__ import annotations

import re

from wfconsole.views.safe_text import safe_text

MAX_LINE = 64 * 1024


class LineCutter:
    """Bytes in, whole lines out, each with its line feed if it had one."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> list[bytes]:
        """The lines that `chunk` completes."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        lines = [line + b"\n" for line in whole]
        while len(self._rest) > MAX_LINE:
            lines.append(self._rest[:MAX_LINE])
            self._rest = self._rest[MAX_LINE:]
        return lines

    def rest(self) -> list[bytes]:
        """What is left of a log that does not end with a line feed; call it once, at the end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


def text_of(line: bytes) -> str:
    """The line as text, without its end; bytes that are no UTF-8 by their hex value."""
    return line.removesuffix(b"\n").removesuffix(b"\r").decode(errors="backslashreplace")


def shown(line: bytes) -> str:
    """The line as a terminal may have it."""
    return safe_text(text_of(line))


def matches(pattern: re.Pattern[str] | None, line: bytes) -> bool:
    """Does the line match? Everything matches no pattern."""
    return pattern is None or pattern.search(text_of(line)) is not None
