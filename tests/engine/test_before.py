"""An attempt after a lost one starts from the workspace as it was before the lost one: real folders, a faked sandbox."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain.events import Record, StepStarted, StepSucceeded
from wfconsole.domain.plan import RetryPolicy, StepPlan
from wfconsole.domain.run import RunState
from wfconsole.engine.before import Anew
from wfconsole.ports import SandboxSpec
from wfconsole.workspace.before import GitBefore

Effect = Callable[[SandboxSpec], None]


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    rig = Rig(tmp_path)
    rig.anew = Anew(before=GitBefore(), load=rig.store.load)
    return rig


def workspace(spec: SandboxSpec) -> Path:
    return next(mount.source for mount in spec.mounts if mount.target == "/workspace")


def writes(**texts: str) -> Effect:
    """Write these files; `A__b` is the file b in the folder A."""

    def effect(spec: SandboxSpec) -> None:
        for name, text in texts.items():
            path = workspace(spec) / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)

    return effect


def found(rig: Rig) -> dict[str, str]:
    top = rig.folder("run-1").workspace
    return {str(path.relative_to(top)): path.read_text() for path in top.rglob("*") if path.is_file()}


async def lose(rig: Rig, *steps: StepPlan, at: str, attempt: int = 1) -> RunState:
    """Drive until `at` is under way, let the owner and all containers die, and drive to the end as another owner."""
    run_id = await rig.create(plan(*steps))
    await die(rig, run_id, "owner-1", at, attempt)
    return await rig.new_owner("owner-2").drive(run_id)


async def die(rig: Rig, run_id: str, owner: str, at: str, attempt: int) -> None:
    driving = asyncio.create_task(rig.new_owner(owner).drive(run_id))
    await rig.sandbox.begun(at, attempt)
    driving.cancel()
    await asyncio.gather(driving, return_exceptions=True)
    rig.sandbox.containers.clear()


def held(effect: Effect | None = None) -> Script:
    return Script(hold=asyncio.Event(), effect=effect)


def warnings(rig: Rig) -> list[str]:
    return [w for r in play(rig.records) if isinstance(r.event, StepSucceeded) for w in r.event.warnings]


def test_w2_what_a_lost_attempt_changed_is_gone_before_the_next_one_begins(rig: Rig) -> None:
    def half(spec: SandboxSpec) -> None:
        top = workspace(spec)
        (top / "kept").write_text("spoiled")
        (top / "gone").unlink()
        (top / "deep/inner").unlink()
        (top / "deep").rmdir()
        (top / "deep").write_text("a file now")
        (top / "new").mkdir()
        (top / "new/half").write_text("half")
        (top / "run").chmod(0o755)

    def check(spec: SandboxSpec) -> None:
        top = workspace(spec)
        seen.update(found(rig))
        folders.extend(sorted(str(path.relative_to(top)) for path in top.rglob("*") if path.is_dir()))
        assert not (top / "run").stat().st_mode & 0o111

    def first(spec: SandboxSpec) -> None:
        writes(kept="1", gone="2", deep__inner="3", run="4")(spec)
        (workspace(spec) / "empty").mkdir()

    seen: dict[str, str] = {}
    folders: list[str] = []
    rig.sandbox.scripts.update({"a": Script(effect=first), ("b", 1): held(half), ("b", 2): Script(effect=check)})
    after = play(lambda: lose(rig, step("a"), step("b", needs=["a"]), at="b"))
    assert (after.status, after.step("b").attempt, after.step("a").attempt) == ("succeeded", 2, 1)
    assert seen == {"kept": "1", "gone": "2", "deep/inner": "3", "run": "4"}
    assert folders == ["deep", "empty"]
    assert warnings(rig) == []


def test_the_first_step_of_a_run_without_a_repository_starts_again_from_nothing(rig: Rig) -> None:
    rig.sandbox.scripts.update({("a", 1): held(writes(half="x", in__deep="y"))})
    assert play(lambda: lose(rig, step("a"), at="a")).status == "succeeded"
    assert found(rig) == {}


def test_a_second_lost_attempt_is_undone_too(rig: Rig) -> None:
    rig.sandbox.scripts.update(
        {
            "a": Script(effect=writes(base="1")),
            ("b", 1): held(writes(base="spoiled", one="x")),
            ("b", 2): held(writes(two="x")),
            ("b", 3): Script(effect=writes(done="x")),
        }
    )

    async def scenario() -> RunState:
        run_id = await rig.create(plan(step("a"), step("b", needs=["a"])))
        await die(rig, run_id, "owner-1", "b", 1)
        await die(rig, run_id, "owner-2", "b", 2)
        return await rig.new_owner("owner-3").drive(run_id)

    assert play(scenario).step("b").attempt == 3
    assert found(rig) == {"base": "1", "done": "x"}


def test_a_retry_after_a_failure_goes_on_with_what_the_failed_attempt_left(rig: Rig) -> None:
    rig.sandbox.scripts.update(
        {("a", 1): Script(exits=(1,), effect=writes(left="x")), ("a", 2): Script(effect=writes(right="x"))}
    )
    retry = RetryPolicy(attempts=2, backoff_ms=0, max_backoff_ms=0, jitter=0.0, outcomes=("failed",))
    assert play(lambda: rig.run(plan(step("a", retry=retry)))).status == "succeeded"
    assert found(rig) == {"left": "x", "right": "x"}


def test_nothing_is_undone_when_another_step_worked_beside_the_lost_attempt(rig: Rig) -> None:
    rig.sandbox.scripts.update({("a", 1): held(writes(half="x")), "b": Script(effect=writes(whole="x"))})
    over = asyncio.Event()

    def watch(_run: str, record: Record) -> None:
        if isinstance(record.event, StepSucceeded):
            over.set()

    rig.subscribers["test"] = watch

    async def scenario() -> RunState:
        run_id = await rig.create(plan(step("a"), step("b")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await asyncio.gather(rig.sandbox.begun("a"), rig.sandbox.begun("b"))
        await over.wait()
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        rig.sandbox.containers.clear()
        return await rig.new_owner("owner-2").drive(run_id)

    assert play(scenario).status == "succeeded"
    assert found(rig) == {"half": "x", "whole": "x"}
    (warning,) = warnings(rig)
    assert warning == "what attempt 1 changed in the workspace before it was lost is still there: b ran beside it"


def test_a_step_that_only_reads_beside_it_keeps_nobody_from_undoing(rig: Rig) -> None:
    rig.sandbox.scripts.update({("a", 1): held(writes(half="x")), ("b", 1): held()})
    steps = (step("a"), step("b", isolation="read_only"))
    assert play(lambda: lose(rig, *steps, at="a")).status == "succeeded"
    assert found(rig) == {}


def test_an_attempt_that_is_adopted_goes_on_with_what_it_has_done(rig: Rig) -> None:
    hold = asyncio.Event()
    rig.sandbox.scripts["a"] = Script(hold=hold, effect=writes(done="x"))

    async def scenario() -> RunState:
        run_id = await rig.create(plan(step("a")))
        driving = asyncio.create_task(rig.supervisor.drive(run_id))
        await rig.sandbox.begun("a")
        driving.cancel()
        await asyncio.gather(driving, return_exceptions=True)
        hold.set()
        return await rig.new_owner("owner-2").drive(run_id)

    assert play(scenario).step("a").attempt == 1
    assert found(rig) == {"done": "x"}


def test_a_workspace_that_cannot_be_kept_does_not_keep_a_step_from_running(rig: Rig) -> None:
    from wfconsole.workspace.snapshot import SnapshotLimits

    rig.anew = Anew(before=GitBefore(limits=SnapshotLimits(total_bytes=10)), load=rig.store.load)
    rig.sandbox.scripts.update({"a": Script(effect=writes(big="x" * 20)), ("b", 1): held(writes(half="x"))})
    after = play(lambda: lose(rig, step("a"), step("b", needs=["a"]), at="b"))
    assert after.status == "succeeded"
    (warning,) = warnings(rig)
    assert warning.endswith("the workspace could not be kept before it")


def test_the_begin_of_a_step_waits_for_the_workspace_to_be_kept(rig: Rig) -> None:
    """Were it the other way round, the snapshot would have what the step writes."""

    class Slow(GitBefore):
        async def keep(self, *args: object) -> None:
            await asyncio.sleep(0)
            assert ("go", "a", 1) not in rig.sandbox.calls
            kept.append(True)

    kept: list[bool] = []
    rig.anew = Anew(before=Slow(), load=rig.store.load)
    assert play(lambda: rig.run(plan(step("a")))).status == "succeeded"
    assert kept == [True]
    assert [type(r.event) for r in play(rig.records)].count(StepStarted) == 1
