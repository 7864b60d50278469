"""Steps with a workspace of their own, on fakes: patches come back once, in the order of the journal, whoever dies when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain import events as ev
from wfconsole.domain.events import Record
from wfconsole.domain.facts import CancelRun
from wfconsole.domain.plan import OutputSpec
from wfconsole.engine.turns import Purpose, Turn, Turns
from wfconsole.ports import RunFolder, SandboxSpec
from wfconsole.ports.copies import Changed, Copy
from wfconsole.workspace.apart import GitCopies

PARALLEL = plan(
    step("one", isolation="per_step"),
    step("two", isolation="per_step"),
    step("after", needs=["one", "two"]),
)


def workspace_of(spec: SandboxSpec) -> Path:
    return next(mount.source for mount in spec.mounts if mount.target == "/workspace")


def writes(name: str, text: str = "x") -> Callable[[SandboxSpec], None]:
    def effect(spec: SandboxSpec) -> None:
        (workspace_of(spec) / name).write_text(text)

    return effect


def files(folder: RunFolder) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.workspace.iterdir() if path.is_file()}


async def patches(rig: Rig) -> list[str]:
    """The steps that left a patch, in the order of the journal."""
    found = [record.event.artifact for record in await rig.records() if isinstance(record.event, ev.ArtifactRecorded)]
    return [str(artifact.step_id) for artifact in found if artifact.kind == "patch"]


async def succeeded(rig: Rig) -> list[str]:
    return [record.event.step_id for record in await rig.records() if isinstance(record.event, ev.StepSucceeded)]


def test_parallel_steps_see_nothing_of_each_other_and_what_follows_sees_both(tmp_path: Path) -> None:
    seen: dict[str, list[str]] = {}

    def work(spec: SandboxSpec) -> None:
        seen[spec.step_id] = sorted(path.name for path in workspace_of(spec).iterdir())
        (workspace_of(spec) / spec.step_id).write_text(spec.step_id)

    rig = Rig(tmp_path, {name: Script(effect=work) for name in ("one", "two", "after")})

    async def scenario() -> None:
        assert (await rig.run(PARALLEL)).status == "succeeded"
        assert sorted(await patches(rig)) == ["one", "two"]

    play(scenario)
    assert seen == {"one": [], "two": [], "after": ["one", "two"]}
    assert files(rig.folder("run-1")) == {"one": "one", "two": "two", "after": "after"}
    assert not list(rig.folder("run-1").root.glob("attempts/*/*/workspace"))
    assert not list(rig.folder("run-1").root.glob("applied/*.pending"))
    assert (
        (rig.folder("run-1").artifacts / "one" / "workspace.patch").read_bytes().startswith(b"diff --git a/one b/one")
    )


def test_who_comes_later_with_the_same_file_fails_and_both_are_named(tmp_path: Path) -> None:
    hold = asyncio.Event()
    scripts: dict[str | tuple[str, int], Script] = {
        "one": Script(effect=writes("same", "1")),
        "two": Script(effect=writes("same", "2"), hold=hold),
    }
    rig = Rig(tmp_path, scripts)

    def watch(_run_id: str, record: Record) -> None:
        if isinstance(record.event, ev.StepSucceeded):
            hold.set()

    rig.subscribers["watch"] = watch
    state = play(lambda: rig.run(PARALLEL))
    assert state.status == "failed"
    cause = state.step("two").cause
    assert cause is not None
    assert (state.step("two").outcome, cause.code) == ("failed", "PATCH_CONFLICT")
    assert cause.details == {"files": ["same"], "steps": ["two", "one"]}
    assert files(rig.folder("run-1")) == {"same": "1"}
    assert (rig.folder("run-1").artifacts / "two" / "workspace.patch").exists()


def test_a_step_that_failed_leaves_its_patch_and_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"one": Script(effect=writes("a"), exits=(1,))})

    async def scenario() -> None:
        assert (await rig.run(PARALLEL)).status == "failed"
        assert await patches(rig) == ["one"]

    play(scenario)
    assert files(rig.folder("run-1")) == {}


def test_a_step_whose_output_cannot_be_given_changes_nothing(tmp_path: Path) -> None:
    from wfconsole.domain.values import ExpressionError

    output = OutputSpec(name="n", source="expression", value={"$expr": "nothing_of_this_name"})
    made = plan(step("one", isolation="per_step", outputs=(output,)))
    rig = Rig(tmp_path, {"one": Script(effect=writes("a"))})
    with suppress(ExpressionError, NameError):
        play(lambda: rig.run(made))
    assert files(rig.folder("run-1")) == {}


def test_a_retry_begins_with_a_copy_of_its_own(tmp_path: Path) -> None:
    from wfconsole.domain.plan import RetryPolicy

    seen: list[list[str]] = []

    def work(spec: SandboxSpec) -> None:
        seen.append(sorted(path.name for path in workspace_of(spec).iterdir()))
        (workspace_of(spec) / f"try-{spec.attempt}").write_text("x")

    retry = RetryPolicy(attempts=2, backoff_ms=0, outcomes=("failed",))
    rig = Rig(tmp_path, {("one", 1): Script(effect=work, exits=(1,)), ("one", 2): Script(effect=work)})
    assert play(lambda: rig.run(plan(step("one", isolation="per_step", retry=retry)))).status == "succeeded"
    assert seen == [[], []]
    assert files(rig.folder("run-1")) == {"try-2": "x"}


class Dying(GitCopies):
    """The owner dies at a point of its first `apply`."""

    def __init__(self, point: str) -> None:
        super().__init__()
        self.point = point
        self.step_id = ""
        self.dead = asyncio.Event()

    async def apply(
        self, copy: Copy, changed: Changed, outcome: bytes, permit: Callable[[], None] | None = None
    ) -> None:
        if self.dead.is_set():
            return await super().apply(copy, changed, outcome, permit)
        if self.point == "after":
            await super().apply(copy, changed, outcome, permit)
        self.step_id = copy.step_id
        self.dead.set()
        raise asyncio.CancelledError


@pytest.mark.parametrize("point", ["before", "after"])
def test_what_a_dead_owner_had_applied_is_reported_and_not_done_again(tmp_path: Path, point: str) -> None:
    rig = Rig(tmp_path, {"one": Script(effect=writes("a")), "two": Script(effect=writes("b"))})
    rig.copies = dying = Dying(point)

    async def scenario() -> None:
        run_id = await rig.create(PARALLEL)
        first = asyncio.create_task(rig.supervisor.drive(run_id))
        await dying.dead.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        asked = rig.sandbox.calls.count(("go", dying.step_id, 1))
        assert (await rig.new_owner("owner-2").drive(run_id)).status == "succeeded"
        assert await succeeded(rig) == await patches(rig) + ["after"]
        assert rig.sandbox.calls.count(("go", dying.step_id, 1)) == asked + (point == "before")

    play(scenario)
    assert files(rig.folder("run-1")) == {"a": "x", "b": "x"}
    assert not rig.sandbox.containers
    assert not list(rig.folder("run-1").root.glob("attempts/*/*/workspace"))


def test_a_cancelled_run_keeps_the_workspace_as_it_was(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {"one": Script(effect=writes("a"), hangs=True), "two": Script(effect=writes("b"), hangs=True)})

    async def scenario() -> None:
        running = asyncio.create_task(rig.run(PARALLEL))
        await rig.sandbox.begun("one")
        await rig.sandbox.begun("two")
        await rig.deliver("run-1", CancelRun(fact_id="cancel", at=rig.clock.now))
        assert (await running).status == "cancelled"
        assert sorted(await patches(rig)) == ["one", "two"]

    play(scenario)
    assert files(rig.folder("run-1")) == {}


def test_the_workspace_is_neither_copied_nor_changed_while_a_step_works_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold, granted, real = asyncio.Event(), [], Turns.take
    rig = Rig(tmp_path, {"shared": Script(effect=writes("half"), hold=hold), "one": Script(effect=writes("a"))})

    async def take(turns: Turns, purpose: Purpose) -> Turn:
        asking = asyncio.ensure_future(real(turns, purpose))
        await asyncio.sleep(0)
        granted.append(asking.done())
        if len(granted) > 1:
            hold.set()
        return await asking

    monkeypatch.setattr(Turns, "take", take)
    state = play(lambda: rig.run(plan(step("shared"), step("one", isolation="per_step"))))
    assert state.status == "succeeded"
    assert granted[:2] == [True, False]
    assert files(rig.folder("run-1")) == {"half": "x", "a": "x"}


@pytest.mark.parametrize(
    ("inside", "wants", "together"),
    [
        ("working", "working", True),
        ("working", "reading", True),
        ("working", "copying", False),
        ("reading", "copying", True),
        ("copying", "copying", True),
        ("copying", "working", False),
        ("reading", "changing", False),
        ("changing", "reading", False),
        ("changing", "changing", False),
    ],
)
def test_who_may_be_in_the_workspace_together(inside: Purpose, wants: Purpose, together: bool) -> None:
    async def scenario() -> None:
        turns = Turns()
        first = await turns.take(inside)
        second = asyncio.ensure_future(turns.take(wants))
        await asyncio.sleep(0)
        assert second.done() is together
        turns.give(first)
        turns.give(first)
        await second

    play(scenario)


def test_nobody_overtakes_a_change_that_waits_and_one_that_is_given_up_keeps_nobody(tmp_path: Path) -> None:
    async def scenario() -> None:
        turns = Turns()
        first = await turns.take("working")
        change = asyncio.ensure_future(turns.take("changing"))
        await asyncio.sleep(0)
        later = asyncio.ensure_future(turns.take("working"))
        await asyncio.sleep(0)
        assert not later.done()
        change.cancel()
        await asyncio.gather(change, return_exceptions=True)
        turns.give(await later)
        turns.give(first)
        turns.give(await turns.take("changing"))

    play(scenario)
