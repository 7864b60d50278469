"""The graph of steps: groups flattened to ids, needs resolved, cycles named, and who is upstream of whom.

Owns ids and edges. Refuses to know kinds beyond "is a group". The one decision that would surprise: a group counts as two
points, its start and its end, so that a member that waits for what the group itself holds up is found as a cycle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from wfconsole.compiler.findings import Path
from wfconsole.compiler.reading import Reading
from wfconsole.domain.plan import Json, Need, Phase


@dataclass(slots=True, kw_only=True)
class Item:
    """One step with its id; `value` is what `steps.Step` read. `mapped`: it is inside a group that a `map` multiplies."""

    step_id: str
    name: str
    parent: str | None
    phase: Phase
    path: Path
    value: dict[str, Json]
    mapped: bool = False
    needs: tuple[Need, ...] = ()

    @property
    def kind(self) -> str | None:
        kind: str | None = self.value["kind"]
        return kind

    @property
    def is_group(self) -> bool:
        return self.kind == "steps"


@dataclass(slots=True, kw_only=True)
class Graph:
    """All steps by id, in the recipe's order, a group before its members."""

    items: dict[str, Item] = field(default_factory=dict)
    _behind: dict[str, frozenset[str]] = field(default_factory=dict)
    _members: dict[str | None, list[Item]] | None = None
    _gates: tuple[str, ...] | None = None

    def members(self, parent: str | None) -> Sequence[Item]:
        """The steps directly inside a group, or at the top; asked for only when all steps are there."""
        if self._members is None:
            self._members = {}
            for item in self.items.values():
                self._members.setdefault(item.parent, []).append(item)
        return self._members.get(parent, ())

    def gates(self, kinds: Collection[str]) -> tuple[str, ...]:
        """Names and ids of the gates, whose kinds are given."""
        if self._gates is None:
            found = [item for item in self.items.values() if item.kind in kinds]
            self._gates = tuple(sorted({item.name for item in found} | {item.step_id for item in found}))
        return self._gates

    def scopes(self, item: Item) -> Iterator[str | None]:
        """Where the item's names are looked up: beside it, then beside each group around it."""
        parent = item.parent
        while parent is not None:
            yield parent
            parent = self.items[parent].parent
        yield None

    def find(self, item: Item, name: str) -> Item | None:
        """The step that `name` means when `item` says it."""
        if "/" in name:
            found = self.items.get(name)
            return found if found is not None and found.parent in set(self.scopes(item)) else None
        for parent in self.scopes(item):
            found = self.items.get(name if parent is None else f"{parent}/{name}")
            if found is not None:
                return found
        return None

    def upstream(self, item: Item) -> frozenset[str]:
        """Ids of the steps that `item` may read: what it needs, directly or not, and what the groups around it need."""
        known = self._behind.get(item.step_id)
        if known is None:
            seen: set[str] = set()
            visited: set[str] = set()
            todo = [item.step_id]
            while todo:
                step = self.items[todo.pop()]
                if step.step_id in visited:
                    continue
                if step.step_id in self._behind:
                    seen |= self._behind[step.step_id]
                    continue
                visited.add(step.step_id)
                needed = [need.step for need in step.needs]
                seen.update(needed)
                todo += needed + ([step.parent] if step.parent is not None else [])
            if item.phase == "finally":
                seen.update(other.step_id for other in self.items.values() if other.phase == "main")
            known = self._behind[item.step_id] = frozenset(seen)
        return known

    def edges(self) -> Mapping[str, list[str]]:
        """``<id`` is a start, ``>id`` an end; an edge leads from a point to what must come before it."""
        edges: dict[str, list[str]] = {}
        tops = [f">{item.step_id}" for item in self.members(None) if item.phase == "main"]
        for item in self.items.values():
            start = edges.setdefault(f"<{item.step_id}", [])
            start += [f">{need.step}" for need in item.needs]
            if item.parent is not None:
                start.append(f"<{item.parent}")
                edges.setdefault(f">{item.parent}", []).append(f">{item.step_id}")
            elif item.phase == "finally":
                start += tops
            edges.setdefault(f">{item.step_id}", []).append(f"<{item.step_id}")
        return edges


def build(value: dict[str, Json], reading: Reading) -> Graph:
    """Flatten and connect the steps of a recipe; unknown needs and cycles are reported."""
    graph = Graph()
    for key, phase in (("steps", "main"), ("finally", "finally")):
        for item in _flatten(value.get(key) or {}, None, "main" if phase == "main" else "finally", (key,)):
            if item.step_id in graph.items:
                place = reading.key_place(item.path)
                reading.report(place, item.path, f"the step '{item.step_id}' a second time", "rename one of them")
            else:
                graph.items[item.step_id] = item
    for item in graph.items.values():
        item.needs = tuple(_needs(graph, item, reading))
    _report_cycles(graph, reading)
    return graph


def _flatten(
    steps: Mapping[str, dict[str, Json]], parent: str | None, phase: Phase, path: Path, *, mapped: bool = False
) -> Iterator[Item]:
    for name, value in steps.items():
        step_id = name if parent is None else f"{parent}/{name}"
        yield Item(
            step_id=step_id, name=name, parent=parent, phase=phase, path=(*path, name), value=value, mapped=mapped
        )
        if value["kind"] == "steps":
            inner = mapped or "map" in value
            yield from _flatten(value.get("body") or {}, step_id, phase, (*path, name, "steps"), mapped=inner)


def _needs(graph: Graph, item: Item, reading: Reading) -> Iterator[Need]:
    for name, statuses in (item.value.get("needs") or {}).items():
        if reading.is_told:
            return
        path = (*item.path, "needs", name)
        place = reading.key_place(path)
        found = graph.find(item, name)
        if found is None:
            _unknown_need(graph, item, name, reading)
        elif found is item:
            reading.report(place, path, f"'{name}' needs itself", "remove it")
        elif item.step_id.startswith(f"{found.step_id}/"):
            reading.report(
                place, path, f"'{name}' is the group around this step", "remove it: a group ends after its steps"
            )
        elif found.phase == "finally" and item.phase == "main":
            reading.report(place, path, f"'{name}' is a finally step", "finally steps start when all others have ended")
        else:
            yield Need(step=found.step_id, statuses=statuses)


def _unknown_need(graph: Graph, item: Item, name: str, reading: Reading) -> None:
    path = (*item.path, "needs", name)
    place = reading.key_place(path)
    inside = next((other for other in graph.items.values() if name in {other.step_id, other.name}), None)
    if inside is not None and inside.parent is not None:
        hint = f"need the group '{inside.parent}' as a whole"
        reading.report(place, path, f"'{name}' is inside the group '{inside.parent}'", hint, suggestion=inside.parent)
        return
    reading.unknown(place, path, "unknown step", name, visible_names(graph, item))


def visible_names(graph: Graph, item: Item) -> tuple[str, ...]:
    """The names that `item` could say, its own left out."""
    scopes = list(graph.scopes(item))
    phases = {"main", item.phase}
    names = {other.name for parent in scopes for other in graph.members(parent) if other.phase in phases}
    around = set(item.step_id.split("/"))
    return tuple(sorted(names - around))


def _report_cycles(graph: Graph, reading: Reading) -> None:
    for cycle in _cycles(graph.edges()):
        names = list(dict.fromkeys(point[1:] for point in cycle))
        first = min(names, key=list(graph.items).index)
        at = names.index(first)
        turned = [*names[at:], *names[:at], first]
        path = (*graph.items[first].path, "needs")
        reading.report(
            reading.key_place(path),
            path,
            "these steps need each other: " + " → ".join(turned),
            "remove one of the needs",
        )


def _cycles(edges: Mapping[str, list[str]]) -> Iterator[list[str]]:
    """One cycle for each knot of the graph, found depth first without recursion."""
    state: dict[str, int] = {}
    for root in edges:
        if root in state:
            continue
        trail: list[str] = [root]
        todo = [iter(edges.get(root, ()))]
        state[root] = 1
        while todo:
            point = next(todo[-1], None)
            if point is None:
                todo.pop()
                state[trail.pop()] = 2
            elif point not in state:
                state[point] = 1
                trail.append(point)
                todo.append(iter(edges.get(point, ())))
            elif state[point] == 1:
                yield trail[trail.index(point) :]
