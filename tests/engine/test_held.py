"""Whose a run is, asked where it matters: before every act, and in the right order around a commit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from tests.engine.test_before import die, held, workspace
from tests.fakes.sandbox import FakeSandbox, Script
from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.plan import RetryPolicy
from wfconsole.domain.run import RunState
from wfconsole.engine.before import Anew
from wfconsole.engine.held import HeldSandbox
from wfconsole.engine.local import LocalPorts
from wfconsole.engine.supervisor import Supervisor, left_behind
from wfconsole.ports import Commit, RunFolder, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.ports.before import At
from wfconsole.ports.owning import Lease


class Watch:
    """`ports.owning.Hold` with a clock that tests move; it tells what was confirmed. Not `mine`: lost, and not known yet."""

    lease: Lease | None = None
    crashed: str | None = None

    def __init__(self, *, mine: bool = True) -> None:
        self.lost = False
        self.mine = mine
        self.now = 0.0
        self.confirmed: list[float] = []

    def moment(self) -> float:
        return self.now

    def confirm(self, asked: float) -> None:
        self.confirmed.append(asked)

    async def is_mine(self) -> bool:
        return self.mine

    async def release(self, setback: str | None = None) -> None: ...


class OneHold:
    """`ports.owning.Holds` of one run."""

    def __init__(self, hold: Watch) -> None:
        self.hold = hold

    async def acquire(self, run_id: str, *, listens: bool = False) -> Watch:
        return self.hold

    async def setbacks(self, run_id: str) -> tuple[int, str | None]:
        return 0, None


Act = Callable[[HeldSandbox, SandboxHandle], Awaitable[object]]
ACTS: dict[str, Act] = {
    "prepare": lambda held, handle: held.prepare(handle.spec),
    "go": lambda held, handle: held.go(handle),
    "stop": lambda held, handle: held.stop(handle),
    "kill": lambda held, handle: held.stop(handle, force=True),
    "remove": lambda held, handle: held.remove(handle),
}


def spec(top: Path) -> SandboxSpec:
    return SandboxSpec(
        run_id="run-1", step_id="a", attempt=1, template="none", commands=(("work",),),
        in_dir=top / "in", out_dir=top / "out", scratch=top / "scratch",
    )  # fmt: skip


@pytest.mark.parametrize("act", ACTS)
def test_whoever_lost_the_run_does_nothing_to_its_containers(tmp_path: Path, act: str) -> None:
    engine = FakeSandbox()

    async def scenario() -> None:
        handle = await engine.prepare(spec(tmp_path))
        done = list(engine.calls)
        with pytest.raises(WfconsoleError) as caught:
            await ACTS[act](HeldSandbox(sandbox=engine, hold=Watch(mine=False)), handle)
        assert caught.value.code == "OWNER_LOST"
        assert engine.calls == done
        await ACTS[act](HeldSandbox(sandbox=engine, hold=Watch()), handle)
        assert engine.calls == [*done, (act, "a", 1)]

    play(scenario)


def test_whoever_lost_the_run_may_look_on(tmp_path: Path) -> None:
    engine = FakeSandbox()

    async def scenario() -> None:
        handle = await engine.prepare(spec(tmp_path))
        await engine.go(handle)
        end = await HeldSandbox(sandbox=engine, hold=Watch(mine=False)).wait(handle)
        assert end.exit_code == 0

    play(scenario)


def test_a_container_is_there_until_its_outcome_is_durable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(tmp_path)
    real, before = rig.store.commit, []

    async def commit(made: Commit) -> None:
        await asyncio.sleep(0)
        if isinstance(made.fact, AttemptEnded):
            before.append(("remove", made.fact.step_id, 1) in rig.sandbox.calls)
        await real(made)

    monkeypatch.setattr(rig.store, "commit", commit)
    assert play(lambda: rig.run(plan(step("a"), step("b", needs=["a"])))).status == "succeeded"
    assert before == [False, False]
    assert rig.sandbox.containers == {}


def test_a_commit_confirms_the_moment_at_which_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rig, hold = Rig(tmp_path), Watch()
    rig.supervisor = Supervisor("me", OneHold(hold), rig.ports)
    real, begun = rig.store.commit, []

    async def slow(made: Commit) -> None:
        begun.append(hold.now)
        hold.now += 1.0
        await real(made)

    async def scenario() -> None:
        run_id = await rig.create(plan(step("a")))
        monkeypatch.setattr(rig.store, "commit", slow)
        await rig.supervisor.drive(run_id)

    play(scenario)
    assert len(begun) > 1
    assert hold.confirmed == begun


def test_a_patch_is_not_applied_by_whoever_lost_the_run(tmp_path: Path) -> None:
    def work(spec: SandboxSpec) -> None:
        (workspace(spec) / "new").write_text("x")

    rig, hold, met = Rig(tmp_path, {"a": Script(effect=work)}), Watch(), []
    rig.supervisor = Supervisor("me", OneHold(hold), rig.ports)

    def lose(point: str, _subject: str) -> None:
        met.append(point)
        if point == "waited":
            hold.mine = False

    rig.signals.arm(lose)
    play(lambda: rig.run(plan(step("a", isolation="per_step"))))
    assert "waited" in met
    assert not {"applying", "applied"} & set(met)
    assert not (rig.folder("run-1").workspace / "new").exists()


class Forgotten:
    """`ports.before.Before` that knows of nothing; `put` says what was put back."""

    def __init__(self) -> None:
        self.put: list[str] = []

    async def knows(self, folder: RunFolder, name: str) -> bool:
        return False

    async def keep(self, folder: RunFolder, name: str, pristine: str | None) -> None: ...

    async def pass_over(self, folder: RunFolder, name: str) -> None: ...

    async def put_back(self, folder: RunFolder, earlier: str, name: str, at: At | None = None) -> bool:
        self.put.append(earlier)
        return True


def test_the_workspace_is_not_put_back_by_whoever_lost_the_run(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {("a", 1): held(), ("a", 2): held()})

    async def scenario() -> None:
        await rig.create(plan(step("a", retry=RetryPolicy(attempts=3))))
        await die(rig, "run-1", "owner-1", "a", 1)
        await die(rig, "run-1", "owner-2", "a", 2)
        records = await rig.records()
        state = fold(records)
        assert state is not None
        (effect,) = left_behind(state, records)
        assert isinstance(effect, StartAttempt)
        for mine in (False, True):
            before = Forgotten()
            guard = Anew(before=before, load=rig.store.load).guard(
                rig.sandbox, effect, state, rig.folder("run-1"), Watch(mine=mine)
            )
            assert guard is not None
            if mine:
                assert await guard.ready() is None
            else:
                with pytest.raises(WfconsoleError, match="another process"):
                    await guard.ready()
            assert before.put == (["a#1"] if mine else [])

    play(scenario)


@pytest.mark.parametrize("mine", [True, False])
def test_what_a_run_left_that_is_over_is_swept_and_sealed_by_its_owner_alone(tmp_path: Path, mine: bool) -> None:
    rig, swept = Rig(tmp_path), []

    async def sweep(effect: StartAttempt, _state: RunState) -> None:
        swept.append(effect.step_id)

    def ports(run_id: str) -> LocalPorts:
        return replace(rig.ports(run_id), sweep=sweep)

    async def scenario() -> None:
        await rig.run(plan(step("a")))
        assert rig.sealed == ["run-1"]
        await Supervisor("next", OneHold(Watch(mine=mine)), ports).drive("run-1")

    play(scenario)
    assert swept == (["a"] if mine else [])
    assert rig.sealed == ["run-1"] * (1 + mine)
