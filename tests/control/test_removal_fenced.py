"""Removers and owners that were stopped and wake: what another process has taken over meanwhile they leave alone.

    python -m tests.control.test_removal_fenced FOLDER TTL_S

deletes `run-1` and stops itself when everything is known and nothing is removed yet.
"""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.control.removing import ACTOR, Yard
from tests.control.test_removal import with_yard
from tests.crash.owner import asleep, create, hang, put, until
from tests.crash.test_kill import PIN, PLAIN, owner
from wfconsole.control.removal import Removal
from wfconsole.store import check, database

ROOT = Path(__file__).parents[2]
TTL_S = 0.6


async def _delete_and_stop(folder: Path, ttl_s: float) -> None:
    yard = Yard(folder, now=time.time_ns() // 1_000_000, ttl_s=ttl_s)
    measured = yard.remains.measured

    async def stopping(*words: Any) -> None:
        await measured(*words)
        put("stopped")
        hang(folder / database.NAME)

    yard.remains.measured = stopping  # type: ignore[assignment]

    def discard(path: Path) -> None:
        put("discarding")
        yard.ports.discard(path)

    removal = Removal(replace(yard.ports, discard=discard))
    receipt = await removal.delete(await removal.preview("run-1"), ACTOR)
    put(f"unfinished {list(receipt.unfinished)}")
    await yard.close()


@contextmanager
def stopped_remover(folder: Path, ttl_s: float) -> Iterator[subprocess.Popen[str]]:
    """A process that sleeps in its removal of `run-1`."""
    argv = [sys.executable, "-m", "tests.control.test_removal_fenced", str(folder), str(ttl_s)]
    process = subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        asleep(process, "stopped")
        yield process
    finally:
        process.kill()
        process.communicate()


def wake(process: subprocess.Popen[str]) -> list[str]:
    """What it says then."""
    process.send_signal(signal.SIGCONT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    return out.splitlines()


def now(yard: Yard) -> None:
    yard.now = time.time_ns() // 1_000_000


async def one(yard: Yard) -> None:
    await yard.ended("run-1", b"content" * 9000)


def test_a_remover_that_was_stopped_and_replaced_removes_nothing_when_it_wakes(tmp_path: Path) -> None:
    with_yard(tmp_path, one)

    async def finish(yard: Yard) -> None:
        now(yard)
        yard.leases = type(yard.leases)(yard.store, yard.locks, tmp_path / "owners", ttl_s=TTL_S)
        removal = Removal(replace(yard.ports, acquire=yard.leases.acquire))

        async def removed() -> bool:
            return list(await removal.finish_all()) == ["run-1"]

        await until(removed)
        await yard.ended("run-2", b"content" * 9000)

    with stopped_remover(tmp_path, TTL_S) as process:
        with_yard(tmp_path, finish)
        assert wake(process) == ["unfinished ['run-1']"]
    assert check.verify(tmp_path / database.NAME) == []

    async def look(yard: Yard) -> None:
        (stone,) = await yard.remains.tombstones()
        assert stone.freed == stone.bytes
        assert list(await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts")) == []

    with_yard(tmp_path, look)


def test_what_was_stored_again_while_a_remover_slept_stays(tmp_path: Path) -> None:
    """Nobody has replaced it: the removal is its own still, but the content is another run's by now."""
    with_yard(tmp_path, one)

    async def store(yard: Yard) -> None:
        await yard.ended("run-2", b"content" * 9000)

    with stopped_remover(tmp_path, 600) as process:
        with_yard(tmp_path, store)
        assert wake(process) == ["discarding", "unfinished []"]

    async def look(yard: Yard) -> None:
        assert [run.run_id for run in await yard.remains.kept()] == ["run-2"]
        assert list(await yard.store.verify_files(tmp_path / "runs", tmp_path / "artifacts")) == []
        assert not yard.folder("run-1").root.exists()

    with_yard(tmp_path, look)


def test_a_run_is_deleted_although_its_owner_hangs_and_the_owner_brings_nothing_of_it_back(tmp_path: Path) -> None:
    create(tmp_path, PLAIN, workspace=PIN)
    process = owner(tmp_path, "--at", "sealing", "--signal", "STOP", "--ttl", str(TTL_S), "--drive", "run-1")

    async def delete(yard: Yard) -> None:
        now(yard)

        async def free() -> bool:
            hold = await yard.leases.acquire("run-1")
            if hold is not None:
                await hold.release()
            return hold is not None

        await until(free)
        receipt = await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        assert receipt.unfinished == ()

    try:
        asleep(process, "sealing")
        with_yard(tmp_path, delete)
        assert not (tmp_path / "runs" / "run-1").exists()
        process.send_signal(signal.SIGCONT)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (0, "")
    assert not (tmp_path / "runs" / "run-1").exists()
    assert check.verify(tmp_path / database.NAME) == []


@pytest.mark.parametrize("taken", [True, False])
def test_the_workspace_of_a_run_that_somebody_took_between_the_look_and_the_removal_stays(
    tmp_path: Path, taken: bool
) -> None:
    async def work(yard: Yard) -> None:
        await yard.ended("run-1")
        rubbish = await yard.collection().find()
        assert [item.kind for item in rubbish.items] == ["workspace"]
        owners = Yard(tmp_path)
        hold = await owners.leases.acquire("run-1") if taken else None
        collected = await yard.collection().collect(rubbish, ACTOR)
        assert yard.folder("run-1").workspace.exists() == taken
        assert (collected.freed == 0) == taken
        if hold is not None:
            assert await hold.is_mine()
        await owners.close()

    with_yard(tmp_path, work)


if __name__ == "__main__":
    asyncio.run(_delete_and_stop(Path(sys.argv[1]), float(sys.argv[2])))
