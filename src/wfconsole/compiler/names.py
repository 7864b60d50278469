"""Which names an expression may say where it stands, checked before any run.

Owns what expressions of a recipe can reach: inputs, state, steps upstream, gates, files, map variables. Refuses to evaluate.
The one decision that would surprise: where a path decides the reach, not the author: ``when`` of a group sees what the group
needs, its ``outputs`` see its members.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from wfconsole.compiler.filters import FILTERS, TESTS
from wfconsole.compiler.findings import near
from wfconsole.compiler.graph import Graph, Item
from wfconsole.compiler.kinds import GATES, OWN_OUTPUTS
from wfconsole.compiler.reading import Reading, Use
from wfconsole.compiler.syntax import FUNCTIONS, parse, walk
from wfconsole.domain.plan import Json
from wfconsole.domain.values import ExpressionError

_GATE_KEYS = ("choice", "reason", "actor")
_STEP_KEYS = ("status", "outputs", "children", "failure")
_RUN_KEYS = ("id",)
_RUN_END_KEYS = ("id", "status", "code", "rolled_back")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The names in reach of one expression. A value of None: any key below it; else the keys that exist."""

    names: Mapping[str, Collection[str] | None]
    steps: Mapping[str, Item] = field(default_factory=dict)
    around: tuple[Graph, Item] | None = None
    files: Collection[str] = ()

    @property
    def known_steps(self) -> Collection[str]:
        """Names of steps that exist here, upstream or not; worked out only for a finding."""
        if self.around is None:
            return tuple(self.steps)
        graph, item = self.around
        return {other.name for parent in graph.scopes(item) for other in graph.members(parent)}


def check_uses(reading: Reading, graph: Graph, recipe: dict[str, Json]) -> None:
    """Report every expression that cannot be read or says a name that is not in reach."""
    reaches: dict[Any, Reach] = {}
    for use in reading.uses:
        if reading.is_told:
            return
        if not use.source:
            continue
        try:
            tree = parse(use.source)
        except ExpressionError as error:
            reading.report(use.place, use.path, f"cannot read the expression '{use.source[:80]}': {error}")
            continue
        key = _reach_key(use, graph)
        if key not in reaches:
            reaches[key] = _reach(key, graph, recipe)
        _Walk(reading=reading, use=use, reach=reaches[key]).check(tree)


def owner(path: tuple[str | int, ...], graph: Graph) -> tuple[Item | None, tuple[str | int, ...]]:
    """The step whose key the path leads to, and the path inside that step."""
    step_id, rest = "", path
    while len(rest) >= 2 and rest[0] in {"steps", "finally"} and (step_id or rest is path):
        step_id = f"{step_id}/{rest[1]}" if step_id else str(rest[1])
        rest = rest[2:]
    return graph.items.get(step_id), rest


def _reach_key(use: Use, graph: Graph) -> tuple[str, ...]:
    """Uses with equal keys have the same reach."""
    item, inside = owner(use.path, graph)
    if item is None:
        return ("", str(use.path[0]) if use.path else "")
    part = "map" if inside[:1] == ("map",) else "outputs" if inside[:1] == ("outputs",) and item.is_group else "step"
    return (item.step_id, part)


def _reach(key: tuple[str, ...], graph: Graph, recipe: dict[str, Json]) -> Reach:
    step_id, part = key
    names: dict[str, Collection[str] | None] = {"inputs": tuple(recipe.get("inputs") or {})}
    files = tuple(recipe.get("files") or ())
    if not step_id and part == "check":
        return Reach(names=names, files=files)
    names["intent"] = None
    if not step_id and part in {"state", "workspace", "on_failure"}:
        return Reach(names=names, files=files)
    state = recipe.get("state") or {}
    names["state"] = tuple(state) if isinstance(state, dict) and "$literal" not in state else None
    names["gates"] = graph.gates(GATES)
    if not step_id:
        names["run"] = _RUN_END_KEYS
        tops = {item.name: item for item in graph.members(None)}
        names["steps"] = tuple(tops)
        return Reach(names=names, steps=tops, files=files)
    item = graph.items[step_id]
    names["run"] = _RUN_END_KEYS if item.phase == "finally" else _RUN_KEYS
    names["attempt"] = ("n", "previous")
    for variable in _map_variables(item, graph, inside=part != "map"):
        names[variable] = None
    seen = _seen(item, graph)
    if part == "outputs":
        seen.update({member.name: member for member in graph.members(item.step_id)})
    names["steps"] = tuple(seen)
    return Reach(names=names, steps=seen, around=(graph, item), files=files)


def _seen(item: Item, graph: Graph) -> dict[str, Item]:
    """Steps upstream by the names they have here: those beside the step win over those further out."""
    upstream = graph.upstream(item)
    seen: dict[str, Item] = {}
    for parent in graph.scopes(item):
        for other in graph.members(parent):
            if other.step_id in upstream:
                seen.setdefault(other.name, other)
    return seen


def _map_variables(item: Item, graph: Graph, *, inside: bool) -> list[str]:
    """The variables of the step's own `map` (only inside it) and of the groups around it."""
    found: list[str] = []
    here: Item | None = item
    while here is not None:
        if "map" in here.value and (here is not item or inside):
            found += [(here.value["map"] or {}).get("as", "item"), "index"]
        here = graph.items[here.parent] if here.parent is not None else None
    return found


def outputs_of(item: Item) -> tuple[str, ...] | None:
    """The outputs that a step can have, or None when only running it can tell."""
    declared = tuple(item.value.get("outputs") or {})
    body = item.value.get("body")
    match item.kind:
        case "set":
            return tuple(body or {})
        case "uses" | None:
            return None
        case "agent":
            return (*declared, "patch") if (body or {}).get("edits") == "patch" else declared
        case "question":
            return ("choice", *((body or {}).get("inputs") or {}))
        case _:
            return (*declared, *OWN_OUTPUTS.get(item.kind, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Walk:
    """The check of one expression."""

    reading: Reading
    use: Use
    reach: Reach

    def check(self, tree: Any) -> None:
        for node in walk(tree):
            match type(node).__name__:
                case "Filter" if node.name not in FILTERS:
                    self._unknown("filter", node.name, FILTERS)
                case "Test" if node.name not in TESTS:
                    self._unknown("test", node.name, TESTS)
                case "Call":
                    self._call(node)
                case "Name":
                    self._name(node)
                case "Getattr" | "Getitem":
                    self._path(node)
                case _:
                    pass

    def _name(self, node: Any) -> None:
        if node.name in self.reach.names or node.name in FUNCTIONS:
            return
        if self._dashed():
            return
        self._unknown("name", node.name, (*self.reach.names, *FUNCTIONS))

    def _call(self, node: Any) -> None:
        name = node.node.name
        if name not in FUNCTIONS:
            self._unknown("function", name, FUNCTIONS)
        elif name == "file" and len(node.args) == 1 and type(node.args[0]).__name__ == "Const":
            file = node.args[0].value
            if file not in self.reach.files:
                hint = "list it under `files`"
                suggestion = near(str(file), self.reach.files)
                self._report(f"'{file}' is not one of the recipe's files", hint, suggestion)

    def _path(self, node: Any) -> None:
        path = _constant_path(node)
        if path is None or path[0] not in self.reach.names or path[0] in FUNCTIONS:
            return
        keys = self.reach.names[path[0]]
        if len(path) == 2 and keys is not None and path[1] not in keys:
            if path[0] == "steps":
                self._step(str(path[1]))
            else:
                self._unknown({"inputs": "input", "gates": "gate"}.get(path[0], f"key of {path[0]}"), path[1], keys)
        elif len(path) == 3 and path[0] == "gates" and path[2] not in _GATE_KEYS:
            self._unknown("key of a gate", path[2], _GATE_KEYS)
        elif path[0] == "steps" and len(path) >= 3 and path[1] in self.reach.steps:
            self._inside_step(self.reach.steps[str(path[1])], path[1], path[2:])

    def _step(self, name: str) -> None:
        if self._dashed():
            return
        if name in self.reach.known_steps:
            hint = f"add '{name}' to `needs` (or what needs it)"
            self._report(f"the step '{name}' is not upstream of this one", hint, name)
        else:
            self._unknown("step", name, self.reach.known_steps)

    def _inside_step(self, item: Item, name: Any, rest: tuple[Any, ...]) -> None:
        if rest[0] not in _STEP_KEYS:
            known = outputs_of(item) or ()
            hint = f"write steps.{name}.outputs.{rest[0]}" if rest[0] in known else ""
            suggestion = "outputs" if hint else near(str(rest[0]), _STEP_KEYS)
            hint = hint or "a step has " + ", ".join(_STEP_KEYS)
            if len(rest) == 1 or hint:
                self._report(f"unknown key '{rest[0]}' of a step", hint, suggestion)
        elif len(rest) == 2 and rest[0] == "outputs":
            known_outputs = outputs_of(item)
            if known_outputs is not None and rest[1] not in known_outputs:
                suggestion = near(str(rest[1]), known_outputs)
                names = ", ".join(known_outputs) or "none"
                hint = f"did you mean '{suggestion}'?" if suggestion else f"its outputs: {names}"
                self._report(f"the step '{name}' has no output '{rest[1]}'", hint, suggestion)

    def _dashed(self) -> bool:
        """`steps.a-b` reads as a subtraction: say how it is written. True when that was it."""
        for name in re.findall(r"\bsteps\.([a-z][a-z0-9_]*(?:-[a-z0-9_]+)+)", self.use.source):
            if name in self.reach.known_steps:
                self._report(f"steps.{name} reads as a subtraction", f"write steps['{name}']", f"steps['{name}']")
                return True
        return False

    def _unknown(self, what: str, name: Any, known: Collection[str]) -> None:
        suggestion = near(str(name), known)
        names = ", ".join(sorted(known)[:30])
        hint = f"did you mean '{suggestion}'?" if suggestion else f"known: {names}" if names else "there is none"
        self._report(f"unknown {what} '{str(name)[:80]}'", hint, suggestion)

    def _report(self, message: str, hint: str, suggestion: str = "") -> None:
        found = f"{message} in '{self.use.source[:80]}'"
        already = [finding.message for finding in self.reading.findings if finding.line == self.use.place.line]
        if found not in already:
            self.reading.report(self.use.place, self.use.path, found, hint, suggestion=suggestion)


def _constant_path(node: Any) -> tuple[Any, ...] | None:
    """``steps['a-b'].outputs`` as ('steps', 'a-b', 'outputs'); None when a part is not known before the run."""
    parts: list[Any] = []
    while True:
        match type(node).__name__:
            case "Getattr":
                parts.append(node.attr)
            case "Getitem" if type(node.arg).__name__ == "Const":
                parts.append(node.arg.value)
            case "Name":
                return (node.name, *reversed(parts))
            case _:
                return None
        node = node.node
