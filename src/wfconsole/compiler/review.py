"""What a recipe means beyond its shape: inputs, templates, references, policy, and what this version cannot run yet.

Owns the checks that need the whole recipe. Refuses to judge single values, which is the shapes' trade. The one decision that
would surprise: a command that the policy would block is a warning here, because policy is not validity.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from wfconsole.compiler import lower
from wfconsole.compiler.findings import Path
from wfconsole.compiler.gates import check_every_retry_from, check_gate, open_features
from wfconsole.compiler.graph import Graph, Item
from wfconsole.compiler.kinds import EFFECTS
from wfconsole.compiler.reading import Reading
from wfconsole.domain.inputs import bind_inputs
from wfconsole.domain.plan import AVAILABLE_KINDS, NETWORKS, CommandPolicy, InputSpec, Json
from wfconsole.domain.policy.command_safety import judge, judge_workdir
from wfconsole.domain.values import EXPR, TEXT

ResolveRecipe = Callable[[str], Sequence[InputSpec] | None]
"""The declared inputs of the recipe that `uses` names, or None when there is no such recipe."""

RESERVED = frozenset(
    {"inputs", "state", "intent", "attempt", "steps", "gates", "run", "file", "files", "range", "index"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Something that is valid and that this version cannot carry out. `step_id` is empty for the recipe as a whole."""

    step_id: str
    feature: str
    line: int
    column: int = 1


def check_steps(graph: Graph, recipe: dict[str, Json], reading: Reading) -> None:
    """Names of map variables, references of gates, outputs of groups, the number of steps."""
    for item in graph.items.values():
        _check_map_name(item, reading)
        check_gate(item, graph, reading)
        if item.is_group or item.kind in EFFECTS:
            what = "a group" if item.is_group else "an effect"
            for name, spec in (item.value.get("outputs") or {}).items():
                if "value" not in spec:
                    at = (*item.path, "outputs", name)
                    reading.report(reading.value_place(at), at, f"an output of {what} is an expression",
                                   "like ${{ steps.unit.outputs.percent }}")  # fmt: skip
    limit = (recipe.get("limits") or {}).get("max_steps", 500)
    if len(graph.items) > limit:
        reading.report(
            reading.key_place(("steps",)), ("steps",), f"{len(graph.items)} steps; limits.max_steps is {limit}"
        )
    check_every_retry_from(recipe.get("on_reject"), ("on_reject",), graph, reading)


def _check_map_name(item: Item, reading: Reading) -> None:
    variable = (item.value.get("map") or {}).get("as")
    if variable in RESERVED:
        at = (*item.path, "map", "as")
        reading.report(reading.value_place(at), at, f"'{variable}' is a name of the language", "choose another")


def check_templates(recipe: dict[str, Json], graph: Graph, known: Collection[str], reading: Reading) -> None:
    """Template names that nobody knows; and networks wider than a template's, when `known` maps each to its widest."""
    places: list[tuple[Json, Path]] = [
        (recipe.get("template"), ("template",)),
        ((recipe.get("defaults") or {}).get("template"), ("defaults", "template")),
    ]
    places += [(item.value.get("template"), (*item.path, "template")) for item in graph.items.values()]
    for name, path in places:
        if name is not None and name not in known:
            reading.unknown(reading.value_place(path), path, "unknown template", name, tuple(sorted(known)))
    if isinstance(known, Mapping):
        _check_networks(recipe, graph, known, reading)


def _check_networks(recipe: dict[str, Json], graph: Graph, widest: Mapping[str, str], reading: Reading) -> None:
    """The sandbox refuses them, too: the template may have another word by then."""
    defaults = {"template": recipe.get("template", "python"), **(recipe.get("defaults") or {})}
    told: set[Path] = set()
    for item in graph.items.values():
        value = lower.with_defaults(item, defaults)
        asked, template = value.get("network", "none"), value.get("template")
        asked = asked if isinstance(asked, str) else "hosts"
        if asked not in NETWORKS[1:] or not isinstance(template, str) or template not in widest:
            continue
        path = (*item.path, "network") if "network" in item.value else ("defaults", "network")
        allowed = widest[template]
        if NETWORKS.index(asked) > NETWORKS.index(allowed) and path not in told:
            told.add(path)
            what = "a list of hosts" if asked == "hosts" else f"the network {asked}"
            reading.report(
                reading.value_place(path), path, f"the template {template} allows the network {allowed}, not {what}",
                "a recipe may tighten its template, never loosen it: use another template, or a tighter network",
            )  # fmt: skip


BLOCKED = "POLICY_BLOCKED"
"""The code of a warning about the command policy: a recipe that breaks it is valid, and will wait for a person."""


def check_policy(recipe: dict[str, Json], graph: Graph, reading: Reading) -> None:
    """Commands without expressions that the policy would not let through, and working folders outside the workspace."""
    policy = lower.commands(recipe.get("commands") or {})
    for argv, path, place in reading.literals:
        verdict = judge(argv, policy)
        if verdict.decision != "allow":
            does = "will be blocked" if verdict.decision == "block" else "is let through with a remark"
            reading.report(
                place, path, f"this command {does}: {verdict.message}", verdict.hint, severity="warning", code=BLOCKED
            )
    for item in graph.items.values():
        _check_script(item, policy, reading)
        workdir = item.value.get("workdir")
        if isinstance(workdir, str):
            verdict = judge_workdir(workdir)
            if verdict.decision != "allow":
                at = (*item.path, "workdir")
                place = reading.value_place(at)
                reading.report(place, at, verdict.message, verdict.hint, severity="warning", code=BLOCKED)


def _check_script(item: Item, policy: CommandPolicy, reading: Reading) -> None:
    script = item.value.get("body")
    if item.kind != "shell" or not isinstance(script, str):
        return
    verdict = judge(("/bin/sh", "-c", script), policy)
    if verdict.decision == "block":
        path = (*item.path, "shell")
        hint = "allow it by `commands: {shell: allow}`, or write the commands under `run`"
        message = f"this script will be blocked: {verdict.message}"
        reading.report(reading.key_place(path), path, message, hint, severity="warning", code=BLOCKED)


def check_used_recipes(graph: Graph, resolve: ResolveRecipe | None, reading: Reading) -> None:
    """Recipes named by `uses` exist, and take the inputs in `with`. Those that an expression names are checked when run."""
    for item in graph.items.values():
        name = item.value.get("body")
        if item.kind != "uses" or not isinstance(name, str) or resolve is None:
            continue
        specs = resolve(name)
        path = (*item.path, "uses")
        if specs is None:
            reading.report(
                reading.value_place(path), path, f"there is no recipe '{name[:120]}'", "`recipes list` shows all"
            )
            continue
        given = item.value.get("with") or {}
        if isinstance(given, dict) and EXPR not in given and TEXT not in given:
            _check_with(item, specs, given, reading)


def _check_with(item: Item, specs: Sequence[InputSpec], given: dict[str, Json], reading: Reading) -> None:
    static = {name: value for name, value in given.items() if not _has_marker(value)}
    open_names = set(given) - set(static)
    loose = [InputSpec(name=spec.name, type=spec.type) if spec.name in open_names else spec for spec in specs]
    _, problems = bind_inputs(loose, static, textual=False)
    known = {spec.name for spec in specs}
    for problem in problems:
        at = (*item.path, "with", problem.name)
        reading.report(reading.key_place(at), at, problem.message, problem.hint)
    for name in sorted(open_names - known):
        at = (*item.path, "with", name)
        reading.unknown(reading.key_place(at), at, "unknown input", name, tuple(sorted(known)))


def _has_marker(value: Json) -> bool:
    if isinstance(value, dict):
        return any(key in {EXPR, TEXT} or _has_marker(item) for key, item in value.items())
    return isinstance(value, list) and any(map(_has_marker, value))


def unavailable(recipe: dict[str, Json], graph: Graph, reading: Reading) -> tuple[Unavailable, ...]:
    """All that is valid and cannot be run by this version; each is also a warning."""
    found: list[Unavailable] = []

    def note(step_id: str, feature: str, path: Path) -> None:
        place = reading.key_place(path)
        found.append(Unavailable(step_id=step_id, feature=feature, line=place.line, column=place.column))
        reading.report(place, path, f"{feature} is not available in this version", severity="warning")

    if recipe.get("on_failure", "keep") != "keep":
        note("", "`on_failure: rollback`", ("on_failure",))
    for item in graph.items.values():
        if item.kind is not None and item.kind not in AVAILABLE_KINDS:
            note(item.step_id, f"`{item.kind}`", (*item.path, item.kind))
        for feature, path in open_features(item):
            note(item.step_id, feature, path)
        for key in ("map", "rollback", "fix"):
            if key in item.value:
                note(item.step_id, f"`{key}`", (*item.path, key))
        if item.kind in {"steps", "uses"} and item.value.get("isolation") == "per_step":
            note(item.step_id, "`isolation: per_step` of a group", (*item.path, "isolation"))
        if item.kind in {"steps", "uses"} and "timeout" in item.value:
            note(item.step_id, "`timeout` of a group", (*item.path, "timeout"))
    return tuple(found)
