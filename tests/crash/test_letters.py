"""SIGSTOP of a real owner that has a letter to send: when it wakes there is one letter, or none when the run was cancelled."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from tests.crash.owner import DiskRig, asleep, create, opened, until
from tests.crash.test_hang import TTL_S
from tests.crash.test_kill import journal, owner
from tests.engine.rig import ACTOR, plan
from tests.fakes.post import Post
from wfconsole.delivery import mailer
from wfconsole.domain.events import Event, OwnerChanged, RunCancelled, RunSucceeded
from wfconsole.domain.facts import CancelRun
from wfconsole.domain.plan import EmailBody, Plan, RetryPolicy, StepPlan
from wfconsole.engine.signals import OUTSIDE
from wfconsole.store import check, database
from wfconsole.store.leases import CONFIRMED_S

SHORT_S = 1.0
"""How long an owner gives its letter that is to be late."""


def letter(**more: object) -> Plan:
    body = EmailBody(via="mail", to=["ann@example.org"], subject="Hello", body="one\n")
    return plan(StepPlan(step_id="mail", kind="email", body=body, **more))  # type: ignore[arg-type]


@pytest.fixture
def post() -> Iterator[Post]:
    with Post() as server:
        yield server


def stopped_at(folder: Path, post: Post, point: str, nth: int, ttl_s: float = TTL_S) -> subprocess.Popen[str]:
    """A process that has stopped itself at that point."""
    options = ("--at", point, "--nth", str(nth), "--signal", "STOP", "--ttl", str(ttl_s), "--smtp", str(post.port))
    process = owner(folder, *options, "--drive", "run-1")
    asleep(process, point)
    return process


@asynccontextmanager
async def taking_over(folder: Path, post: Post) -> AsyncIterator[DiskRig]:
    """Another owner, at work in this process; what it is given is for looking on."""

    async def drive() -> None:
        async with opened(folder, ttl_s=TTL_S, smtp=post.port) as rig:
            await rig.worker(lambda _text: None).run(until_idle=False)

    async with opened(folder) as rig:
        taking = asyncio.create_task(drive())
        try:
            yield rig
        finally:
            taking.cancel()
            await asyncio.gather(taking, return_exceptions=True)


async def recorded(rig: DiskRig, kind: type[Event]) -> None:
    async def there() -> bool:
        return any(isinstance(record.event, kind) for record in await rig.store.load("run-1"))

    await until(there)


def play(scenario: Callable[[], object]) -> None:
    asyncio.run(asyncio.wait_for(scenario(), 60))  # type: ignore[arg-type]


def woken(process: subprocess.Popen[str]) -> None:
    """It goes on, and finds that the run is another's."""
    process.send_signal(signal.SIGCONT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1, err
    assert "another process" in err


def nobody_sends(folder: Path) -> None:
    """A sender lives on without the owner that started it."""
    (box,) = folder.glob("runs/*/outbox/mail")
    with (box / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def test_w3_an_owner_that_wakes_after_its_run_was_cancelled_sends_nothing(tmp_path: Path, post: Post) -> None:
    """Its time is long, so that it does not renew its row, and learns of the loss, before it comes to the letter."""
    create(tmp_path, letter())
    process = stopped_at(tmp_path, post, "committed", 1, ttl_s=600)  # the attempt is claimed, and not begun
    asleep_since = time.monotonic()
    with closing(sqlite3.connect(tmp_path / database.NAME, timeout=20)) as db, db:
        db.execute("UPDATE owners SET expires = 0")

    async def scenario() -> None:
        async with opened(tmp_path, smtp=post.port) as rig:
            answer = await rig.office().send("run-1", CancelRun(fact_id="stop", at=rig.clock.now_ms(), actor=ACTOR))
            assert answer.refusal is None
            await recorded(rig, RunCancelled)

            async def old() -> bool:
                return time.monotonic() - asleep_since > CONFIRMED_S

            await until(old)

    try:
        play(scenario)
        before = journal(tmp_path)
        woken(process)
        nobody_sends(tmp_path)
    finally:
        process.kill()
    assert (post.data, journal(tmp_path)) == ([], before)
    assert check.verify(tmp_path / database.NAME) == []


@pytest.mark.parametrize(("point", "nth"), [("sending", 1), ("sending", 2), ("permitted", 1), ("permitted", 2)])
def test_w3_an_owner_that_stopped_with_the_outbox_in_hand_and_its_successor_send_one_letter(
    tmp_path: Path, post: Post, point: str, nth: int
) -> None:
    create(tmp_path, letter())
    process = stopped_at(tmp_path, post, point, nth)

    async def scenario() -> None:
        async with taking_over(tmp_path, post) as rig:
            await recorded(rig, OwnerChanged)
            await asyncio.to_thread(woken, process)
            await recorded(rig, RunSucceeded)

    try:
        play(scenario)
    finally:
        process.kill()
    assert (len(post.data), len(post.box)) == (1, 1)
    (done,) = [record.event for record in journal(tmp_path) if isinstance(record.event, RunSucceeded)]
    assert done is not None
    assert check.verify(tmp_path / database.NAME) == []


def test_w3_an_owner_that_stopped_while_its_letter_was_under_way_has_its_successor_tell_of_it(
    tmp_path: Path, post: Post
) -> None:
    create(tmp_path, letter())
    process = owner(tmp_path, "--ttl", str(TTL_S), "--smtp", str(post.port), "--drive", "run-1")
    stopped = threading.Event()

    def stop() -> None:
        _stop(process, tmp_path)
        stopped.set()

    post.at["data"] = stop

    async def scenario() -> None:
        assert await asyncio.to_thread(stopped.wait, 30)
        async with taking_over(tmp_path, post) as rig:
            await recorded(rig, RunSucceeded)

    try:
        play(scenario)
        before = journal(tmp_path)
        assert any(isinstance(record.event, OwnerChanged) for record in before)
        woken(process)
    finally:
        process.kill()
    assert (len(post.data), len(post.box)) == (1, 1)
    assert journal(tmp_path) == before


def test_w3_an_owner_that_wakes_late_does_not_stop_the_sender_of_its_successor(tmp_path: Path, post: Post) -> None:
    """Its own sender was refused long ago; it waits for whoever has the outbox, and is over its time."""
    create(tmp_path, letter(retry=RetryPolicy(attempts=2, backoff_ms=1)))
    options = ("--smtp", str(post.port), "--letter", str(SHORT_S))
    process = owner(tmp_path, "--ttl", str(TTL_S), *options, "--drive", "run-1")
    stopped, waits_until = threading.Event(), [0.0]

    def first() -> str:
        post.at["data"] = second
        waits_until[0] = time.monotonic() + SHORT_S + mailer.GRACE_S
        _stop(process, tmp_path)
        stopped.set()
        return "451 4.7.1 greylisted"

    def second() -> None:
        post.at.clear()
        while time.monotonic() < waits_until[0] + 0.2:
            time.sleep(0.05)
        woken(process)

    post.at["data"] = first

    async def scenario() -> None:
        assert await asyncio.to_thread(stopped.wait, 30)
        async with taking_over(tmp_path, post) as rig:
            await recorded(rig, RunSucceeded)

    try:
        play(scenario)
    finally:
        process.kill()
    assert (len(post.data), len(post.box)) == (2, 1)
    assert journal(tmp_path)[-1].event.outputs is not None  # type: ignore[union-attr]


def _stop(process: subprocess.Popen[str], folder: Path) -> None:
    """Stop the owner between two of its transactions: inside one it would keep the file's lock for as long as it sleeps."""
    with closing(sqlite3.connect(folder / database.NAME, isolation_level=None, timeout=20)) as db:
        db.execute("BEGIN IMMEDIATE")
        os.kill(process.pid, signal.SIGSTOP)
        db.execute("ROLLBACK")


@pytest.mark.parametrize("point", OUTSIDE)
@pytest.mark.parametrize("nth", [1, 2])
def test_w3_killed_right_before_the_letter_goes_out_the_next_owner_sends_it(
    tmp_path: Path, post: Post, point: str, nth: int
) -> None:
    create(tmp_path, letter())
    process = owner(tmp_path, "--at", point, "--nth", str(nth), "--smtp", str(post.port))
    _, err = process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL, err

    async def scenario() -> None:
        async with opened(tmp_path, smtp=post.port) as rig:
            await rig.worker(lambda _text: None).run(until_idle=True)

    play(scenario)
    assert isinstance(journal(tmp_path)[-1].event, RunSucceeded)
    assert (len(post.data), len(post.box)) == (1, 1)
    assert check.verify(tmp_path / database.NAME) == []
