"""A removal that is killed: at every point of it the next process finishes it, and the receipt is still true."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.control.removing import ACTOR, NOW, Yard
from tests.control.test_removal import mentions, with_yard

ROOT = Path(__file__).parents[2]

KILLED = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from dataclasses import replace
from tests.control.removing import ACTOR, Yard, container, killing
from wfconsole.control.removal import Removal

async def main():
    yard = Yard(pathlib.Path(sys.argv[1]))
    yard.containers.present = [container("run-1")]
    what, when = sys.argv[3].split()
    after = when == "after"
    ports = yard.ports
    if what in {"send"}:
        ports = replace(ports, send=killing(ports.send, after=after))
    elif what == "discard":
        def half(path):
            import os, signal
            (path / "workspace" / "big").unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        ports = replace(ports, discard=half)
    elif what == "blobs":
        def gone(shas, *, spare_since):
            import os, signal
            type(yard.blobs).remove(yard.blobs, list(shas)[:1], spare_since=spare_since)
            os.kill(os.getpid(), signal.SIGKILL)
        yard.blobs.remove = gone
    elif what == "containers":
        yard.containers.remove = killing(yard.containers.remove, after=after)
    else:
        setattr(yard.remains, what, killing(getattr(yard.remains, what), after=after))
    removal = Removal(ports)
    preview = await removal.preview("run-1")
    print("deleting", flush=True)
    await removal.delete(preview, ACTOR)
    print("not killed", flush=True)

asyncio.run(main())
"""

POINTS = [
    "send before", "send after", "containers before", "containers after", "measured before", "measured after",
    "discard after", "blobs after", "finish before", "finish after",
]  # fmt: skip


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_at_any_point_only_delays_the_removal(tmp_path: Path, point: str) -> None:
    async def prepare(yard: Yard) -> None:
        await yard.ended("run-1", b"one" * 9000, b"two" * 9000, b"shared" * 9000)
        await yard.ended("run-2", b"shared" * 9000)

    with_yard(tmp_path, prepare)
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(ROOT), point], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, "deleting\n"), done.stderr

    async def look(yard: Yard) -> None:
        assert list(await yard.store.verify()) == []
        if point == "send before":
            assert len(await yard.store.load("run-1")) == 10
            assert await yard.remains.tombstones() == []
            await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        else:
            assert [run.run_id for run in await yard.remains.kept()] == ["run-2"]
            assert await yard.removal.finish_all() == ([] if point == "finish after" else ["run-1"])
        (stone,) = await yard.remains.tombstones()
        assert stone.problems == ()
        assert stone.finished_at == NOW
        if point != "measured before":
            assert stone.freed == stone.bytes, "measured once, before anything went"
        assert not yard.folder("run-1").root.exists()
        assert set(mentions(tmp_path, "run-1")) == {
            "tombstones.run_id", "tombstones.workflow_id", "tombstones.body",
        }  # fmt: skip
        assert len(list((tmp_path / "artifacts").glob("??/*"))) == 1
        assert list(await yard.store.verify()) == []
        assert list(await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts")) == []

    with_yard(tmp_path, look)


def test_a_kill_between_the_runs_of_a_cascade_leaves_no_run_that_reuses_what_is_gone(tmp_path: Path) -> None:
    async def prepare(yard: Yard) -> None:
        await yard.ended("run-1", b"one")
        await yard.ended("run-2", b"two", reuses="run-1")

    with_yard(tmp_path, prepare)
    done = subprocess.run([sys.executable, "-c", CASCADE, str(tmp_path), str(ROOT)], check=False)
    assert done.returncode == -signal.SIGKILL

    async def look(yard: Yard) -> None:
        assert [run.run_id for run in await yard.remains.kept()] == ["run-1"]
        assert await yard.removal.finish_all() == []
        assert list(await yard.store.verify()) == []
        preview = await yard.removal.preview("run-1")
        assert preview.run_ids == ("run-1",)

    with_yard(tmp_path, look)


CASCADE = """
import asyncio, pathlib, sys
sys.path.insert(0, sys.argv[2])
from tests.control.removing import ACTOR, Yard, killing

async def main():
    yard = Yard(pathlib.Path(sys.argv[1]))
    yard.remains.finish = killing(yard.remains.finish, after=True)
    await yard.removal.delete(await yard.removal.preview("run-1", cascade=True), ACTOR)

asyncio.run(main())
"""
