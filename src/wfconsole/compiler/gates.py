"""Gates: what an `approval` or a `question` means beyond its shape, and what of it this version cannot carry out.

Owns the checks of who may decide, between what, and with what on the card. Refuses to know how a gate is lowered. The one
decision that would surprise: a step whose tests are shown must have ended before the gate, and a previewed step must be an
effect, because a card that silently lacks what it names would be approved all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from wfconsole.compiler import lower
from wfconsole.compiler.findings import Path
from wfconsole.compiler.graph import Graph, Item
from wfconsole.compiler.inputs import check_inputs
from wfconsole.compiler.kinds import EFFECTS
from wfconsole.compiler.reading import Reading
from wfconsole.domain.inputs import bind_inputs
from wfconsole.domain.plan import Json
from wfconsole.domain.values import resolve
from wfconsole.views.risk import custom_rule

_OPEN = {
    "context": "an expression in `context`",
    "choices": "an expression in `choices`",
    "default": "an expression in `default`",
}


def check_gate(item: Item, graph: Graph, reading: Reading) -> None:
    """A gate against the graph and against itself; every other step is passed over."""
    if item.kind == "approval":
        _check_approval(item, graph, reading)
    elif item.kind == "question":
        _check_question(item, reading)


def _check_approval(item: Item, graph: Graph, reading: Reading) -> None:
    body = item.value.get("body") or {}
    path: Path = (*item.path, "approval")
    context = body.get("context") or {}
    for key in ("tests", "preview"):
        for index, name in enumerate(context.get(key) or ()):
            at = (*path, "context", key, index)
            found = graph.find(item, name)
            if found is None:
                reading.unknown(reading.value_place(at), at, "unknown step", name, tuple(graph.items))
            elif key == "tests" and found.step_id not in graph.upstream(item):
                message = f"'{name}' may not have ended when this gate opens"
                reading.report(reading.value_place(at), at, message, f"add it to the gate's `needs`: [{name}]")
            elif key == "tests" and _says_nothing(found):
                message = f"'{name}' declares no report, so this gate could not show its tests and would not open"
                hint = "give it `reports: {junit: FILE}`, or coverage"
                reading.report(reading.value_place(at), at, message, hint, severity="warning")
            elif key == "preview" and found.kind not in EFFECTS:
                message = f"'{name}' has no payload to show: it is no effect"
                reading.report(reading.value_place(at), at, message, f"effects are {', '.join(sorted(EFFECTS))}")
            elif key == "preview" and item.step_id not in graph.upstream(found):
                message = f"'{name}' does not wait for this gate, so it could be done before anybody approved it"
                reading.report(reading.value_place(at), at, message, f"add the gate to its `needs`: [{item.name}]")
    _check_rules(context.get("risk"), (*path, "context", "risk"), reading)
    _check_approvers(body.get("approvers") or {}, (*path, "approvers"), reading)
    target = check_retry_from(body.get("on_reject"), (*path, "on_reject"), lambda name: graph.find(item, name), reading)
    if target is not None and not _is_before(target, item, graph):
        at = (*path, "on_reject", "retry_from")
        reading.report(reading.value_place(at), at, *_not_before(target, item))


def _says_nothing(item: Item) -> bool:
    """Is this a step that runs commands and leaves no report of tests?"""
    return item.kind in {"run", "shell"} and not {"junit", "coverage"} & set(item.value.get("reports") or {})


def _check_rules(rules: Json, path: Path, reading: Reading) -> None:
    for index, rule in enumerate(rules if isinstance(rules, list) else ()):
        if "level" not in rule:
            continue
        at = (*path, index, "when")
        try:
            custom_rule(rule)
        except ValueError as error:
            reading.report(reading.value_place(at), at, str(error), "like src/auth/** or /eval\\(/")


def _check_approvers(who: dict[str, Json], path: Path, reading: Reading) -> None:
    count, names = who.get("count", 1), who.get("any_of") or ()
    if isinstance(count, int) and isinstance(names, list) and names and count > len(names):
        at = (*path, "count")
        message = f"{count} people have to approve, and `any_of` names {len(names)}"
        reading.report(reading.value_place(at), at, message, "name more people, or lower the count")


def check_retry_from(value: Json, path: Path, find: Callable[[str], Item | None], reading: Reading) -> Item | None:
    """The step that a rejection starts again at; reported when there is none of that name."""
    name = value.get("retry_from") if isinstance(value, dict) else None
    found = None if name is None else find(name)
    if name is not None and found is None:
        at = (*path, "retry_from")
        reading.report(reading.value_place(at), at, f"unknown step '{name}'", "name a step to start again at")
    return found


def check_every_retry_from(value: Json, path: Path, graph: Graph, reading: Reading) -> None:
    """The recipe's own `on_reject`, which holds for every approval that has none itself."""
    target = check_retry_from(value, path, graph.items.get, reading)
    for item in graph.items.values() if target is not None else ():
        has_own = (item.value.get("body") or {}).get("on_reject") is not None if item.kind == "approval" else True
        if target is not None and not has_own and not _is_before(target, item, graph):
            at = (*path, "retry_from")
            reading.report(reading.value_place(at), at, *_not_before(target, item))


def _is_before(target: Item, gate: Item, graph: Graph) -> bool:
    """Has the step, or a group around it, ended whenever the gate opens?"""
    parts = target.step_id.split("/")
    around = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)}
    return not around.isdisjoint(graph.upstream(gate))


def _not_before(target: Item, gate: Item) -> tuple[str, str]:
    message = f"'{target.step_id}' is not upstream of gate '{gate.step_id}', so its rejection cannot start there"
    return message, f"name a step that '{gate.step_id}' needs, directly or not"


def _check_question(item: Item, reading: Reading) -> None:
    body = item.value.get("body") or {}
    path: Path = (*item.path, "question")
    form, choices = body.get("inputs"), body.get("choices")
    check_inputs(form or {}, (*path, "inputs"), reading)
    if "choices" not in body and not form:
        hint = "give `choices`, or `inputs` for a form"
        reading.report(reading.key_place(path), path, "a question without anything to answer with", hint)
    elif "choices" in body and form:
        at = (*path, "choices")
        hint = "make them the `choices` of one of the inputs"
        reading.report(reading.key_place(at), at, "`choices` beside `inputs`", hint)
    elif "default" in body and not lower.open_ends(item):
        _check_default(resolve(body["default"], str), form, choices, (*path, "default"), reading)


def _check_default(default: Json, form: Json, choices: Json, path: Path, reading: Reading) -> None:
    """The answer at the timeout is one that a person could have given."""
    if default is None:
        return
    if not form:
        if default not in (choices or ()):
            hint = f"one of: {', '.join(choices or ())}"
            reading.report(reading.value_place(path), path, "the default is none of the choices", hint)
        return
    if not isinstance(default, dict):
        hint = "like {" + ", ".join(f"{name}: VALUE" for name in form) + "}"
        reading.report(reading.value_place(path), path, "the default of a form is a mapping of its inputs", hint)
        return
    specs = [lower.input_spec(name, value) for name, value in form.items()]
    for problem in bind_inputs(specs, default, textual=False)[1]:
        at = (*path, problem.name)
        message = f"the default does not fit: {problem.message}"
        hint = "" if problem.code == "INPUT_MISSING" else problem.hint
        reading.report(reading.value_place(at), at, message, hint)


def open_features(item: Item) -> Iterator[tuple[str, Path]]:
    """What of a gate cannot be carried out yet, each with its path."""
    if item.kind not in {"approval", "question"}:
        return
    path: Path = (*item.path, item.kind)
    for found in lower.open_ends(item):
        yield _OPEN[str(found[0])], (*path, *found)
