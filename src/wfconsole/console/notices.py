"""Telling an operator who looks elsewhere: the bell, a terminal notification, the window's title.

Owns the sequences. What is in them is safe text without the characters that end a sequence, so a recipe's title cannot send
the terminal anything of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from wfconsole.views.safe_text import safe_text

_LONGEST = 120


def _clean(text: str) -> str:
    """Safe for the inside of an OSC: printable, without the separator that some terminals split at."""
    return safe_text(text, limit=_LONGEST).replace(";", ",")


def notification(title: str, body: str, kinds: Sequence[str], *, in_tmux: bool) -> str:
    """What to write to the terminal; `kinds` of ``bell osc9 osc777``."""
    found = ""
    if "bell" in kinds:
        found += "\x07"
    if "osc9" in kinds:
        found += _wrapped(f"\x1b]9;{_clean(f'{title}: {body}')}\x07", in_tmux=in_tmux)
    if "osc777" in kinds:
        found += _wrapped(f"\x1b]777;notify;{_clean(title)};{_clean(body)}\x07", in_tmux=in_tmux)
    return found


def window_title(text: str) -> str:
    return f"\x1b]2;{_clean(text)}\x07"


def _wrapped(sequence: str, *, in_tmux: bool) -> str:
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\" if in_tmux else sequence
