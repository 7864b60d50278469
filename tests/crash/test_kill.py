"""kill -9 of a real process at every named point: the next owner ends the run as if nothing had happened."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.disk import DiskSandbox
from tests.crash.owner import create, finish, opened
from tests.engine.rig import ACTOR, plan, step
from tests.fakes.gates import approval
from wfconsole.domain.events import Record, wire_name
from wfconsole.domain.facts import CancelRun, WorkspacePin
from wfconsole.domain.plan import Json, Plan
from wfconsole.engine.signals import POINTS
from wfconsole.store import check, database
from wfconsole.views.run_view import run_view

ROOT = Path(__file__).parents[2]
PLAIN = plan(step("a"), step("b"), step("c", needs=["a", "b"]))
KEPT = plan(step("fetch"), step("draft", needs=["fetch"]), approval("gate", "draft", on_reject={"retry_from": "draft"}))
PIN = WorkspacePin(source="/repo", ref="HEAD", commit="c" * 40, tree="t" * 40)
OURS = {"owner_changed", "attempt_adopted"}
"""What only a change of owners leaves."""
CANCELLED = {"stopping", "stopped"}
CASES = [(point, nth) for point in POINTS for nth in ((1, 3) if point in {"committing", "committed"} else (1,))]


def owner(folder: Path, *options: str) -> subprocess.Popen[str]:
    """A process of its own that drives what is in `folder`."""
    argv = [sys.executable, "-m", "tests.crash.owner", str(folder), *options]
    return subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def story(records: Sequence[Record]) -> dict[str, list[str]]:
    """The events of the run and of each step, in order; what two parallel steps did between each other says nothing."""
    told: dict[str, list[str]] = {}
    for record in records:
        name = wire_name(type(record.event))
        if name not in OURS:
            artifact = getattr(record.event, "artifact", None)
            step_id = getattr(record.event, "step_id", None) or getattr(artifact, "step_id", None) or ""
            told.setdefault(step_id, []).append(f"{name} {getattr(record.event, 'attempt', '')}")
    return told


TIMES = ("at", "_ms", "sha256")
"""How the keys of moments end, and of what has some in it: a question card says until when it can be answered."""


def timeless(view: Json) -> Json:
    """A RunView without moments, its parallel parts in one order: what is left must not depend on who drove the run."""
    if isinstance(view, dict):
        return {key: timeless(value) for key, value in view.items() if not key.endswith(TIMES)}
    if isinstance(view, list):
        return sorted((timeless(each) for each in view), key=repr)
    return view


def journal(folder: Path, run_id: str = "run-1") -> Sequence[Record]:
    async def load() -> Sequence[Record]:
        async with opened(folder) as rig:
            return await rig.store.load(run_id)

    return asyncio.run(load())


def marks(folder: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(folder / database.NAME)) as db:
        return [
            (str(run), str(step)) for run, step in db.execute("SELECT run_id, step FROM marks ORDER BY run_id, step")
        ]


def prepare(folder: Path, point: str) -> tuple[Plan, tuple[str, ...]]:
    """A run for that point; what the process is to be told besides."""
    made = KEPT if point == "workspace_kept" else PLAIN
    create(folder, made, workspace=PIN)
    return made, ("--work", "30") if point in CANCELLED else ()


def cancel(folder: Path) -> None:
    async def post() -> None:
        async with opened(folder) as rig:
            await rig.disk.begun(2)
            await rig.store.post("run-1", CancelRun(fact_id="stop", at=rig.clock.now_ms(), actor=ACTOR))

    asyncio.run(post())


def play(folder: Path, point: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Let a process drive the run for `point` to its end, or its own."""
    folder.mkdir()
    _, more = prepare(folder, point)
    process = owner(folder, *more, *options)
    if point in CANCELLED:
        cancel(folder)
    out, err = process.communicate(timeout=30)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What runs leave that nobody disturbs."""
    made = {}
    for kind in ("committed", "workspace_kept", "stopping"):
        made[kind] = tmp_path_factory.mktemp("twin") / kind
        assert play(made[kind], kind).returncode == 0
    return made


@pytest.mark.parametrize(("point", "nth"), CASES)
def test_exec_block_14_killed_at_a_named_point_the_run_ends_as_its_twin(
    twins: dict[str, Path], tmp_path: Path, point: str, nth: int
) -> None:
    folder = tmp_path / "killed"
    process = play(folder, point, "--at", point, "--nth", str(nth))
    assert process.returncode == -signal.SIGKILL, process
    assert process.stdout.splitlines()[-1] == point
    asyncio.run(finish(folder, work_s=30 if point in CANCELLED else 0.02))
    twin = twins["stopping" if point in CANCELLED else "workspace_kept" if point == "workspace_kept" else "committed"]
    assert story(journal(folder)) == story(journal(twin))
    assert timeless(run_view(journal(folder))) == timeless(run_view(journal(twin)))
    assert marks(folder) == marks(twin)
    engine, undisturbed = DiskSandbox(folder / "engine"), DiskSandbox(twin / "engine")
    assert engine.executions() == undisturbed.executions()
    assert (engine.twice(), engine.left()) == ([], [])
    assert check.verify(folder / database.NAME) == []


def test_every_point_is_met(twins: dict[str, Path], tmp_path: Path) -> None:
    met: set[str] = set()

    async def look() -> None:
        for name, made in (("plain", PLAIN), ("kept", KEPT)):
            async with opened(tmp_path / name) as rig:
                rig.signals.arm(lambda point, _subject: met.add(point))
                await rig.create(made, workspace=PIN)
                await rig.worker(lambda _text: None).run(until_idle=True)

    asyncio.run(look())
    assert met | CANCELLED == set(POINTS)
