"""Themes: files that give each role of the console its look, checked when they are read.

Owns the list of roles and what each means. A theme is a TOML file: ``name``, ``description``, ``dark``, ``[colors]`` for
Textual, ``[roles]`` in the words of Rich styles, each laid over ``text``. The decision that would surprise: a state is never
told by its colour alone, so every theme, also one without any colour, can be used by everyone; the roles only help.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.errors import StyleSyntaxError
from rich.style import Style
from textual.color import Color, ColorParseError
from textual.theme import Theme

ROLES: dict[str, str] = {
    "text": "", "muted": "dim", "title": "bold", "header": "bold", "key": "bold", "key-off": "dim",
    "cursor": "reverse", "cursor-blurred": "underline", "match": "reverse", "note": "bold", "error": "bold",
    "running": "", "succeeded": "", "failed": "bold", "waiting": "bold", "paused": "", "pending": "dim",
    "cancelled": "", "skipped": "dim", "drift": "bold",
    "diff-add": "", "diff-del": "", "diff-hunk": "dim", "diff-file": "bold",
    "risk-low": "", "risk-medium": "bold", "risk-high": "bold reverse", "bar": "",
}  # fmt: skip
"""Every role and its look where a theme says nothing."""

OF_STATUS = {
    "needs_human": "waiting", "awaiting_approval": "waiting", "open": "waiting", "backing_off": "paused",
    "granted": "succeeded", "rejected": "failed", "expired": "failed", "withdrawn": "skipped",
    "completed": "succeeded", "timed_out": "failed", "errored": "failed", "abandoned": "cancelled", "ok": "succeeded",
    "missing": "failed",
}  # fmt: skip

_COLORS = frozenset(
    (
        "primary",
        "secondary",
        "warning",
        "error",
        "success",
        "accent",
        "foreground",
        "background",
        "surface",
        "panel",
        "boost",
    )
)
_LARGEST = 64 * 1024
_ANSI = {
    "ansi-background": "ansi_default", "ansi-foreground": "ansi_default", "border": "ansi_default",
    "border-blurred": "ansi_default", "block-cursor-foreground": "ansi_default", "block-cursor-background": "ansi_default",
    "input-cursor-background": "ansi_default", "input-cursor-foreground": "ansi_default",
    "input-cursor-text-style": "reverse", "input-selection-background": "ansi_default",
    "input-selection-foreground": "ansi_default", "screen-selection-background": "ansi_default",
    "screen-selection-foreground": "ansi_default", "scrollbar": "ansi_default", "scrollbar-hover": "ansi_default",
    "scrollbar-active": "ansi_default", "scrollbar-background": "ansi_default", "scrollbar-corner-color": "ansi_default",
}  # fmt: skip
"""What Textual's own widgets need when the terminal's colours are used as they are."""


class ThemeError(ValueError):
    """A theme file that does not hold; the message names the file and the place."""


@dataclass(frozen=True)
class Palette:
    """The look of each role in one theme."""

    name: str
    description: str = ""
    dark: bool = True
    colors: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    ansi: bool = False

    @cached_property
    def _styles(self) -> dict[str, Style]:
        looks = {role: Style.parse(self.roles.get(role, look) or "none") for role, look in ROLES.items()}
        grounds = {"key": looks["text"] + looks["title"], "key-off": looks["text"] + looks["title"]}
        return {role: grounds.get(role, looks["text"]) + look for role, look in looks.items()}

    def style(self, role: str) -> Style:
        """The look of a role, or of a status word; complete, with the theme's own ground."""
        return self._styles.get(OF_STATUS.get(role, role), self._styles["text"])

    def chosen(self, role: str, *, focused: bool) -> Style:
        """The look of a role on the row under the cursor: its own colour on the cursor's ground, where there is one."""
        cursor = self.style("cursor" if focused else "cursor-blurred")
        look = self.style(role)
        if role == "text" or cursor.bgcolor is None or cursor.bgcolor == self.style("text").bgcolor:
            return cursor
        return look + Style(bgcolor=cursor.bgcolor)

    def to_textual(self) -> Theme:
        """The same theme for Textual's own widgets."""
        colors: dict[str, Any] = {"primary": "#5f87af", **self.colors}
        variables = dict(_ANSI) if self.ansi else {}
        return Theme(name=self.name, dark=self.dark, ansi=self.ansi, variables=variables, **colors)


def read_theme(path: Path) -> Palette:
    """One theme file. Raises ThemeError with everything that is wrong with it."""
    try:
        data = path.read_bytes()
        if len(data) > _LARGEST:
            raise ThemeError(f"{path.name}: larger than {_LARGEST} bytes")
        document = tomllib.loads(data.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ThemeError(f"{path.name}: {error}") from error
    problems = list(_problems(document))
    if problems:
        raise ThemeError(f"{path.name}: {'; '.join(problems)}")
    return Palette(
        name=document["name"],
        description=document.get("description", ""),
        dark=document.get("dark", True),
        ansi=document.get("ansi", False),
        colors=document.get("colors", {}),
        roles=document.get("roles", {}),
    )


def _problems(document: Mapping[str, object]) -> Sequence[str]:
    found = [
        f"unknown key {key}"
        for key in document
        if key not in {"name", "description", "dark", "ansi", "colors", "roles"}
    ]
    name = document.get("name")
    if not isinstance(name, str) or not name.replace("-", "").isalnum():
        found.append("name must be letters, digits and dashes")
    found += [
        f"{key} must be true or false" for key in ("dark", "ansi") if not isinstance(document.get(key, True), bool)
    ]
    for table, known in (("colors", _COLORS), ("roles", frozenset(ROLES))):
        values = document.get(table, {})
        if not isinstance(values, dict):
            found.append(f"[{table}] must be a table")
            continue
        for key, value in values.items():
            if key not in known:
                found.append(f"{table}.{key} is unknown")
            elif not isinstance(value, str) or not _parses(table, value):
                found.append(f"{table}.{key}: {value!r} is no {'color' if table == 'colors' else 'style'}")
    return found


def _parses(table: str, value: str) -> bool:
    try:
        Color.parse(value) if table == "colors" else Style.parse(value)
    except (ColorParseError, StyleSyntaxError):
        return False
    return True


def read_themes(folders: Sequence[Path]) -> tuple[dict[str, Palette], list[str]]:
    """All themes by name, the first folder winning, and what is wrong with the files that are left out."""
    found: dict[str, Palette] = {}
    problems: list[str] = []
    for folder in folders:
        for path in sorted(folder.glob("*.toml")):
            try:
                palette = read_theme(path)
            except ThemeError as error:
                problems.append(str(error))
            else:
                found.setdefault(palette.name, palette)
    return found, problems


def fallback() -> Palette:
    """The theme when no file can be read: no colours at all."""
    return Palette(name="plain", description="No colours; used when no theme file can be read")
