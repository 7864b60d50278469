"""stdout and stderr. stdout is data, stderr is diagnostics, and nothing reaches either but through here.

Owns the last look at text: every line passes `safe_text`, so what a recipe, a log or a file name says is shown and never obeyed.
The decision that would surprise: JSON on a terminal has its unprintable characters escaped, JSON on a pipe is the canonical
bytes; both are the same value.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TextIO

_ENCODINGS_WITH_GLYPHS = frozenset({"utf-8", "utf8", "utf_8", "utf-16", "utf-32"})


class Output:
    """The two streams of one command."""

    def __init__(self, stdout: TextIO, stderr: TextIO) -> None:
        self.stdout = stdout
        self.stderr = stderr

    @property
    def is_terminal(self) -> bool:
        return self.stdout.isatty()

    @property
    def ascii_only(self) -> bool:
        """Can the stream not show other glyphs than ASCII?"""
        return (self.stdout.encoding or "ascii").lower() not in _ENCODINGS_WITH_GLYPHS

    def line(self, text: str = "") -> None:
        """One line of data."""
        _write(self.stdout, f"{_safe(text)}\n")

    def lines(self, texts: Iterable[str]) -> None:
        """Many lines in one go."""
        block = "".join(f"{_safe(text)}\n" for text in texts)
        if block:
            _write(self.stdout, block)

    def json(self, value: Any) -> None:
        """One JSON document on one line, keys sorted."""
        from wfconsole.domain.codec import canonical

        data = canonical(value)
        if self.is_terminal:
            from wfconsole.views.safe_text import safe_json

            data = safe_json(data.decode()).encode()
        self.raw(data + b"\n")

    def raw(self, data: bytes) -> None:
        """Bytes as they are: only for what was asked for raw."""
        buffer = getattr(self.stdout, "buffer", None)
        if buffer is None:
            self.stdout.write(data.decode(errors="backslashreplace"))
        else:
            self.stdout.flush()
            buffer.write(data)

    def note(self, text: str) -> None:
        """One line of diagnostics, at once."""
        _write(self.stderr, f"{_safe(text)}\n")
        self.stderr.flush()

    def error_json(self, value: Any) -> None:
        from wfconsole.domain.codec import canonical
        from wfconsole.views.safe_text import safe_json

        _write(self.stderr, safe_json(canonical(value).decode()) + "\n")
        self.stderr.flush()

    def flush(self) -> None:
        self.stdout.flush()


def _safe(text: str) -> str:
    if text.isprintable():
        return text
    from wfconsole.views.safe_text import safe_text

    return safe_text(text)


def _write(stream: TextIO, text: str) -> None:
    """Characters that the encoding does not have are written as escapes: no output ever fails for its content."""
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
