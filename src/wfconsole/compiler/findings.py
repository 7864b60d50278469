"""Findings: what is wrong or odd in a recipe, each with its place.

Owns the shape of a finding, the way a path is written, and near misses. Refuses to know what is being checked. The one
decision that would surprise: lines and columns count from 1 and columns count characters, as editors show them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

Severity = Literal["error", "warning"]
Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A position in the recipe's text; both count from 1."""

    line: int = 1
    column: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing found in a recipe. An `error` makes it invalid; a `warning` does not.

    `path` is written like ``steps.unit.run[0]``; `suggestion` is the near name, empty when there is none.
    """

    severity: Severity
    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    suggestion: str = ""
    code: str = "RECIPE_INVALID"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}: {self.severity}: "
        at = f"{self.path}: " if self.path else ""
        return where + at + self.message + (f" ({self.hint})" if self.hint else "")


def written(path: Path) -> str:
    """``('steps', 'unit', 'run', 0)`` as ``steps.unit.run[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


_CANDIDATES = 500


def near(name: str, known: Iterable[str]) -> str:
    """The known name most like `name`, or an empty string. Of very many names those that begin alike are looked at."""
    import difflib  # noqa: PLC0415 (only a recipe with a wrong name pays for it)

    candidates = sorted(known)
    if len(candidates) > _CANDIDATES:
        candidates = sorted(candidates, key=lambda other: other[:2] != name[:2])[:_CANDIDATES]
    matches = difflib.get_close_matches(name[:80], candidates, n=1, cutoff=0.6)
    return matches[0] if matches else ""
