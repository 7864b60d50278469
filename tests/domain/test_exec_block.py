"""The exec-block scenarios of the seeds, as far as the domain alone decides them; number 7 is in test_time."""

from __future__ import annotations

from tests.domain.building import plan, run_body, step
from tests.domain.watching import WatchedWorld as World
from wfconsole.domain import events as ev
from wfconsole.domain.failures import cause
from wfconsole.domain.plan import CommandPolicy, RetryPolicy, ShellBody, StepPlan
from wfconsole.domain.records import CommandRecord, StreamRef


def command(index: int, exit_code: int) -> CommandRecord:
    log = StreamRef(path=f"steps/a/1/{index}.out", bytes=3)
    return CommandRecord(index=index, argv=("x", str(index)), cwd="/workspace", exit_code=exit_code, stdout=log)


def test_exec_block_1_a_single_step_succeeds_and_so_does_the_run() -> None:
    world = World(plan(step("a"))).play()
    assert world.status("a") == "succeeded"
    assert world.names() == [
        "run_created",
        "run_started",
        "step_started a",
        "artifact_recorded",
        "step_succeeded a",
        "run_succeeded",
    ]


def test_exec_block_2_a_failing_command_fails_the_step_and_skips_what_needs_it() -> None:
    world = World(plan(step("a", halt_on_error=True), step("b", needs="a"), step("c", needs="b")))
    world.end("a", "failed", exit_code=2, commands=(command(0, 0), command(1, 2)))
    assert world.statuses() == {"a": "failed", "b": "skipped", "c": "skipped"}
    assert world.status() == "failed"
    (failed,) = world.events(ev.StepFailed)
    assert (failed.exit_code, len(failed.commands)) == (2, 2)


def test_exec_block_3_without_halt_all_commands_are_kept_and_the_step_fails() -> None:
    world = World(plan(step("a", run_body("x"), halt_on_error=False)))
    commands = (command(0, 1), command(1, 0), command(2, 0))
    world.end("a", "failed", exit_code=1, commands=commands)
    (failed,) = world.events(ev.StepFailed)
    assert failed.commands == commands
    assert world.status() == "failed"


def test_exec_block_4_a_step_starts_after_the_one_it_needs() -> None:
    world = World(plan(step("a"), step("b", needs="a")))
    assert world.started() == ["a#1"]
    world.end("a")
    assert world.started() == ["a#1", "b#1"]
    assert world.play().status() == "succeeded"


def test_exec_block_5_a_failing_step_skips_the_next_and_fails_the_run() -> None:
    world = World(plan(step("a"), step("b", needs="a"))).play(a="failed")
    assert world.status("a", "b") == ["failed", "skipped"]
    assert world.status() == "failed"
    assert world.started() == ["a#1"]


def test_exec_block_6_an_attempt_whose_owner_died_is_run_again() -> None:
    world = World(plan(step("a")))
    world.end("a", "abandoned")
    world.take("another owner")
    assert world.started() == ["a#1", "a#2"]
    assert world.play().status() == "succeeded"


def test_exec_block_9_a_shell_script_that_is_not_allowed_needs_a_person() -> None:
    script = StepPlan(step_id="a", kind="shell", body=ShellBody(script="echo $X"))
    world = World(plan(script))
    assert world.status("a") == "needs_human"
    assert world.status() == "awaiting_approval"
    (asked,) = world.events(ev.ApprovalRequested)
    assert (asked.kind, asked.argv) == ("blocked", ("/bin/sh", "-c", "echo $X"))
    assert asked.context["rule"]
    assert asked.context["message"]
    allowed = World(plan(script, commands=CommandPolicy(shell="allow")))
    assert allowed.started() == ["a#1"]


def test_exec_block_19_a_folder_of_the_workspace_may_be_written_out_whole() -> None:
    assert World(plan(step("a", workdir="/workspace/sub"))).started() == ["a#1"]
    blocked = World(plan(step("a", workdir="/workspace/../etc")))
    assert (blocked.status("a"), blocked.status(), blocked.started()) == ("needs_human", "awaiting_approval", [])


def test_exec_block_19_a_folder_that_turned_out_to_lead_outside_is_not_tried_again() -> None:
    retry = RetryPolicy(attempts=3, backoff_ms=10, jitter=0.0, outcomes=("failed",))
    world = World(plan(step("a", retry=retry)))
    world.end("a", "failed", cause=cause("POLICY_BLOCKED", "a link"))
    assert (world.status("a"), world.status(), world.started()) == ("failed", "failed", ["a#1"])


def test_exec_block_16_steps_that_need_nothing_run_side_by_side() -> None:
    world = World(plan(*(step(name) for name in "abcd")))
    assert world.live() == ["a", "b", "c", "d"]
    world.end("c")
    world.end("a")
    assert world.live() == ["b", "d"]
    assert world.play().status() == "succeeded"
