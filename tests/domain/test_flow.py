"""How one thing leads to the next: needs, conditions, groups, allowed failures, `finally`."""

from __future__ import annotations

import pytest

from tests.domain.building import BLOCKED, checks, expr, group, limited, plan, run_body, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.plan import OtherBody, OutputSpec, SetBody, StepPlan


def test_steps_without_needs_start_at_once_and_in_order() -> None:
    world = World(plan(step("a"), step("b"), step("c", needs="a")))
    assert world.started() == ["a#1", "b#1"]
    world.end("a")
    assert world.started() == ["a#1", "b#1", "c#1"]


def test_the_end_of_one_step_and_the_start_of_the_next_are_one_ruling() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    ruling = world.end("a")
    kinds = [type(r.event) for r in ruling.records]
    assert kinds == [ev.ArtifactRecorded, ev.StepSucceeded, ev.StepStarted]
    assert {r.correlation_id for r in ruling.records} == {world.last.fact_id}


@pytest.mark.parametrize(
    ("how", "statuses", "expected"),
    [
        ("succeeded", "succeeded", "succeeded"),
        ("failed", "succeeded", "skipped"),
        ("failed", "failed", "succeeded"),
        ("succeeded", "failed", "skipped"),
        ("failed", "done", "succeeded"),
        ("succeeded", "done", "succeeded"),
        ("skipped", "succeeded", "skipped"),
        ("skipped", "skipped", "succeeded"),
        ("skipped", "succeeded skipped", "succeeded"),
        ("skipped", "failed", "skipped"),
        ("skipped", "done", "succeeded"),
        ("upstream", "skipped", "skipped"),
        ("upstream", "done", "succeeded"),
        ("allowed", "succeeded", "succeeded"),
        ("allowed", "failed", "succeeded"),
        ("allowed", "skipped", "skipped"),
    ],
)
def test_a_need_is_met_by_the_ends_that_it_names(how: str, statuses: str, expected: str) -> None:
    root = step("root")
    up = {
        "skipped": step("a", when="False"),
        "upstream": step("a", needs={"root": "failed"}),
        "allowed": step("a", allow_failure=True),
    }.get(how, step("a"))
    world = World(plan(root, up, step("b", needs={"a": statuses})))
    fails = {"a": "failed"} if how in {"failed", "allowed"} else {}
    world.play(**fails)
    assert world.status("b") == expected
    assert world.status() == ("failed" if how == "failed" else "succeeded")


def test_a_skip_says_why_and_by_what_kind_of_cause() -> None:
    world = World(plan(step("a", when="1 == 2"), step("b", needs="a"))).play()
    skips = {e.step_id: (e.cause, e.reason) for e in world.events(ev.StepSkipped)}
    assert skips == {
        "a": ("when", "when: 1 == 2"),
        "b": ("upstream", "needs a to be succeeded, and it is skipped"),
    }


def test_the_need_is_looked_at_before_the_condition() -> None:
    world = World(plan(step("a"), step("b", needs="a", when="nonsense"))).play(a="failed")
    assert world.status("b") == "skipped"


def test_a_need_on_a_group_that_a_when_skipped_counts_as_skipped() -> None:
    parts = [group("g", "x", "h", when="False"), step("g/x"), group("g/h", "y"), step("g/h/y")]
    world = World(plan(*parts, step("b", needs={"g": "skipped"}))).play()
    assert world.statuses() == dict.fromkeys(["g", "g/x", "g/h", "g/h/y"], "skipped") | {"b": "succeeded"}
    assert [e.cause for e in world.events(ev.StepSkipped)] == ["when", "group", "group", "group"]


def test_a_need_on_a_group_that_a_failure_skipped_is_not_met_by_skipped() -> None:
    parts = [step("a"), group("g", "x", needs="a"), step("g/x"), step("b", needs={"g": "skipped"})]
    world = World(plan(*parts)).play(a="failed")
    assert world.status("g", "g/x", "b") == ["skipped"] * 3
    assert world.started() == ["a#1"]


def test_a_group_begins_with_its_first_member_and_ends_with_its_last() -> None:
    parts = [group("g", "x", "y"), step("g/x"), step("g/y", needs="g/x"), step("z", needs="g")]
    world = World(plan(*parts))
    assert world.status("g", "g/x", "g/y", "z") == ["running", "running", "pending", "pending"]
    world.end("g/x")
    assert world.status("g", "z") == ["running", "pending"]
    world.end("g/y")
    assert world.status("g", "z") == ["succeeded", "running"]


def test_nested_groups_end_from_the_inside_out_in_one_ruling() -> None:
    parts = [group("g", "h"), group("g/h", "i"), group("g/h/i", "x"), step("g/h/i/x")]
    world = World(plan(*parts)).play()
    ends = [e.step_id for e in world.events(ev.StepSucceeded)]
    assert ends == ["g/h/i/x", "g/h/i", "g/h", "g"]
    assert world.status() == "succeeded"


def test_a_group_fails_as_its_first_failing_member_did() -> None:
    parts = [group("g", "x", "y"), step("g/x"), step("g/y"), step("z", needs="g")]
    world = World(plan(*parts)).play(**{"g/y": "failed"})
    (failed,) = [e for e in world.events(ev.StepFailed) if e.step_id == "g"]
    assert failed.cause.message == "g/y failed"
    assert world.status("g/x", "z") == ["succeeded", "skipped"]
    assert world.status() == "failed"


def test_a_member_that_may_fail_does_not_fail_its_group() -> None:
    parts = [group("g", "x"), step("g/x", allow_failure=True), step("z", needs="g")]
    world = World(plan(*parts)).play(**{"g/x": "failed"})
    assert world.status("g/x", "g", "z") == ["failed", "succeeded", "succeeded"]
    assert world.status() == "succeeded"


def test_a_group_that_may_fail_harms_nobody() -> None:
    parts = [group("g", "x", allow_failure=True), step("g/x"), step("z", needs="g")]
    world = World(plan(*parts)).play(**{"g/x": "failed"})
    assert world.status("g", "z") == ["failed", "succeeded"]
    assert world.status() == "succeeded"


def test_a_group_of_skipped_members_succeeds() -> None:
    world = World(plan(group("g", "x"), step("g/x", when="False"))).play()
    assert world.status("g", "g/x") == ["succeeded", "skipped"]


def test_a_group_without_members_ends_at_once() -> None:
    world = World(plan(group("g"), step("a", needs="g"))).play()
    assert world.status("g", "a") == ["succeeded", "succeeded"]


def test_the_outputs_of_a_group_read_its_members_by_short_name() -> None:
    out = OutputSpec(name="got", source="expression", value=expr("steps['x']['outputs']['v']"))
    world = World(plan(group("g", "x", outputs=(out,)), step("g/x", SetBody(values={"v": 7})))).play()
    assert world.state.step("g").outputs == {"got": 7}


def test_an_output_of_a_group_that_cannot_be_evaluated_fails_it() -> None:
    out = OutputSpec(name="got", source="expression", value=expr("steps['x']['nonsense']"))
    world = World(plan(group("g", "x", outputs=(out,)), step("g/x"))).play()
    assert world.status("g") == "failed"
    assert world.state.step("g").outputs == {"got": None}
    cause = world.state.step("g").cause
    assert cause is not None
    assert cause.code == "OUTPUT_INVALID"


@pytest.mark.parametrize("members_first", [False, True])
def test_a_group_whose_condition_is_broken_fails_and_starts_none_of_its_members(members_first: bool) -> None:
    parts = [group("g", "x", "h", when="nonsense"), step("g/x"), group("g/h", "y"), step("g/h/y")]
    world = World(plan(*(reversed(parts) if members_first else parts)))
    assert world.statuses() == {"g": "failed", "g/x": "skipped", "g/h": "skipped", "g/h/y": "skipped"}
    assert world.started() == []
    assert world.status() == "failed"


def test_a_broken_condition_fails_the_step_as_the_recipes_fault() -> None:
    world = World(plan(step("a", when="nonsense")))
    (failed,) = world.events(ev.StepFailed)
    assert (failed.cause.code, failed.attempt) == ("RECIPE_INVALID", 1)
    assert world.started() == []
    assert world.status() == "failed"


@pytest.mark.parametrize(
    ("argument", "message"), [("True", "true"), ("None", "null"), ("[1]", "[1]"), ("nonsense", "nonsense")]
)
def test_an_argument_that_is_neither_text_nor_number_is_refused(argument: str, message: str) -> None:
    world = World(plan(step("a", run_body("echo", expr(argument)))))
    (failed,) = world.events(ev.StepFailed)
    assert failed.cause.code == "RECIPE_INVALID"
    assert message in failed.cause.message
    assert "$expr" not in failed.cause.message
    assert world.started() == []


def test_values_go_into_an_argv_after_splitting() -> None:
    world = World(plan(step("a", run_body("echo", expr("'x y; rm z'"), {"$text": ["n=", expr("3")]}))))
    (began,) = world.events(ev.StepStarted)
    assert began.resolved["commands"] == [["echo", "x y; rm z", "n=3"]]


def test_set_and_check_are_done_without_an_attempt() -> None:
    two = checks("steps['a']['outputs']['v'] == 2")
    world = World(plan(step("a", SetBody(values={"v": expr("1 + 1")})), step("b", two, needs="a")))
    assert world.statuses() == {"a": "succeeded", "b": "succeeded"}
    assert world.started() == []
    assert world.status() == "succeeded"


def test_a_check_that_does_not_hold_says_so_in_the_recipes_words() -> None:
    world = World(plan(step("a", checks("1 > 2", {"$text": ["only ", expr("1")]}, "do more"))))
    cause = world.state.step("a").cause
    assert cause is not None
    assert (cause.code, cause.message, cause.hint) == ("CHECK_FAILED", "only 1", "do more")


def test_pure_steps_do_not_wait_for_a_free_place() -> None:
    world = World(limited(step("a"), step("b"), step("c", SetBody(values={})), max_concurrency=1))
    assert world.status("a", "b", "c") == ["running", "pending", "succeeded"]


def test_a_kind_of_a_later_version_fails_and_starts_nothing() -> None:
    other = StepPlan(step_id="a", kind="agent", body=OtherBody(data={}))
    world = World(plan(other))
    assert world.status("a") == "failed"
    assert world.started() == []


def test_finally_starts_when_all_others_have_ended_however() -> None:
    world = World(
        plan(step("a"), step("b", needs="a"), step("f", phase="finally"), step("e", needs="f", phase="finally"))
    )
    assert world.status("f", "e") == ["pending", "pending"]
    world.end("a", "failed")
    assert world.status("b", "f", "e") == ["skipped", "running", "pending"]
    world.play()
    assert world.status("f", "e") == ["succeeded", "succeeded"]
    assert world.status() == "failed"


def test_finally_sees_how_the_run_will_end() -> None:
    told = SetBody(values={"status": expr("run['status']"), "code": expr("run['code']")})
    world = World(plan(step("a"), step("f", told, phase="finally"))).play(a="failed")
    assert world.state.step("f").outputs == {"status": "failed", "code": "STEP_FAILED"}


def test_a_group_in_finally_waits_for_the_main_steps_as_one() -> None:
    parts = [step("a"), group("f", "x", phase="finally"), step("f/x", phase="finally")]
    world = World(plan(*parts))
    assert world.status("f", "f/x") == ["pending", "pending"]
    world.end("a")
    assert world.status("f", "f/x") == ["running", "running"]
    assert world.play().status() == "succeeded"


def test_a_failing_finally_step_fails_the_run() -> None:
    world = World(plan(step("a"), step("f", phase="finally"))).play(f="failed")
    assert world.status() == "failed"


def test_a_recipe_of_finally_steps_alone_runs_them() -> None:
    assert World(plan(step("f", phase="finally"))).play().status("f") == "succeeded"


def test_an_empty_run_succeeds_when_it_is_taken() -> None:
    world = World(plan(), take=False)
    assert world.status() == "pending"
    world.take()
    assert world.status() == "succeeded"


def test_a_blocked_step_waits_for_a_person_while_the_rest_goes_on() -> None:
    world = World(plan(step("a", BLOCKED), step("b"), step("c", needs="a"), step("f", phase="finally")))
    assert world.status("a", "b", "c", "f") == ["needs_human", "running", "pending", "pending"]
    assert world.status() == "running"
    world.end("b")
    assert world.status() == "awaiting_approval"
    (asked,) = world.events(ev.RunAwaitingApproval)
    assert asked.waiting_for == ("a",)


def test_outputs_of_the_run_are_evaluated_however_it_ends() -> None:
    outputs = {"a": expr("steps['a']['status']"), "fixed": 1}
    ended = {}
    for how in ("succeeded", "failed", "cancelled"):
        world = World(plan(step("a"), outputs=outputs))
        if how == "cancelled":
            world.cancel()
            world.end("a", "cancelled")
        else:
            world.play(a="succeeded" if how == "succeeded" else "failed")
        ended[how] = world.events(ev.RunSucceeded, ev.RunFailed, ev.RunCancelled)[0].outputs
    assert ended == {how: {"a": how, "fixed": 1} for how in ended}
    assert len(ended) == 3


def test_an_output_that_cannot_be_evaluated_is_null_and_fails_a_run_that_would_have_succeeded() -> None:
    world = World(plan(step("a"), outputs={"good": expr("run['status']"), "bad": expr("nonsense")})).play()
    (failed,) = world.events(ev.RunFailed)
    assert failed.outputs == {"good": "succeeded", "bad": None}
    assert failed.failure.code == "OUTPUT_INVALID"


def test_an_attempt_knows_its_own_number_and_how_the_one_before_ended() -> None:
    out = OutputSpec(name="n", source="expression", value=expr("attempt['n']"))
    from_set = SetBody(values={"n": expr("attempt['n']"), "previous": expr("attempt['previous']")})
    world = World(plan(step("a", run_body("go", expr("attempt['n']")), outputs=(out,)), step("s", from_set)))
    world.end("a", "abandoned")
    world.end("a")
    commands = [e.resolved["commands"] for e in world.events(ev.StepStarted) if e.step_id == "a"]
    assert commands == [[["go", "1"]], [["go", "2"]]]
    assert world.state.step("a").outputs == {"n": 2}
    assert world.state.step("s").outputs == {"n": 1, "previous": None}


def test_the_previous_attempt_is_in_reach_of_the_next() -> None:
    argv = run_body("go", expr("'first' if attempt['previous'] is None else attempt['previous']['outcome']"))
    world = World(plan(step("a", argv)))
    world.end("a", "abandoned")
    commands = [e.resolved["commands"][0][1] for e in world.events(ev.StepStarted)]
    assert commands == ["first", "abandoned"]


@pytest.mark.parametrize("workdir", ["..", "a/../..", "/etc", "/", "a/../../workspace"])
def test_a_workdir_outside_the_workspace_blocks_the_step(workdir: str) -> None:
    world = World(plan(step("a", workdir=workdir)))
    (blocked,) = world.events(ev.StepBlocked)
    assert (blocked.rule, blocked.cause.code) == ("workdir", "POLICY_BLOCKED")
    assert world.status("a") == "needs_human"


@pytest.mark.parametrize("workdir", [".", "", "a/b", "a/../b", "..a"])
def test_a_workdir_inside_the_workspace_runs(workdir: str) -> None:
    assert World(plan(step("a", workdir=workdir))).started() == ["a#1"]


def test_a_warning_of_the_policy_is_recorded_beside_the_start() -> None:
    world = World(plan(step("a", run_body("rm", "x"))))
    (warned,) = world.events(ev.CommandWarned)
    assert (warned.step_id, warned.attempt, warned.argv) == ("a", 1, ("rm", "x"))
    assert world.started() == ["a#1"]


def test_every_executed_step_leaves_artifacts_or_says_that_it_left_none() -> None:
    parts = [group("g", "x"), step("g/x"), step("s", SetBody(values={})), step("k", when="False")]
    world = World(plan(*parts)).play()
    said = {e.artifact.step_id: e.artifact.kind for e in world.events(ev.ArtifactRecorded)}
    assert said == {"g": "none", "g/x": "none", "s": "none"}
