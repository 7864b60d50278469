"""From what was read to the plan: defaults merged in, every field filled.

Owns the meaning of a missing key. Refuses to know text and places: it is called only for a recipe without errors. The one
decision that would surprise: `defaults` reach a step only with the keys that could stand beside its kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from wfconsole.compiler.findings import Path
from wfconsole.compiler.graph import Graph, Item
from wfconsole.compiler.kinds import KEYS_BESIDE
from wfconsole.domain.inputs import bind_inputs
from wfconsole.domain.plan import (
    ApprovalBody,
    ApproverRule,
    Body,
    CheckBody,
    CheckRule,
    CommandPolicy,
    ContextSpec,
    CostSpec,
    EmailBody,
    GroupBody,
    InputSpec,
    Json,
    Limits,
    OtherBody,
    OutputSpec,
    QuestionBody,
    RetryPolicy,
    RunBody,
    SetBody,
    ShellBody,
    StepKind,
    StepPlan,
    WorkspaceSpec,
)
from wfconsole.domain.values import LITERAL, marker, resolve

MANUAL_RETRY = {"run": "allow", "step": "deny", "reuse": "trusted"}


def steps(graph: Graph, recipe: Mapping[str, Json]) -> tuple[StepPlan, ...]:
    """All steps that the plan carries out by itself; what a `map` multiplies stays data in the map's step."""
    defaults = dict(recipe.get("defaults") or {})
    defaults.setdefault("template", recipe.get("template", "python"))
    workspace = recipe.get("workspace") or {}
    defaults.setdefault("isolation", workspace.get("isolation", "shared"))
    on_reject = recipe.get("on_reject", "cancel")
    return tuple(step(item, graph, defaults, on_reject) for item in graph.items.values() if not item.mapped)


def step(item: Item, graph: Graph, defaults: Mapping[str, Json], on_reject: Json = "cancel") -> StepPlan:
    """One step with everything filled in; `on_reject` is the recipe's, for gates that say nothing of their own."""
    kind = item.kind or "run"
    value = with_defaults(item, defaults)
    mapped = "map" in value
    cost = value.get("cost_usd")
    return StepPlan(
        step_id=item.step_id,
        kind="map" if mapped else cast("StepKind", kind),
        body=OtherBody(data=as_data(value.get("body"))) if mapped else _body(item, graph, on_reject),
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


def _body(item: Item, graph: Graph, on_reject: Json) -> Body:
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
        case "approval" if not open_ends(item):
            return _approval(item, graph, body, on_reject)
        case "question" if not open_ends(item):
            return question(body)
        case "email":
            return EmailBody(**as_data(body))
        case _:
            return OtherBody(data=as_data(body))


def _approval(item: Item, graph: Graph, body: Mapping[str, Json], on_reject: Json) -> ApprovalBody:
    plain = ApprovalBody(title="")
    who = body.get("approvers") or {}
    templated = bool(_expressions(who, ()))
    own: Json = body.get("on_reject")
    return ApprovalBody(
        title=body["title"],
        context=_context(item, graph, body.get("context") or {}),
        approvers=plain.approvers if templated else _approvers(who),
        who=as_data({key: value for key, value in who.items() if value != []}) if templated else None,
        timeout_ms=body.get("timeout", plain.timeout_ms),
        on_timeout=body.get("on_timeout", plain.on_timeout),
        on_reject=on_reject if own is None else _found(item, graph, own),
        require_reason=body.get("require_reason", plain.require_reason),
    )


def _approvers(who: Mapping[str, Json]) -> ApproverRule:
    plain = ApproverRule()
    return ApproverRule(
        count=who.get("count", plain.count),
        any_of=tuple(who.get("any_of") or ()),
        not_author=who.get("not_author", plain.not_author),
    )


def _context(item: Item, graph: Graph, body: Mapping[str, Json]) -> ContextSpec:
    return ContextSpec(
        tests=tuple(_id(item, graph, name) for name in body.get("tests") or ()),
        files=tuple(body.get("files") or ()),
        preview=tuple(_id(item, graph, name) for name in body.get("preview") or ()),
        rules=_risk_rules(body.get("risk", "auto")),
    )


def _risk_rules(risk: Json) -> tuple[Json, ...]:
    """A level instead of `auto` is a rule of the recipe's own that always holds; all add to what the score finds."""
    if isinstance(risk, list):
        return tuple(risk)
    return () if risk == "auto" else ({"level": risk, "why": f"the recipe marks this gate as {risk} risk"},)


def _found(item: Item, graph: Graph, on_reject: Json) -> Json:
    return {"retry_from": _id(item, graph, on_reject["retry_from"])} if isinstance(on_reject, dict) else on_reject


def _id(item: Item, graph: Graph, name: str) -> str:
    """The id of the step that the recipe's author calls `name` here."""
    found = graph.find(item, name)
    return name if found is None else found.step_id


def question(body: Mapping[str, Json]) -> QuestionBody:
    """A question without expressions in what has to be known before it opens."""
    plain = QuestionBody(prompt="")
    form = tuple(input_spec(name, value) for name, value in (body.get("inputs") or {}).items())
    default = resolve(body.get("default"), str)  # it holds no expressions, only shielded mappings
    if form and isinstance(default, dict):
        default = bind_inputs(form, default, textual=False)[0]
    return QuestionBody(
        prompt=body["prompt"],
        choices=tuple(body.get("choices") or ()),
        form=form,
        timeout_ms=body.get("timeout", plain.timeout_ms),
        default=default,
    )


def open_ends(item: Item) -> list[Path]:
    """Where a gate holds expressions in what has to be known before it opens: what is shown, between what, by when."""
    body = item.value.get("body") or {}
    keys = ("context",) if item.kind == "approval" else ("choices", "default")
    return [path for key in keys for path in _expressions(body.get(key), (key,))]


def _expressions(value: Json, path: Path) -> list[Path]:
    """Where in `value` expressions stand."""
    if marker(value) is not None:
        return [] if LITERAL in value else [path]
    if isinstance(value, dict):
        return [found for key, inner in value.items() for found in _expressions(inner, (*path, key))]
    if isinstance(value, list):
        return [found for index, inner in enumerate(value) for found in _expressions(inner, (*path, index))]
    return []


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
