"""Intents: the same payload is the same intent; what a recipe asks for is bound from it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.control.rig import Desk
from tests.engine.rig import ACTOR, plan, play, step
from tests.fakes.store import MemoryStore
from wfconsole.control import intents
from wfconsole.control.door import InvalidRequestError
from wfconsole.domain.plan import InputSpec, Plan, WorkspaceSpec
from wfconsole.ports import WfconsoleError


def submit(store: MemoryStore, tmp_path: Path, text: str) -> intents.StoredIntent:
    return play(lambda: intents.submit(store, Desk(tmp_path).rig.clock, text.encode()))


def test_the_same_payload_has_the_same_id_whatever_the_order_of_its_keys(tmp_path: Path) -> None:
    store = MemoryStore()
    one = submit(store, tmp_path, '{"goal": "ship", "inputs": {"a": 1, "b": 2}}')
    two = submit(store, tmp_path, '{ "inputs": {"b": 2, "a": 1}, "goal": "ship"}')
    other = submit(store, tmp_path, '{"goal": "ship", "inputs": {"a": 1, "b": 3}}')
    assert one == two
    assert other.intent_id != one.intent_id
    assert play(lambda: intents.load(store, one.intent_id[:8])) == one
    with pytest.raises(WfconsoleError, match="names 0"):
        play(lambda: intents.load(store, "none"))


@pytest.mark.parametrize(("one", "two"), [("2", "2.0"), ("2", "2e0"), ("0", "-0.0"), ("1.5", "15e-1")])
def test_the_same_number_is_the_same_payload_however_it_is_written(tmp_path: Path, one: str, two: str) -> None:
    text = '{"goal": "g", "constraints": {"budgetUsd": %s}}'
    assert submit(MemoryStore(), tmp_path, text % one) == submit(MemoryStore(), tmp_path, text % two)


def test_the_id_is_the_sha256_of_the_canonical_payload(tmp_path: Path) -> None:
    store = MemoryStore()
    kept = submit(store, tmp_path, '{ "goal": "gr\\u00f6\u00dfer", "inputs": {"b": [1, 2.50], "a": null} }')
    text = '{"goal":"gr\u00f6\u00dfer","inputs":{"a":null,"b":[1,2.5]}}'.encode()
    assert kept.intent_id == hashlib.sha256(text).hexdigest()
    assert play(lambda: store.load_intent(kept.intent_id)) == (kept.intent_id, text)


def test_a_whole_number_beyond_the_exact_ones_is_kept_as_it_is() -> None:
    huge = 2**60 + 1
    assert intents.parse_intent(b'{"goal": "g", "inputs": {"a": %d}}' % huge)["inputs"] == {"a": huge}
    assert intents.parse_intent(b'{"goal": "g", "inputs": {"a": 1e300}}')["inputs"] == {"a": 1e300}


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("", "INPUT_INVALID", []),
        ("[" * 100_000, "INPUT_INVALID", []),
        ('{"goal": "g", "inputs": {"a": NaN}}', "INPUT_INVALID", []),
        ('{"goal": "g", "inputs": {"a": 1e999}}', "INPUT_INVALID", []),
        ('{"goal": "g", "goal": "h"}', "INPUT_INVALID", []),
        ('{"goal": "g", "inputs": {"a": 1, "b": 2, "a": 1}}', "INPUT_INVALID", []),
        ("[]", "INPUT_INVALID", ["intent"]),
        ("{}", "INPUT_MISSING", ["goal"]),
        ('{"goal": "  "}', "INPUT_MISSING", ["goal"]),
        ('{"goal": 5}', "INPUT_INVALID", ["goal"]),
        ('{"goal": "g", "recipee": "x"}', "INPUT_INVALID", ["recipee"]),
        ('{"goal": "g", "constraints": {"budgetUsd": -1}}', "INPUT_INVALID", ["constraints.budgetUsd"]),
        ('{"goal": "g", "constraints": {"budgetUsd": true}}', "INPUT_INVALID", ["constraints.budgetUsd"]),
        ('{"inputs": [], "constraints": {"x": 1}}', "INPUT_INVALID", ["inputs", "goal", "constraints.x"]),
    ],
)
def test_an_intent_that_does_not_hold_is_told_in_full(text: str, code: str, where: list[str]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        intents.parse_intent(text.encode())
    assert caught.value.code == code
    assert [problem.where for problem in caught.value.problems] == where
    assert caught.value.hint or all(
        problem.hint or problem.code == "INPUT_MISSING" for problem in caught.value.problems
    )


def stored(**payload: object) -> intents.StoredIntent:
    return intents.StoredIntent(intent_id="ab" * 32, payload=json.loads(json.dumps({"goal": "ship", **payload})))


def asks(*names: str) -> Plan:
    return plan(
        step("a"),
        inputs=tuple(InputSpec(name=name, type="string") for name in names),
        workspace=WorkspaceSpec(source={"$expr": "inputs.repo"}),
    )


def test_goal_project_and_budget_reach_the_request() -> None:
    intent = stored(inputs={"floor": 3}, project_path="/src/app", constraints={"budgetUsd": 2})
    request = intents.request_of(intent, "made", asks("goal", "floor", "repo"), ACTOR)
    assert request.values == {"goal": "ship", "floor": 3, "repo": "/src/app"}
    assert (request.cost_usd, request.trigger, request.intent_hash) == (2, "intent", "ab" * 32)


def test_what_the_intent_gives_itself_is_not_overridden_and_what_no_input_asks_for_is_left_out() -> None:
    intent = stored(inputs={"repo": "/mine"}, project_path="/src/app")
    assert intents.request_of(intent, "made", asks("repo"), ACTOR).values == {"repo": "/mine"}
    assert intents.workspace_input(plan(step("a"))) is None


@pytest.mark.parametrize("workspace", [None, WorkspaceSpec(source="."), WorkspaceSpec(source={"$expr": "state.at"})])
def test_exec_block_19_a_project_that_the_recipe_would_not_work_on_is_refused(workspace: WorkspaceSpec | None) -> None:
    made = plan(step("a"), inputs=(InputSpec(name="goal", type="string"),), workspace=workspace)
    with pytest.raises(InvalidRequestError) as caught:
        intents.request_of(stored(project_path="/src/app"), "made", made, ACTOR)
    (problem,) = caught.value.problems
    assert (problem.code, problem.where) == ("INPUT_INVALID", "project_path")
    assert "/src/app" in problem.message
    assert intents.request_of(stored(), "made", made, ACTOR).values == {"goal": "ship"}


def test_a_recipe_is_named_by_the_caller_or_the_intent_or_asked_for() -> None:
    assert intents.recipe_of(stored(recipe="gate"), None) == "gate"
    assert intents.recipe_of(stored(recipe="gate"), "other") == "other"
    with pytest.raises(InvalidRequestError) as caught:
        intents.recipe_of(stored(), None)
    assert caught.value.code == "INPUT_MISSING"
