"""What expressions can reach: the scope of a step, of the run's end, and the evaluator bound to it.

Owns the public names of the recipe language and nothing of the expression language. A scope is built only when an expression is
met: a plan without expressions never pays for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from wfconsole.domain.plan import GATE_KINDS, Json
from wfconsole.domain.run import RunState, view_step
from wfconsole.domain.values import resolve

Evaluate = Callable[[str, Mapping[str, Json]], Json]


class Reach:
    """Template values of one step (or, with `step_id` None, of the whole run), resolved at one moment."""

    __slots__ = ("_evaluate", "_scope", "_state", "_step_id")

    def __init__(self, state: RunState, step_id: str | None, evaluate: Evaluate) -> None:
        self._state = state
        self._step_id = step_id
        self._evaluate = evaluate
        self._scope: dict[str, Json] | None = None

    def value(self, template: Json) -> Json:
        """`template` with its expressions replaced. Raises ExpressionError."""
        return resolve(template, self.expression)

    def expression(self, source: str) -> Json:
        if self._scope is None:
            self._scope = build(self._state, self._step_id)
        return self._evaluate(source, self._scope)


def build(state: RunState, step_id: str | None) -> dict[str, Json]:
    """Every name in reach of `step_id`; for the run as a whole, of its outputs."""
    scope: dict[str, Json] = {
        "inputs": {spec.name: _seen_inside(state, spec.name, spec.type) for spec in state.plan.inputs},
        "state": state.plan.state,
        "intent": {"hash": state.created.intent_hash},
        "gates": _gates(state, step_id),
        "run": {"id": state.run_id},
        "steps": {name: view_step(state.step(found)) for name, found in visible(state, step_id).items()},
    }
    if step_id is None or state.index.steps[step_id].phase == "finally":
        scope["run"] = {"id": state.run_id, **verdict(state), "rolled_back": False}
    if step_id is not None:
        scope["attempt"] = _attempt(state, step_id)
    return scope


def _gates(state: RunState, step_id: str | None) -> dict[str, Json]:
    """Every gate of the run: by the names under ``steps`` where it has one there, else by its id or its last part."""
    names = {name: found for name, found in visible(state, step_id).items() if is_gate(state, found)}
    for found in state.index.gates:
        names.setdefault(found, found)
        names.setdefault(found.rpartition("/")[2], found)
    return {name: view_gate(state, found) for name, found in names.items()}


def verdict(state: RunState) -> dict[str, Json]:
    """How the run will end as far as its main steps say: `status` and the failure `code`, null when it succeeds."""
    if state.ended_by is not None:
        return {"status": "failed", "code": state.ended_by.code}
    if state.cancel_requested:
        return {"status": "cancelled", "code": state.cancel_code}
    if state.harmed_by is not None:
        cause = state.step(state.harmed_by).cause
        return {"status": "failed", "code": None if cause is None else cause.code}
    return {"status": "succeeded", "code": None}


def visible(state: RunState, step_id: str | None) -> dict[str, str]:
    """The names under ``steps`` and the ids they stand for: siblings upstream first, then those of the groups around."""
    steps = state.index.steps
    if step_id is None:
        return {name: name for name, step in steps.items() if step.parent is None}
    names: dict[str, str] = {}
    upstream = state.index.upstream(step_id)
    finally_sees = {n for n, s in steps.items() if s.phase == "main"} if steps[step_id].phase == "finally" else set()
    prefix: str | None = steps[step_id].parent
    while True:
        for found in sorted(upstream | finally_sees, key=state.index.order.__getitem__):
            if steps[found].parent == prefix:
                names.setdefault(found[len(prefix) + 1 :] if prefix else found, found)
        if prefix is None:
            return names
        prefix = steps[prefix].parent


def members_scope(state: RunState, group_id: str) -> dict[str, Json]:
    """The scope of a group's outputs: its own members by their short names, and what the group itself can reach."""
    scope = build(state, group_id)
    for member in state.index.members.get(group_id, ()):
        name = member[len(group_id) + 1 :]
        scope["steps"][name] = view_step(state.step(member))
        if is_gate(state, member):
            scope["gates"][name] = view_gate(state, member)
    return scope


def is_gate(state: RunState, step_id: str) -> bool:
    return state.index.steps[step_id].kind in GATE_KINDS


def view_gate(state: RunState, step_id: str) -> dict[str, Json]:
    """A gate as expressions see it: null until it is decided; in a successor until then what the run before was told."""
    gate = state.gate_of(step_id)
    if gate is None or gate.status == "open":
        earlier, outputs = state.rejections.get(step_id), state.step(step_id).outputs or {}
        if earlier is None:
            return {"choice": outputs.get("choice"), "reason": None, "actor": None}
        return {"choice": earlier.choice, "reason": earlier.reason, "actor": earlier.actor}
    return {"choice": gate.choice, "reason": gate.reason, "actor": ", ".join(gate.closed_by) or None}


def _seen_inside(state: RunState, name: str, kind: str) -> Json:
    """A path reads as where the sandbox finds it; everything else as it was given."""
    value = state.created.inputs.get(name)
    return f"/inputs/{name}" if kind == "path" and value is not None else value


def _attempt(state: RunState, step_id: str) -> Json:
    """The attempt under way, else the one about to begin; and how the one before it ended."""
    step = state.step(step_id)
    n = step.attempt + (step.status != "running")
    previous = None
    if n > 1 and step.outcome is not None:
        cause = step.cause
        previous = {
            "n": n - 1,
            "outcome": step.outcome,
            "exit_code": step.exit_code,
            "code": None if cause is None else cause.code,
            "message": None if cause is None else cause.message,
        }
    return {"n": n, "previous": previous}
