"""Glob patterns over relative paths: ``*``, ``?``, ``[...]`` within a name, ``**`` across folders.

Pure. A pattern without any of these names a file, or a folder with all that is in it. The decision that would
surprise: as in a shell, ``*`` and ``**`` do not match a name that begins with a dot unless the pattern says the dot.
"""

from __future__ import annotations

import fnmatch
import functools
import os
import re
from dataclasses import dataclass

_WILD = frozenset("*?[")
_ANY = "**"


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed pattern; make it with `parse`. `parts` are its components."""

    text: str
    parts: tuple[str, ...]

    def matches(self, path: bytes) -> bool:
        """Whether the file at `path` is meant."""
        return len(self.parts) in self._reached(path)

    def may_match_below(self, path: bytes) -> bool:
        """Whether anything beneath the folder at `path` could be meant."""
        return bool(self._reached(path))

    def _reached(self, path: bytes) -> frozenset[int]:
        """How many parts can have been used up when all of `path` has been read."""
        states = self._spread({0})
        for raw in path.split(b"/"):
            name = os.fsdecode(raw)
            states = self._spread({next_ for state in states for next_ in self._step(state, name)})
            if not states:
                break
        return states

    def _step(self, state: int, name: str) -> tuple[int, ...]:
        if state == len(self.parts):
            return ()
        part = self.parts[state]
        if part == _ANY:
            return () if name.startswith(".") else (state,)
        hidden = name.startswith(".") and not part.startswith(".")
        return (state + 1,) if not hidden and _translated(part).match(name) else ()

    def _spread(self, states: set[int]) -> frozenset[int]:
        """``**`` also stands for no folder at all."""
        found = set(states)
        for state in sorted(states):
            here = state
            while here < len(self.parts) and self.parts[here] == _ANY:
                here += 1
                found.add(here)
        return frozenset(found)


@functools.lru_cache(maxsize=256)
def _translated(part: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(part))


def parse(text: str) -> tuple[Pattern, ...] | str:
    """The patterns that `text` stands for, or a sentence that says why it stands for none."""
    if not text.strip() or "\0" in text:
        return "An artifact pattern is empty."
    if text.startswith("/"):
        return f"The artifact pattern {text} is absolute; name paths inside the workspace."
    parts = tuple(part for part in text.split("/") if part not in {"", "."})
    if ".." in parts:
        return f"The artifact pattern {text} leads out of the workspace."
    if not parts:
        return (Pattern(text, (_ANY, "*")),)
    if text.endswith("/"):
        return (Pattern(text, (*parts, _ANY, "*")),)
    if parts[-1] == _ANY:
        return (Pattern(text, (*parts, "*")),)
    if not _WILD & set("".join(parts)):
        return (Pattern(text, parts), Pattern(text, (*parts, _ANY, "*")))
    return (Pattern(text, parts),)
