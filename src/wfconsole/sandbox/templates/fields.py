"""Reading a parsed file strictly: every finding at once, each with the path of what it is about.

Owns unknown keys, types and patterns of a template file's fields. Refuses to know what the fields mean, and lines: whoever
parsed the file knows where a path stands in it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}
_SIZE = re.compile(r"(\d+)(B|KiB|MiB|GiB|TiB)")


class Findings:
    """What is wrong in one file: (path, message) in the order in which it was found."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, str]] = []

    def add(self, path: Path, message: str) -> None:
        self.found.append((path, message))

    def table(self, value: object, path: Path, known: tuple[str, ...] | None = None) -> Mapping[str, Any]:
        """A mapping with text keys; with `known`, other keys are findings with a near name. Nothing counts as empty."""
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            self.add(path, "must be a mapping with text keys")
            return {}
        for key in value:
            if known is not None and key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f", did you mean `{near[0]}`?" if near else f"; known: {', '.join(known)}"
                self.add((*path, key), f"unknown key `{key}`{hint}")
        return value

    def text(self, value: object, path: Path, shape: re.Pattern[str] | None = None) -> str:
        if not isinstance(value, str):
            self.add(path, "must be text")
            return ""
        if shape is not None and not shape.fullmatch(value):
            self.add(path, f"`{value}` does not match {shape.pattern}")
        return value

    def optional(self, value: object, path: Path, shape: re.Pattern[str] | None = None) -> str | None:
        return None if value is None else self.text(value, path, shape)

    def word(self, value: object, path: Path, words: tuple[str, ...], default: str) -> str:
        """One of a few words."""
        if value is None:
            return default
        if value not in words:
            self.add(path, f"must be one of {', '.join(words)}")
            return default
        return str(value)

    def texts(
        self, value: object, path: Path, key: re.Pattern[str], shape: re.Pattern[str] | None = None
    ) -> dict[str, str]:
        """A mapping of text to text, as a plain dict in the order of its keys."""
        found = self.table(value, path)
        for name in found:
            if not key.fullmatch(name):
                self.add((*path, name), f"`{name}` does not match {key.pattern}")
        return {name: self.text(found[name], (*path, name), shape) for name in sorted(found)}

    def listing(self, value: object, path: Path, shape: re.Pattern[str]) -> tuple[str, ...]:
        """A list of texts, sorted, each once."""
        if value is None:
            return ()
        if not isinstance(value, list):
            self.add(path, "must be a list")
            return ()
        return tuple(sorted({self.text(item, (*path, index), shape) for index, item in enumerate(value)}))

    def whole(self, value: object, path: Path, default: int, least: int = 0) -> int:
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.add(path, f"must be a whole number, at least {least}")
            return default
        return value

    def number(self, value: object, path: Path, default: float) -> float:
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
            self.add(path, "must be a number above 0")
            return default
        return float(value)

    def size(self, value: object, path: Path, default: int) -> int:
        """Bytes, written with a unit."""
        if value is None:
            return default
        match = _SIZE.fullmatch(value) if isinstance(value, str) else None
        if match is None or int(match[1]) == 0:
            self.add(path, "must be a size with its unit, like 64MiB")
            return default
        return int(match[1]) * _UNITS[match[2]]

    def lines(self, where: Callable[[Path], str]) -> list[str]:
        """The findings as text; `where` says where a path stands in the file."""
        return [f"{where(path)}{written(path)}: {message}" if path else message for path, message in self.found]


def written(path: Path) -> str:
    """``('image', 'rootfs', 'packages', 0)`` as ``image.rootfs.packages[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
