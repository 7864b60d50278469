"""Every action of the console: its id, keys, name, what it does, and where it can be pressed. The only list of keys there is.

Bindings, key line, help screen, palette and the user's keymap are all made from it. The decision that would surprise: a key
whose action is refused now still reaches the screen, which says why in the words of the refusal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.binding import Binding

SCOPES = {
    "everywhere": "Everywhere",
    "list": "Lists",
    "runs": "Runs",
    "run": "One run",
    "log": "Log",
    "approvals": "Approvals inbox",
    "card": "Approval card",
    "decide": "Signing a decision",
    "recipes": "Recipes",
    "launch": "Launch form",
    "retry": "Retry",
    "intervene": "Intervention",
    "templates": "Templates",
    "events": "Events",
    "settings": "Settings",
    "help": "Help",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """`keys` in Textual's spelling, the first one is shown. `method` is the Textual action. `changes`: hidden when read-only.

    `shown`: stands in the key line. `refused_by`: id in the refusals of a run's picture. `palette`: listed in the palette.
    """

    id: str
    scope: str
    keys: tuple[str, ...]
    name: str
    description: str
    method: str
    changes: bool = False
    shown: bool = True
    refused_by: str = ""
    palette: bool = True
    priority: bool = False


def _act(
    id: str,  # noqa: A002 - the table's word
    keys: str,
    name: str,
    description: str,
    method: str = "",
    **more: object,
) -> Action:
    scope = id.partition(".")[0]
    return Action(
        id=id, scope=scope, keys=tuple(keys.split(",")) if keys else (), name=name, description=description,
        method=method or id.partition(".")[2], **more,  # type: ignore[arg-type]  # flags of the table
    )  # fmt: skip


_SHARED: tuple[Action, ...] = (
    _act("everywhere.runs", "1", "runs", "Go to the runs", "go('runs')", shown=False),
    _act("everywhere.approvals", "2", "approvals", "Go to what waits for a person", "go('approvals')", shown=False),
    _act("everywhere.recipes", "3", "recipes", "Go to the recipes", "go('recipes')", shown=False),
    _act("everywhere.templates", "4", "templates", "Go to the templates and their drift", "go('templates')", shown=False),
    _act("everywhere.events", "5", "events", "Go to the newest events of all runs", "go('events')", shown=False),
    _act("everywhere.settings", "6", "settings", "Go to the settings and themes", "go('settings')", shown=False),
    _act("everywhere.help", "question_mark,f1", "help", "Show every key of this screen", "show_help"),
    _act("everywhere.palette", "colon,ctrl+p", "commands", "Search all that can be done", "command_palette", palette=False),
    _act("everywhere.back", "escape,q", "back", "Go back to where you came from", "back", shown=False, palette=False),
    _act("everywhere.repaint", "ctrl+l", "repaint", "Draw the screen anew", "repaint", shown=False),
    _act("everywhere.copy", "y", "copy", "Copy: id, command line, path, line or JSON", "copy_menu", shown=False),
    _act("everywhere.detach", "D", "detach", "Leave; runs of this console go on in a worker", "detach", shown=False),
    _act("everywhere.suspend", "ctrl+z", "suspend", "Stop; a worker takes its runs, fg brings the console back",
         "suspend_process", shown=False, priority=True),
    _act("everywhere.quit", "ctrl+q", "quit", "Leave the console", "request_quit", shown=False, priority=True),
    _act("list.down", "down,j", "down", "Next row", "move(1)", shown=False, palette=False),
    _act("list.up", "up,k", "up", "Row before", "move(-1)", shown=False, palette=False),
    _act("list.page_down", "pagedown,ctrl+f", "page down", "A page down", "page(1)", shown=False, palette=False),
    _act("list.page_up", "pageup,ctrl+b", "page up", "A page up", "page(-1)", shown=False, palette=False),
    _act("list.half_down", "ctrl+d", "half down", "Half a page down", "half(1)", shown=False, palette=False),
    _act("list.half_up", "ctrl+u", "half up", "Half a page up", "half(-1)", shown=False, palette=False),
    _act("list.first", "home,g", "first", "First row", "edge(-1)", shown=False, palette=False),
    _act("list.last", "end,G", "last", "Last row", "edge(1)", shown=False, palette=False),
    _act("list.open", "enter", "open", "Open what the cursor is on", "select", shown=False, palette=False),
)  # fmt: skip
"""What every screen has; each screen adds its own by `register`."""

_TABLE: dict[str, tuple[Action, ...]] = dict.fromkeys(SCOPES, ())


def register(*actions: Action) -> tuple[Action, ...]:
    """Add the actions of one screen, by the module that has it. The same table twice changes nothing."""
    for scope in {action.scope for action in actions}:
        if scope not in SCOPES:
            raise ValueError(f"no such scope: {scope}")
        _TABLE[scope] = tuple(action for action in actions if action.scope == scope)
    return actions


register(*_SHARED)
act = _act


def all_actions() -> tuple[Action, ...]:
    """Every action there is, in the order of the scopes."""
    return tuple(action for actions in _TABLE.values() for action in actions)


def of_scope(scope: str) -> tuple[Action, ...]:
    return _TABLE.get(scope, ())


def bindings(scope: str) -> list[Binding]:
    """The Textual bindings of a scope."""
    return [
        Binding(",".join(action.keys), action.method, action.name, show=False, id=action.id, priority=action.priority)
        for action in of_scope(scope)
        if action.keys
    ]


def keymap(keys: Mapping[str, Sequence[str]]) -> tuple[dict[str, str], list[str]]:
    """The user's keys as Textual's keymap, and what is wrong: unknown ids, keys that two actions of one place share."""
    known = {action.id: action for action in all_actions()}
    problems = [f"keys.{name}: no such action" for name in keys if name not in known]
    chosen = {name: tuple(keys.get(name, action.keys)) for name, action in known.items()}
    for scope in SCOPES:
        seen: dict[str, str] = {}
        for name, action in known.items():
            if action.scope not in {scope, "everywhere"}:
                continue
            for key in chosen[name]:
                if key in seen and (name in keys or seen[key] in keys):
                    problems.append(f"keys.{name}: {key} is taken by {seen[key]}")
                seen.setdefault(key, name)
    return {name: ",".join(value) for name, value in keys.items() if name in known}, problems


_SHOWN = {
    "question_mark": "?", "colon": ":", "escape": "esc", "slash": "/", "left_curly_bracket": "{",
    "right_curly_bracket": "}", "left_square_bracket": "[",
    "right_square_bracket": "]", "plus": "+", "minus": "-", "underscore": "_", "ampersand": "&", "space": "space",
    "comma": ",", "full_stop": ".", "less_than_sign": "<", "greater_than_sign": ">",
}  # fmt: skip


def key_name(key: str) -> str:
    """How a key is written for people: ``ctrl+q`` as ``^q``."""
    return key.replace("ctrl+", "^") if key.startswith("ctrl+") else _SHOWN.get(key, key)
