"""From what was read to the plan: defaults merged in, every field filled.

Owns the meaning of a missing key. Refuses to know text and places: it is called only for a recipe without errors. The one
decision that would surprise: `defaults` reach a step only with the keys that could stand beside its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from wfconsole.compiler.graph import Graph, Item
from wfconsole.compiler.kinds import KEYS_BESIDE
from wfconsole.domain.plan import (
    Body,
    CheckBody,
    CheckRule,
    CommandPolicy,
    CostSpec,
    GroupBody,
    InputSpec,
    Json,
    Limits,
    OtherBody,
    OutputSpec,
    RetryPolicy,
    RunBody,
    SetBody,
    ShellBody,
    StepKind,
    StepPlan,
    WorkspaceSpec,
)
from wfconsole.domain.values import LITERAL

MANUAL_RETRY = {"run": "allow", "step": "deny", "reuse": "trusted"}


def steps(graph: Graph, recipe: Mapping[str, Json]) -> tuple[StepPlan, ...]:
    """All steps that the plan carries out by itself; what a `map` multiplies stays data in the map's step."""
    defaults = dict(recipe.get("defaults") or {})
    defaults.setdefault("template", recipe.get("template", "python"))
    workspace = recipe.get("workspace") or {}
    defaults.setdefault("isolation", workspace.get("isolation", "shared"))
    return tuple(step(item, graph, defaults) for item in graph.items.values() if not item.mapped)


def step(item: Item, graph: Graph, defaults: Mapping[str, Json]) -> StepPlan:
    """One step with everything filled in."""
    kind = item.kind or "run"
    value = with_defaults(item, defaults)
    mapped = "map" in value
    cost = value.get("cost_usd")
    return StepPlan(
        step_id=item.step_id,
        kind="map" if mapped else cast("StepKind", kind),
        body=OtherBody(data=as_data(value.get("body"))) if mapped else _body(item, graph),
        parent=item.parent,
        phase=item.phase,
        needs=item.needs,
        when=value.get("when"),
        template=value.get("template", "python"),
        halt_on_error=value.get("halt_on_error", True),
        allow_failure=value.get("allow_failure", False),
        timeout_ms=value.get("timeout"),
        retry=_retry(value.get("retry") or {}),
        workdir=value.get("workdir", "."),
        env=dict(value.get("env") or {}),
        stdin=value.get("stdin"),
        secrets=tuple(value.get("secrets") or ()),
        network=value.get("network", "none"),
        isolation=value.get("isolation", "per_step" if mapped else "shared"),
        outputs=tuple(_output(name, spec) for name, spec in (value.get("outputs") or {}).items()),
        reports=dict(value.get("reports") or {}),
        artifacts=tuple(value.get("artifacts") or ()),
        cost_usd=None if cost is None else CostSpec(file=cost["from"], at=cost.get("at")),
        rollback=as_data(value.get("rollback")),
        fix=as_data(value.get("fix")),
        extra=_extra(value, kind),
    )


def with_defaults(item: Item, defaults: Mapping[str, Json]) -> dict[str, Json]:
    """The step's own keys over the recipe's defaults; `env` is merged name by name."""
    beside = KEYS_BESIDE.get(item.kind or "run", frozenset())
    value = {name: default for name, default in defaults.items() if name in beside}
    if "map" in item.value and "isolation" not in item.value:
        value.pop("isolation", None)
    value.update(item.value)
    if "env" in beside and (defaults.get("env") or item.value.get("env")):
        value["env"] = {**(defaults.get("env") or {}), **(item.value.get("env") or {})}
    return value


def _body(item: Item, graph: Graph) -> Body:
    body: Json = item.value.get("body")
    match item.kind:
        case "run":
            return RunBody(commands=tuple(tuple(argv) for argv in body or ()))
        case "shell":
            return ShellBody(script=body)
        case "set":
            return SetBody(values=dict(body))
        case "check":
            return CheckBody(rules=rules(body))
        case "steps":
            return GroupBody(members=tuple(member.step_id for member in graph.members(item.step_id)))
        case _:
            return OtherBody(data=as_data(body))


def rules(found: Json) -> tuple[CheckRule, ...]:
    return tuple(
        CheckRule(that=rule["that"], message=rule.get("message", ""), hint=rule.get("hint", "")) for rule in found or ()
    )


def _output(name: str, spec: Mapping[str, Json]) -> OutputSpec:
    if "value" in spec:
        return OutputSpec(name=name, source="expression", value=spec["value"])
    if "from" not in spec:
        return OutputSpec(name=name, type=spec["type"])
    source = spec["from"]
    if source == "stdout":
        return OutputSpec(name=name, type=spec.get("type", "any"), source="stdout", at=spec.get("at"))
    return OutputSpec(name=name, type=spec.get("type", "any"), source="file", file=source, at=spec.get("at"))


def _retry(value: Mapping[str, Json]) -> RetryPolicy:
    plain = RetryPolicy()
    return RetryPolicy(
        attempts=value.get("attempts", plain.attempts),
        backoff_ms=value.get("backoff", plain.backoff_ms),
        max_backoff_ms=value.get("max_backoff", max(plain.max_backoff_ms, value.get("backoff", 0))),
        jitter=float(value.get("jitter", plain.jitter)),
        outcomes=tuple(value.get("outcomes", plain.outcomes)),
    )


def _extra(value: Mapping[str, Json], kind: str) -> Json:
    extra: dict[str, Json] = {}
    if "map" in value:
        extra["map"] = as_data(value["map"])
        extra["inner_kind"] = kind
    if "with" in value:
        extra["with"] = as_data(value["with"])
    return extra or None


def as_data(value: Json) -> Json:
    """What was read as plain JSON: tuples are lists."""
    if isinstance(value, dict):
        return {key: as_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_data(item) for item in value]
    return value


def input_spec(name: str, value: Mapping[str, Json]) -> InputSpec:
    """One declared input. A default of null counts as none."""
    default = unwrapped(value.get("default"))
    return InputSpec(
        name=name,
        type=value.get("type", "string"),
        required=value.get("required", False),
        has_default=default is not None,
        default=default,
        description=value.get("description", ""),
        pattern=value.get("pattern"),
        choices=tuple(unwrapped(choice) for choice in value.get("choices") or ()),
        minimum=value.get("minimum"),
        maximum=value.get("maximum"),
    )


def unwrapped(value: Json) -> Json:
    """A literal null as null."""
    return None if value == {LITERAL: None} else value


def limits(value: Mapping[str, Json]) -> Limits:
    plain = Limits()
    cost = value.get("cost_usd")
    return Limits(
        max_concurrency=value.get("max_concurrency", plain.max_concurrency),
        max_steps=value.get("max_steps", plain.max_steps),
        timeout_ms=value.get("timeout"),
        sandbox_time_ms=value.get("sandbox_time"),
        cost_usd=None if cost is None else float(cost),
        output_bytes=value.get("output_bytes", plain.output_bytes),
    )


def commands(value: Mapping[str, Json]) -> CommandPolicy:
    return CommandPolicy(
        default=value.get("default", "allow"),
        allow=tuple(value.get("allow") or ()),
        deny=tuple(value.get("deny") or ()),
        shell=value.get("shell", "deny"),
    )


def workspace(value: Mapping[str, Json] | None) -> WorkspaceSpec | None:
    if not value or "source" not in value:
        return None
    return WorkspaceSpec(
        source=value["source"], ref=value.get("ref", "HEAD"), isolation=value.get("isolation", "shared")
    )
