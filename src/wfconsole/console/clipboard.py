"""Copying over any terminal: OSC 52, wrapped for tmux, capped, with a file when the terminal cannot take it.

Owns the escape sequence and its limits. What is copied is untrusted text, so it travels in base64 and can end no sequence.
The decision that would surprise: nobody can know whether a terminal took it, so what is said is how it was sent.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

LARGEST = 74_994
"""Bytes of text that common terminals still take: their limit of 100,000 bytes of base64, with room for the frame."""


@dataclass(frozen=True, slots=True)
class Copy:
    """`sequence` goes to the terminal; None when the text is too large for it."""

    sequence: str | None
    said: str


def copy_sequence(text: str, *, in_tmux: bool) -> Copy:
    """How to copy `text`, and what to tell the operator."""
    data = text.encode("utf-8", "surrogateescape")
    if len(data) > LARGEST:
        return Copy(
            None, f"{len(data)} bytes are too many for a terminal's clipboard ({LARGEST}); save it to a file instead"
        )
    sequence = f"\x1b]52;c;{base64.b64encode(data).decode()}\x07"
    if in_tmux:
        sequence = "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    way = "through tmux (needs `set -g allow-passthrough on`)" if in_tmux else "by OSC 52"
    return Copy(sequence, f"copied {len(data)} bytes {way}")
