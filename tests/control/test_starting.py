"""Creating a run: all or nothing, once for a key, and every path where it was meant to be."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.control.rig import Desk
from tests.engine.rig import ACTOR, play, step
from wfconsole.control import starting
from wfconsole.control.door import Created, InvalidRequestError, Problem, RunRequest
from wfconsole.control.starting import new_run_id
from wfconsole.domain.events import RunCreated
from wfconsole.domain.plan import CheckRule, InputSpec, Limits, Plan, RecipeRef, WorkspaceSpec
from wfconsole.ports import Commit, WfconsoleError

REPO = InputSpec(name="repo", type="path", required=True)
SOURCE = WorkspaceSpec(source={"$expr": "inputs['repo']"})


async def create(desk: Desk, **more: object) -> Created:
    return await desk.office.create(await desk.prepare(**more))


def test_run_ids_are_in_the_order_of_time() -> None:
    ids = [new_run_id(at) for at in (0, 1, 31, 32, 1_700_000_000_000, 1_700_000_000_001)]
    assert ids == sorted(ids)
    assert {len(run_id) for run_id in ids} == {16}


def test_what_is_created_is_pinned_whole(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO,), workspace=SOURCE, files={"lib/score.py": b"score"})
    created = play(lambda: create(desk, inputs={"repo": str(tmp_path)}, workflow_id="k"))
    folder = desk.rig.folder(created.run_id)
    assert (folder.workspace / "file").read_text() == "copied"
    assert (folder.recipe / "lib/score.py").read_bytes() == b"score"
    (record,) = play(lambda: desk.rig.records(created.run_id))
    assert isinstance(record.event, RunCreated)
    assert (record.event.workflow_id, record.event.inputs) == ("k", {"repo": str(tmp_path)})
    assert record.event.workspace is not None
    assert record.event.workspace.source == str(tmp_path)


def fails_at_copying(desk: Desk, _monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail() -> None:
        raise WfconsoleError("WORKSPACE_INVALID", "no repository")

    desk.copier.before = fail


def fails_at_the_recipes_files(_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(starting, "_readable", full)


def fails_at_the_input(desk: Desk, _monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(desk.rig.tmp / "notes" / "pipe")


def fails_at_the_store(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(_commit: Commit) -> None:
        raise WfconsoleError("DISK_FULL", "no space")

    monkeypatch.setattr(desk.rig.store, "commit", fail)


@pytest.mark.parametrize(
    ("fails", "code"),
    [
        (fails_at_copying, "WORKSPACE_INVALID"),
        (fails_at_the_recipes_files, "DISK_FULL"),
        (fails_at_the_input, "INPUT_INVALID"),
        (fails_at_the_store, "DISK_FULL"),
    ],
)
def test_st_wf_001_what_cannot_be_created_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[[Desk, pytest.MonkeyPatch], None], code: str
) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "notes").mkdir()
    notes = InputSpec(name="notes", type="path", required=True)
    desk.compiles_to(step("a"), inputs=(REPO, notes), workspace=SOURCE, files={"f.py": b""})
    fails(desk, monkeypatch)
    given = {"repo": str(tmp_path), "notes": str(tmp_path / "notes")}
    with pytest.raises(WfconsoleError) as caught:
        play(lambda: create(desk, inputs=given))
    assert caught.value.code == code
    assert desk.folders() == []
    assert play(lambda: desk.rig.store.run_of_workflow("k")) is None


async def cancelled_while(desk: Desk, reached: asyncio.Event, go_on: asyncio.Event) -> None:
    """Create a run, cancel that when `reached`, then let what it waits for go on."""
    creating = asyncio.create_task(create(desk, inputs={"repo": "/"}, workflow_id="k"))
    await reached.wait()
    creating.cancel()
    await asyncio.sleep(0)
    assert not creating.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await creating


def test_creating_that_is_cancelled_while_copying_leaves_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO,), workspace=SOURCE)

    async def scenario() -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def copying() -> None:
            reached.set()
            await go_on.wait()

        desk.copier.before = copying
        await cancelled_while(desk, reached, go_on)

    play(scenario)
    assert desk.folders() == []


def test_creating_that_is_cancelled_while_it_is_committed_leaves_a_whole_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO,), workspace=SOURCE)
    commit = desk.rig.store.commit

    async def scenario() -> None:
        reached, go_on = asyncio.Event(), asyncio.Event()

        async def slow(one: Commit) -> None:
            reached.set()
            await go_on.wait()
            await commit(one)

        monkeypatch.setattr(desk.rig.store, "commit", slow)
        await cancelled_while(desk, reached, go_on)

    play(scenario)
    run_id = play(lambda: desk.rig.store.run_of_workflow("k"))
    assert desk.folders() == [run_id]
    assert (desk.rig.folder(str(run_id)).workspace / "file").is_file()


def test_the_same_key_is_the_same_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"))
    first = play(lambda: create(desk, workflow_id="deploy/1"))
    again = play(lambda: create(desk, workflow_id="deploy/1"))
    assert again == Created(run_id=first.run_id, existed=True)
    assert desk.folders() == [first.run_id]


def test_two_at_once_with_the_same_key_make_one_run(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO,), workspace=SOURCE)

    async def scenario() -> list[Created]:
        both = asyncio.Barrier(2)

        async def meet() -> None:
            await both.wait()

        desk.copier.before = meet
        one, two = (create(desk, inputs={"repo": "/"}, workflow_id="k") for _ in range(2))
        return list(await asyncio.gather(one, two))

    made = play(scenario)
    assert {created.run_id for created in made} == set(desk.folders())
    assert sorted(created.existed for created in made) == [False, True]
    assert len(desk.folders()) == 1


@pytest.mark.parametrize("key", ["", "../../etc", " a", "a\n", "é", "x" * 201, "-a"])
def test_a_key_that_is_none_is_refused_before_anything_is_made(tmp_path: Path, key: str) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"))
    with pytest.raises(InvalidRequestError):
        play(lambda: create(desk, workflow_id=key))
    assert desk.folders() == []


def test_everything_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    wrong = [Problem(code="RECIPE_INVALID", message=str(n)) for n in range(3)]
    desk.has_problems(*wrong, Problem(code="RECIPE_INVALID", message="only a remark", severity="warning"))
    with pytest.raises(InvalidRequestError) as caught:
        play(desk.prepare)
    assert caught.value.problems == tuple(wrong)
    desk.compiles_to(step("a"), inputs=(REPO, InputSpec(name="n", type="integer", required=True)))
    with pytest.raises(InvalidRequestError) as caught:
        play(lambda: desk.prepare(inputs={"repo": "/no/such", "n": "x"}))
    assert [problem.where for problem in caught.value.problems] == ["n", "repo"]


def test_a_check_over_the_inputs_that_does_not_hold_creates_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    n = InputSpec(name="n", type="integer", required=True)
    desk.compiles_to(step("a"), inputs=(n,), checks=(CheckRule(that="inputs['n'] > 1", message="too small"),))
    with pytest.raises(InvalidRequestError) as caught:
        play(lambda: desk.prepare(inputs={"n": "1"}))
    assert [problem.message for problem in caught.value.problems] == ["too small"]
    assert play(lambda: desk.prepare(inputs={"n": "2"})).inputs == {"n": 2}


@pytest.mark.parametrize(("own", "asked", "holds"), [(None, 3.0, 3.0), (2.0, 3.0, 2.0), (5.0, 3.0, 3.0)])
def test_a_budget_can_tighten_the_recipes_and_never_loosen_it(
    tmp_path: Path, own: float | None, asked: float, holds: float
) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), limits=Limits(cost_usd=own))
    assert play(lambda: desk.prepare(cost_usd=asked)).plan.limits.cost_usd == holds


def test_path_inputs_start_at_the_current_folder_and_at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO,))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in ("here", "./here/../here/", "~/here"):
        prepared = play(partial(desk.prepare, inputs={"repo": given}))
        assert prepared.inputs == {"repo": str(tmp_path / "here")}


@pytest.mark.parametrize(
    ("origin", "source", "expected"),
    [
        ("path:{}/recipes/r.yaml", "./project", "{}/recipes/project"),
        ("path:{}/recipes/r.yaml", "/abs", "/abs"),
        ("path:{}/recipes/r.yaml", {"$expr": "inputs['where']"}, "{}/cwd/given"),
        ("built-in", "project", "{}/cwd/project"),
        ("built-in", "~/project", "{}/home/project"),
    ],
)
def test_what_the_workspace_is_relative_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str, source: object, expected: str
) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    recipe = RecipeRef(name="made", version="1", digest="0" * 64, origin=origin.format(tmp_path))
    where = InputSpec(name="where", type="string")
    _with_recipe(desk, recipe, inputs=(where,), workspace=WorkspaceSpec(source=source))
    play(lambda: create(desk, inputs={"where": "given"}))
    assert desk.copier.sources == [Path(expected.format(tmp_path))]


def _with_recipe(desk: Desk, recipe: RecipeRef, **more: object) -> None:
    made = Plan(recipe=recipe, text="{}", steps=(step("a"),), **more)  # type: ignore[arg-type]
    desk.compiled = starting.Compiled(plan=made, problems=(), files={})


def test_inputs_and_files_can_be_read_by_the_sandbox_whatever_their_modes(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    data = tmp_path / "data"
    (data / "deep").mkdir(parents=True)
    (data / "deep" / "secret").write_text("s")
    (data / "tool").write_text("#!/bin/sh\n")
    (data / "tool").chmod(0o700)
    (data / "deep" / "secret").chmod(0o600)
    (data / "deep").chmod(0o700)
    (data / "link").symlink_to("/etc/passwd")
    specs = tuple(InputSpec(name=name, type="path") for name in ("data", "tool"))
    desk.compiles_to(step("a"), inputs=specs, files={"lib/f.py": b""})
    before = os.umask(0o077)
    try:
        created = play(lambda: create(desk, inputs={"data": str(data), "tool": str(data / "tool")}))
    finally:
        os.umask(before)
    folder = desk.rig.folder(created.run_id)

    def mode(path: Path) -> int:
        return stat.S_IMODE(path.lstat().st_mode)

    assert mode(folder.inputs / "data" / "deep") == mode(folder.recipe / "lib") == mode(folder.workspace) == 0o755
    assert mode(folder.inputs / "data" / "deep" / "secret") == mode(folder.recipe / "lib" / "f.py") == 0o644
    assert mode(folder.inputs / "data" / "tool") == mode(folder.inputs / "tool") == 0o755
    assert (folder.inputs / "data" / "link").is_symlink()
    assert mode(folder.root) == 0o700


def test_an_input_around_the_state_folder_does_not_copy_the_copy(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    (tmp_path / "file").write_text("text")
    desk.compiles_to(step("a"), inputs=(REPO,))
    created = play(lambda: create(desk, inputs={"repo": str(tmp_path)}))
    copied = desk.rig.folder(created.run_id).inputs / "repo"
    assert (copied / "file").read_text() == "text"
    assert list((copied / "runs").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "copied"),
    [((), False), (({"$expr": "inputs['repo']"},), True), (("/inputs/repo/x",), True), (("/inputs/repos",), False)],
)
def test_the_workspaces_source_is_copied_a_second_time_only_for_a_step_that_reads_it(
    tmp_path: Path, words: tuple[object, ...], copied: bool
) -> None:
    desk = Desk(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    desk.compiles_to(step("a", commands=(("cat", *words),)), inputs=(REPO,), workspace=SOURCE)
    created = play(lambda: create(desk, inputs={"repo": str(source)}))
    assert (desk.rig.folder(created.run_id).inputs / "repo").exists() is copied


def test_a_device_is_no_input(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"), inputs=(REPO,))
    with pytest.raises(WfconsoleError) as caught:
        play(lambda: create(desk, inputs={"repo": "/dev/zero"}))
    assert caught.value.code == "INPUT_INVALID"
    assert desk.folders() == []


def test_a_state_folder_that_cannot_be_written_is_told_as_such(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"))
    (tmp_path / "runs").write_text("a file where the folder should be")
    with pytest.raises(WfconsoleError) as caught:
        play(lambda: create(desk))
    assert caught.value.code == "WORKSPACE_INVALID"
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)


def test_a_request_remembers_who_asked(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.compiles_to(step("a"))
    prepared = play(lambda: desk.office.prepare(RunRequest(recipe="made", actor=ACTOR)))
    created = play(lambda: desk.office.create(prepared))
    (record,) = play(lambda: desk.rig.records(created.run_id))
    assert record.actor == ACTOR
