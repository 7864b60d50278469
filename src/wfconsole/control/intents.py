"""Intents: a goal with inputs and constraints, kept by the hash of its canonical form, and bound to a recipe when it is run.

Refuses to invent a recipe: an intent that names none needs one from the caller. The same payload has the same id for
ever, whatever the order of its keys.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from wfconsole.control.door import InvalidRequestError, Problem, RunRequest
from wfconsole.domain.codec import canonical
from wfconsole.domain.plan import Json, Plan
from wfconsole.domain.records import Actor
from wfconsole.domain.values import sources
from wfconsole.ports import Clock, Store

_KEYS: dict[str, type | tuple[type, ...]] = {
    "goal": str,
    "inputs": dict,
    "constraints": dict,
    "project_path": str,
    "recipe": str,
}
_CONSTRAINTS: dict[str, type | tuple[type, ...]] = {"budgetUsd": (int, float)}


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIntent:
    """`intent_id` is the sha256 of the canonical payload in hex."""

    intent_id: str
    payload: Mapping[str, Json]


def parse_intent(data: bytes) -> dict[str, Json]:
    """A valid payload, or InvalidRequestError with everything that is wrong."""
    try:
        payload = json.loads(data, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError("INPUT_INVALID", f"the intent is not JSON: {error}", ()) from error
    problems = list(_problems(payload))
    if problems:
        code = "INPUT_MISSING" if all(p.code == "INPUT_MISSING" for p in problems) else "INPUT_INVALID"
        raise InvalidRequestError(code, f"the intent has {len(problems)} problem(s)", problems)
    return dict(payload)


def _finite(text: str) -> float:
    number = float(text)
    return number if number - number == 0 else _refuse(text)


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _problems(payload: Any) -> list[Problem]:
    if not isinstance(payload, dict):
        return [Problem(code="INPUT_INVALID", message="an intent is a JSON object", where="intent")]
    found = [*_unfit(payload, _KEYS, "")]
    if not str(payload.get("goal") or "").strip():
        found.append(Problem(code="INPUT_MISSING", message="an intent has a goal", where="goal"))
    constraints = payload.get("constraints")
    if isinstance(constraints, dict):
        found += _unfit(constraints, _CONSTRAINTS, "constraints.")
        budget = constraints.get("budgetUsd")
        if isinstance(budget, int | float) and budget < 0:
            found.append(
                Problem(code="INPUT_INVALID", message="a budget is not negative", where="constraints.budgetUsd")
            )
    return found


def _unfit(given: Mapping[str, Json], known: Mapping[str, type | tuple[type, ...]], prefix: str) -> list[Problem]:
    found = []
    for key, value in given.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"keys: {', '.join(known)}"
            found.append(
                Problem(code="INPUT_INVALID", message=f"unknown key {prefix}{key}", hint=hint, where=prefix + key)
            )
        elif value is not None and (not isinstance(value, known[key]) or isinstance(value, bool)):
            found.append(Problem(code="INPUT_INVALID", message=f"{prefix}{key} has the wrong type", where=prefix + key))
    return found


async def submit(store: Store, clock: Clock, data: bytes) -> StoredIntent:
    """Validate and keep; submitting the same payload again gives the same id."""
    payload = parse_intent(data)
    text = canonical(payload)
    intent_id = hashlib.sha256(text).hexdigest()
    await store.save_intent(intent_id, text, clock.now_ms())
    return StoredIntent(intent_id=intent_id, payload=payload)


async def load(store: Store, ref: str) -> StoredIntent:
    """Raises NOT_FOUND."""
    intent_id, text = await store.load_intent(ref)
    return StoredIntent(intent_id=intent_id, payload=json.loads(text))


def recipe_of(intent: StoredIntent, recipe: str | None) -> str:
    """The recipe to run the intent with. Raises INPUT_MISSING when nobody names one."""
    chosen = recipe or intent.payload.get("recipe")
    if not chosen:
        problem = Problem(
            code="INPUT_MISSING",
            message="the intent names no recipe, and no agent is set up to make one",
            where="recipe",
        )
        raise InvalidRequestError(
            "INPUT_MISSING", problem.message, [problem], f"wfconsole intent run {intent.intent_id[:12]} --recipe NAME"
        )
    return str(chosen)


def request_of(intent: StoredIntent, recipe: str, plan: Plan, actor: Actor) -> RunRequest:
    """The intent's inputs bound to the recipe's by name; goal and project_path where the recipe asks for them."""
    payload = intent.payload
    values = dict(payload.get("inputs") or {})
    names = {spec.name for spec in plan.inputs}
    if "goal" in names:
        values.setdefault("goal", payload["goal"])
    project = payload.get("project_path")
    target = workspace_input(plan)
    if project and target:
        values.setdefault(target, project)
    return RunRequest(
        recipe=recipe,
        actor=actor,
        values=values,
        trigger="intent",
        intent_hash=intent.intent_id,
        cost_usd=(payload.get("constraints") or {}).get("budgetUsd"),
    )


def workspace_input(plan: Plan) -> str | None:
    """The name of the input that says what the workspace is copied from; None when the recipe has no such input."""
    if plan.workspace is None:
        return None
    text = " ".join(sources(plan.workspace.source))
    return next((spec.name for spec in plan.inputs if re.search(rf"\b{re.escape(spec.name)}\b", text)), None)
