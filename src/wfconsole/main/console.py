"""The console of a real process: its settings from config.toml and the terminal, its wiring, its end."""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wfconsole.config import Settings
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.console.settings import ConsoleSettings
    from wfconsole.control.door import Door
    from wfconsole.control.wiring import Wiring

_KINDS: dict[str, type] = {
    "theme": str, "glyphs": str, "keys": dict, "read_only": bool, "low_bandwidth": bool, "mouse": bool, "notices": list,
}  # fmt: skip
NOTICES = ("bell", "title", "osc9", "osc777")


def run_console(settings: Settings, wiring: Wiring, target: str | None, *, read_only: bool = False) -> int:
    """Open the console, on `target` (``RUN[/STEP|/GATE]``) if given; the exit status. Raises INPUT_INVALID."""
    chosen = console_settings(settings, read_only=read_only)
    gc.disable()
    from wfconsole.console.app import Console
    from wfconsole.console.leaving import PATIENCE

    own = replace(
        wiring,
        open_door=lambda: _opened(wiring),
        actor=lambda: replace(wiring.actor(), surface="console"),
    )
    console = Console(own, chosen, target)
    console.patience = PATIENCE
    console.run(mouse=chosen.mouse)
    code = console.return_code or 0
    if not console.is_let_go:
        os._exit(code)  # threads of the engine hang: nobody waits for them, the kernel frees the locks
    return code


async def _opened(wiring: Wiring) -> Door:
    """The door; from here on the collector looks at what is made, and never again at what was imported."""
    try:
        return await wiring.open_door()
    finally:
        if not gc.isenabled():  # else it is a second door, after the console was stopped for a while
            gc.freeze()
            gc.enable()


def console_settings(settings: Settings, *, read_only: bool = False) -> ConsoleSettings:
    """How this operator wants the console, as far as he said, else as the terminal suggests. Raises INPUT_INVALID."""
    from wfconsole.console.choices import read_choices
    from wfconsole.console.settings import ConsoleSettings

    table, environ = _checked(settings.console), settings.environ
    kept = settings.state / "console.json"
    no_color = "NO_COLOR" in environ
    return ConsoleSettings(
        theme=table.get("theme") or read_choices(kept).get("theme") or _theme_for(environ, no_color=no_color),
        themes=(settings.config / "themes", settings.themes),
        ascii_only=table["glyphs"] == "ascii" if "glyphs" in table else _is_ascii(environ),
        keys={name: (keys,) if isinstance(keys, str) else tuple(keys) for name, keys in table.get("keys", {}).items()},
        read_only=read_only or table.get("read_only", False),
        low_bandwidth=table.get("low_bandwidth", False),
        over_ssh="SSH_CONNECTION" in environ,
        mouse=table.get("mouse", True),
        no_color=no_color,
        in_tmux="TMUX" in environ,
        notices=tuple(table.get("notices", ("bell", "title"))),
        save=kept,
    )


def _checked(table: Mapping[str, Any]) -> Mapping[str, Any]:
    """The table, when every key is known and of its type."""
    for name, value in table.items():
        if name not in _KINDS or not isinstance(value, _KINDS[name]):
            raise _wrong(name, f"settings: {', '.join(sorted(_KINDS))}")
    if table.get("glyphs", "ascii") not in {"ascii", "unicode"}:
        raise _wrong("glyphs", "ascii or unicode")
    if not set(table.get("notices", ())) <= set(NOTICES):
        raise _wrong("notices", f"any of {', '.join(NOTICES)}")
    for name, keys in table.get("keys", {}).items():
        if not isinstance(keys, str) and not (isinstance(keys, list) and all(isinstance(key, str) for key in keys)):
            raise _wrong(f"keys.{name}", 'a key, or a list of keys: "x", ["x", "ctrl+x"]')
    return table


def _wrong(name: str, hint: str) -> WfconsoleError:
    return WfconsoleError("INPUT_INVALID", f"config.toml: console.{name} is no setting, or has the wrong value", hint)


def _theme_for(environ: Mapping[str, str], *, no_color: bool) -> str | None:
    """A theme for terminals that have no or few colours; None leaves the console's own."""
    if no_color:
        return "mono"
    return "sixteen" if environ.get("TERM") in {"linux", "vt100", "vt220", "ansi"} else None


def _is_ascii(environ: Mapping[str, str]) -> bool:
    """Whether the terminal's encoding or kind has no other glyphs."""
    encoding = (environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "").upper()
    return environ.get("TERM") == "linux" or not ("UTF-8" in encoding or "UTF8" in encoding)
