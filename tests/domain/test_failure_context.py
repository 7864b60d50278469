"""ST-WF-010: the failure context of a run that did not succeed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.building import group, limited, plan, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.failures import CATALOGUE, cause, is_environment
from wfconsole.domain.plan import Plan, RecipeRef
from wfconsole.domain.records import FailureCause


def failure(world: World) -> ev.RunFailure:
    (failed,) = world.events(ev.RunFailed)
    found: ev.RunFailure = failed.failure
    return found


def failed_with(made_of: Plan, step_id: str, why: FailureCause | None, **start: Any) -> World:
    world = World(made_of, **start)
    while step_id not in world.live():
        world.end(world.live()[0])
    attempt = world.state.step(step_id).attempt
    world.send(AttemptEnded, step_id=step_id, attempt=attempt, outcome="failed", cause=why)
    return world.play()


def test_st_wf_010_1_a_failed_run_keeps_its_code_the_last_success_and_a_hint() -> None:
    why = cause("COMMAND_NOT_FOUND", "no program gulp")
    found = failure(failed_with(plan(step("a"), step("b", needs="a"), step("c", needs="b")), "b", why))
    assert (found.code, found.message, found.step_id) == ("COMMAND_NOT_FOUND", "no program gulp", "b")
    assert found.last_successful_step == "a"
    assert found.hint == CATALOGUE["COMMAND_NOT_FOUND"].hint
    assert found.missing_fields == ()
    assert found.retry_allowed
    assert found.retry_command == "wfconsole run demo"


def test_st_wf_010_3_what_cannot_be_assembled_is_named_and_the_typed_reason_stays() -> None:
    found = failure(failed_with(plan(step("a")), "a", FailureCause(code="FROM_A_LATER_VERSION", message="odd")))
    assert (found.code, found.message) == ("FROM_A_LATER_VERSION", "odd")
    assert found.missing_fields == ("hint", "last_successful_step")
    assert (found.hint, found.last_successful_step) == ("", None)


def test_st_wf_010_3_an_outcome_without_a_cause_still_gives_a_typed_reason() -> None:
    found = failure(failed_with(plan(step("a")), "a", None))
    assert found.code == "STEP_FAILED"
    assert found.message
    assert found.missing_fields == ("last_successful_step",)


def test_st_wf_010_3_a_limit_of_the_run_names_no_step() -> None:
    world = World(limited(step("a"), timeout_ms=5))
    world.wake(2_000)
    world.end("a", "cancelled")
    assert failure(world).missing_fields == ("step_id", "last_successful_step")


def test_the_innermost_failing_step_is_named() -> None:
    parts = [
        group("g", "h", "ok"),
        group("g/h", "x", "y"),
        step("g/h/x", allow_failure=True),
        step("g/h/y"),
        step("g/ok"),
    ]
    world = World(plan(*parts)).play(**{"g/h/x": "failed", "g/h/y": "failed"})
    assert failure(world).step_id == "g/h/y"


def test_a_group_whose_own_output_failed_is_named_itself() -> None:
    world = World(plan(group("g", "x", when="nonsense"), step("g/x")))
    assert failure(world).step_id == "g"


def test_of_two_failures_the_first_is_the_runs() -> None:
    world = World(plan(step("a"), step("b")))
    world.end("b", "failed")
    world.end("a", "failed")
    assert failure(world).step_id == "b"


def test_an_allowed_failure_is_not_the_runs() -> None:
    world = World(plan(step("a", allow_failure=True), step("b"))).play(a="failed", b="failed")
    assert failure(world).step_id == "b"


def test_a_recipe_that_allows_no_retry_says_why() -> None:
    rule = {"run": "deny", "step": "deny", "reason": "it moves money", "reuse": "never"}
    found = failure(failed_with(plan(step("a"), manual_retry=rule), "a", None))
    assert (found.retry_allowed, found.retry_command, found.retry_reason) == (False, None, "it moves money")


def test_the_retry_command_repeats_the_inputs_as_a_shell_would_read_them() -> None:
    recipe = RecipeRef(name="demo", version="1", digest="d", origin="path:./my recipe.yaml")
    made_of = Plan(recipe=recipe, text="", steps=(step("a"),))
    inputs = {"b": "it's", "a": [1, "x"], "n": None, "flag": True}
    found = failure(failed_with(made_of, "a", None, inputs=inputs))
    assert found.retry_command == ("wfconsole run './my recipe.yaml' -i 'a=[1, \"x\"]' -i 'b=it'\"'\"'s' -i flag=true")


def test_every_row_of_the_catalogue_can_be_acted_on() -> None:
    assert all(row.meaning and row.hint for row in CATALOGUE.values())


@pytest.mark.parametrize(("code", "environment"), [("ENV_DRIFT", True), ("STEP_FAILED", False), ("NEVER_HEARD", False)])
def test_environment_codes_are_told_apart(code: str, environment: bool) -> None:
    assert is_environment(code) is environment


def test_a_cause_of_an_unknown_code_cannot_be_made_by_mistake() -> None:
    with pytest.raises(KeyError):
        cause("NO_SUCH_CODE", "x")
