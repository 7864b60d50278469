"""Intents: a goal with inputs and constraints, kept by the hash of its canonical form, and bound to a recipe when it is run.

Refuses to invent a recipe: an intent that names none needs one from the caller. The same payload has the same id for
ever, whatever the order of its keys and however its numbers are written (2.0 is 2, as in every canonical JSON). What would
surprise: a `project_path` for which the recipe has no place is refused, since the run would work on something else.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
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
_NAMES: dict[type | tuple[type, ...], str] = {str: "text", dict: "an object", (int, float): "a number"}
_EXACT = 2**53
"""Up to here a float is a whole number of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredIntent:
    """`intent_id` is the sha256 of the canonical payload in hex."""

    intent_id: str
    payload: Mapping[str, Json]


def parse_intent(data: bytes) -> dict[str, Json]:
    """A valid payload, or InvalidRequestError with everything that is wrong."""
    try:
        payload = json.loads(data, parse_constant=_refuse, parse_float=_number, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        hint = "write one JSON object: {goal, inputs, constraints, project_path, recipe}"
        raise InvalidRequestError("INPUT_INVALID", f"the intent is not JSON: {error}", (), hint) from error
    problems = list(_problems(payload))
    if problems:
        code = "INPUT_MISSING" if all(p.code == "INPUT_MISSING" for p in problems) else "INPUT_INVALID"
        raise InvalidRequestError(code, f"the intent has {len(problems)} problem(s)", problems)
    return dict(payload)


def _number(text: str) -> float:
    number = float(text)
    if number - number != 0:
        return _refuse(text)
    return int(number) if number.is_integer() and abs(number) <= _EXACT else number


def _once(pairs: Sequence[tuple[str, Json]]) -> dict[str, Json]:
    """An object whose keys are given once each; of two, nobody can say which one is meant."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise ValueError(f"the key {json.dumps(twice[:80])} is given twice")
    return found


def _refuse(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _problems(payload: Any) -> list[Problem]:
    if not isinstance(payload, dict):
        hint = f"an object with the keys {', '.join(_KEYS)}"
        return [Problem(code="INPUT_INVALID", message="an intent is a JSON object", hint=hint, where="intent")]
    found = [*_unfit(payload, _KEYS, "")]
    if not str(payload.get("goal") or "").strip():
        found.append(Problem(code="INPUT_MISSING", message="an intent has a goal", where="goal"))
    constraints = payload.get("constraints")
    if isinstance(constraints, dict):
        found += _unfit(constraints, _CONSTRAINTS, "constraints.")
        budget = constraints.get("budgetUsd")
        if isinstance(budget, int | float) and budget < 0:
            where, hint = "constraints.budgetUsd", "0 or more, in US dollars"
            found.append(Problem(code="INPUT_INVALID", message="a budget is not negative", hint=hint, where=where))
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
            message, hint = f"{prefix}{key} has the wrong type", f"{_NAMES[known[key]]} is wanted"
            found.append(Problem(code="INPUT_INVALID", message=message, hint=hint, where=prefix + key))
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
    """The intent's inputs bound to the recipe's by name; goal where the recipe asks for it, project_path as its workspace.

    Raises INPUT_INVALID for a project_path that the recipe takes from no input.
    """
    payload = intent.payload
    values = dict(payload.get("inputs") or {})
    names = {spec.name for spec in plan.inputs}
    if "goal" in names:
        values.setdefault("goal", payload["goal"])
    project = payload.get("project_path")
    target = workspace_input(plan)
    if project and target is None:
        problem = Problem(
            code="INPUT_INVALID",
            message=f"{recipe} copies its workspace from none of its inputs, so it cannot run on {project}",
            hint="let an input be the recipe's workspace.source, or leave project_path out",
            where="project_path",
        )
        raise InvalidRequestError("INPUT_INVALID", "the intent does not fit the recipe", [problem])
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
