"""The run loop on fakes: what the seeds ask of stages, commands and completion."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain.events import StepFailed, StepSucceeded
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.plan import Limits, Need, RetryPolicy
from wfconsole.ports import WfconsoleError


def test_exec_block_01_one_stage_succeeds_and_its_bundle_is_sealed(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    state = play(lambda: rig.run(plan(step("a"))))
    assert state.status == "succeeded"
    assert rig.sealed == ["run-1"]
    assert rig.sandbox.containers == {}


def test_exec_block_02_a_failing_command_halts_the_stage_and_skips_what_needs_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(exits=(0, 3))})
    made = plan(step("a", commands=[["one"], ["two"]]), step("b", needs=["a"]))
    state = play(lambda: rig.run(made))
    assert (state.status, state.step("a").status, state.step("b").status) == ("failed", "failed", "skipped")
    cause = state.step("a").cause
    assert cause is not None
    assert cause.code == "STEP_FAILED"
    assert ("prepare", "b", 1) not in rig.sandbox.calls


def test_exec_block_03_without_halting_every_command_is_recorded(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(exits=(2, 0))})
    state = play(lambda: rig.run(plan(step("a", commands=[["one"], ["two"]], halt_on_error=False))))
    assert state.status == "failed"
    events = [record.event for record in play(rig.records)]
    failed = next(event for event in events if isinstance(event, StepFailed))
    assert [command.exit_code for command in failed.commands] == [2, 0]


def test_exec_block_04_the_second_stage_starts_after_the_first(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    state = play(lambda: rig.run(plan(step("a"), step("b", needs=["a"]))))
    assert state.status == "succeeded"
    calls = rig.sandbox.calls
    assert calls.index(("remove", "a", 1)) < calls.index(("prepare", "b", 1))


def test_exec_block_05_a_failed_stage_skips_the_next(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(exits=(1,))})
    state = play(lambda: rig.run(plan(step("a"), step("b", needs=["a"]), step("c", needs=["b"]))))
    assert state.status == "failed"
    assert [state.step(name).status for name in "abc"] == ["failed", "skipped", "skipped"]


def test_exec_block_07_a_completion_reported_twice_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> tuple[int, int, str]:
        hold = asyncio.Event()
        rig.sandbox.scripts["b"] = Script(hold=hold)
        run_id = await rig.create(plan(step("a"), step("b", needs=["a"])))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("b")
        before = len(await rig.records())
        again = AttemptEnded(fact_id="again", at=rig.clock.now, step_id="a", attempt=1, outcome="failed")
        ruling = await rig.deliver(run_id, again)
        after = len(await rig.records())
        assert ruling.records == ()
        hold.set()
        return before, after, (await driving).status

    before, after, status = play(scenario)
    assert (before, status) == (after, "succeeded")


def test_exec_block_16_independent_stages_run_at_the_same_time(tmp_path: Path) -> None:
    rig = Rig(tmp_path)

    async def scenario() -> str:
        hold = asyncio.Event()
        rig.sandbox.scripts.update(a=Script(hold=hold), b=Script(hold=hold))
        driving = asyncio.create_task(rig.run(plan(step("a"), step("b"))))
        await rig.sandbox.begun("a")
        await rig.sandbox.begun("b")
        hold.set()
        return (await driving).status

    assert play(scenario) == "succeeded"
    assert rig.sandbox.peak == 2


def test_the_cap_on_concurrency_is_never_exceeded(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    made = plan(*(step(f"s{n}") for n in range(9)), limits=Limits(max_concurrency=3))
    assert play(lambda: rig.run(made)).status == "succeeded"
    assert rig.sandbox.peak <= 3


def test_an_errored_attempt_is_tried_again_after_its_back_off(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {("a", 1): Script(refuses=WfconsoleError("SANDBOX_UNAVAILABLE", "away"))})

    async def scenario() -> list[str]:
        waits = asyncio.Event()

        def move(point: str, _subject: str) -> None:
            if point == "committed":
                rig.clock.now += 60_000
                waits.set()

        rig.signals.arm(move)
        state = await rig.run(plan(step("a", retry=RetryPolicy(attempts=2, backoff_ms=1000))))
        assert state.step("a").attempt == 2
        return await rig.types()

    types = play(scenario)
    assert types.index("step_backing_off") < types.index("step_succeeded")
    assert types.count("step_started") == 2


def test_an_absent_engine_fails_the_run_with_its_code_and_runs_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(refuses=WfconsoleError("SANDBOX_UNAVAILABLE", "no engine", "start it"))})
    state = play(lambda: rig.run(plan(step("a"))))
    assert state.status == "failed"
    cause = state.step("a").cause
    assert cause is not None
    assert (cause.code, cause.hint) == ("SANDBOX_UNAVAILABLE", "start it")
    assert [verb for verb, _, _ in rig.sandbox.calls] == ["prepare"]


def test_outputs_of_a_step_reach_the_next_one(tmp_path: Path) -> None:
    def write(spec: object) -> None:
        (spec.out_dir / "output.json").write_text('{"percent": 81.5}')  # type: ignore[attr-defined]

    from wfconsole.domain.plan import OutputSpec

    rig = Rig(tmp_path, {"a": Script(effect=write)})
    made = plan(
        step("a", outputs=(OutputSpec(name="percent", type="number"),)),
        step("b", commands=[["use", {"$expr": "steps['a']['outputs']['percent']"}]], needs=["a"]),
    )
    assert play(lambda: rig.run(made)).status == "succeeded"
    events = [record.event for record in play(rig.records)]
    last = [event for event in events if isinstance(event, StepSucceeded)][-1]
    assert last.commands[0].argv == ("use", "81.5")


@pytest.mark.parametrize("text", ['{"other": 1}', "no json", '{"percent": "high"}', None])
def test_a_missing_or_malformed_output_fails_the_step(tmp_path: Path, text: str | None) -> None:
    def write(spec: object) -> None:
        if text is not None:
            (spec.out_dir / "output.json").write_text(text)  # type: ignore[attr-defined]

    from wfconsole.domain.plan import OutputSpec

    rig = Rig(tmp_path, {"a": Script(effect=write)})
    state = play(lambda: rig.run(plan(step("a", outputs=(OutputSpec(name="percent", type="number"),)))))
    cause = state.step("a").cause
    assert cause is not None
    assert cause.code == "OUTPUT_INVALID"
    assert "percent" in cause.message or "WFCONSOLE_OUTPUT" in cause.message


def test_finally_steps_run_after_a_failure(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(exits=(1,))})
    made = plan(step("a"), step("clean", phase="finally"))
    state = play(lambda: rig.run(made))
    assert (state.status, state.step("clean").status) == ("failed", "succeeded")


def test_a_need_on_failure_runs_only_then(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"a": Script(exits=(1,))})
    from dataclasses import replace

    mend = replace(step("mend"), needs=(Need(step="a", statuses=("failed",)),))
    state = play(lambda: rig.run(plan(step("a"), mend)))
    assert state.step("mend").status == "succeeded"
