"""Who may write a run: the database's word, whatever a process believes."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.engine.rig import play
from tests.store.samples import Run, step
from wfconsole.domain import events as ev
from wfconsole.domain.facts import TakeRun
from wfconsole.ports import Commit, Lease, WfconsoleError
from wfconsole.store import leases as module, statements as sql
from wfconsole.store.boot import boottime_ms
from wfconsole.store.leases import Leases
from wfconsole.store.locks import FileLocks
from wfconsole.store.sqlite import SqliteStore

TTL_S = 0.2


class Place:
    """A state folder with one run; each `process` has a connection and leases of its own."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self.run = Run("run-1")

    @asynccontextmanager
    async def process(self, *, ttl_s: float = 15.0) -> AsyncIterator[Leases]:
        store = SqliteStore.open(self.tmp)
        leases = Leases(store, FileLocks(self.tmp / "locks"), self.tmp / "owners", ttl_s=ttl_s)
        try:
            if not await store.load("run-1"):
                await store.commit(self.run.create())
            yield leases
        finally:
            await leases.close()
            await store.close()

    def commit(self, lease: Lease | None, *events: ev.Event, seq: int = 1) -> Commit:
        return replace(Run("run-1", seq=seq).next(*(events or step("a"))), lease=lease)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    while not await holds():  # noqa: ASYNC110  what another process does sets no event here
        await asyncio.sleep(0.01)


def test_one_process_has_a_run_and_the_next_gets_it_with_a_greater_fence(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as first, place.process() as second:
            held = await first.acquire("run-1")
            assert held is not None
            assert await second.acquire("run-1") is None
            await held.release()
            again = await second.acquire("run-1")
            assert again is not None
            assert again.lease.fence > held.lease.fence
            assert (held.crashed, again.crashed) == (None, None)

    play(scenario)


def test_a_commit_under_the_lease_is_written_and_one_without_it_is_not(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as leases:
            held = await leases.acquire("run-1")
            assert held is not None
            for lease in (
                None,
                Lease(owner="somebody", fence=held.lease.fence),
                Lease(owner=held.lease.owner, fence=held.lease.fence + 1),
            ):
                with pytest.raises(WfconsoleError) as caught:
                    await leases.store.commit(place.commit(lease))
                assert caught.value.code == "OWNER_LOST"
                assert len(await leases.store.load("run-1")) == 1
            await leases.store.commit(place.commit(held.lease))
            await held.release()
            with pytest.raises(WfconsoleError) as caught:
                await leases.store.commit(place.commit(held.lease))
            assert caught.value.code == "OWNER_LOST"

    play(scenario)


def hang(leases: Leases) -> None:
    """Its loop stands still: nothing is renewed."""
    assert leases._renewing is not None
    leases._renewing.cancel()


def test_a_hung_owner_is_replaced_after_its_time_and_fenced_when_it_wakes(place: Place) -> None:
    async def scenario() -> None:
        async with place.process(ttl_s=TTL_S) as hung, place.process(ttl_s=TTL_S) as other:
            held = await hung.acquire("run-1")
            assert held is not None
            hang(hung)
            assert await other.acquire("run-1") is None
            taken = None

            async def taken_over() -> bool:
                nonlocal taken
                taken = await other.acquire("run-1")
                return taken is not None

            await until(taken_over)
            assert taken is not None
            assert taken.crashed is not None
            assert taken.crashed.endswith(f":{os.getpid()} (hung)")
            assert not await held.is_mine()
            assert held.lost
            with pytest.raises(WfconsoleError) as caught:
                await hung.store.commit(place.commit(held.lease))
            assert caught.value.code == "OWNER_LOST"
            await taken.release()
            again = await other.acquire("run-1")  # the hung one has the lock file yet
            assert again is not None

    play(scenario)


def test_an_owner_that_was_replaced_learns_it_when_it_renews(place: Place) -> None:
    async def scenario() -> None:
        async with place.process(ttl_s=TTL_S) as slow, place.process() as other:
            held = await slow.acquire("run-1")
            assert held is not None
            await other.store.write(lambda db: db.execute(sql.LEASE_TAKEN, ("other", 9, 0, "run-1")))
            await asyncio.sleep(0)

            async def told() -> bool:
                return held.lost

            await until(told)

    play(scenario)


def test_an_answer_is_as_old_as_its_question_for_who_slept_in_between(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as slept, place.process() as other:
            held = await slept.acquire("run-1")
            assert held is not None
            held._confirmed = 0.0
            asked = held.moment() - 2 * slept.believed_s
            await other.store.write(lambda db: db.execute(sql.LEASE_TAKEN, ("other", 9, 0, "run-1")))
            held.confirm(asked)
            assert not await held.is_mine()

    play(scenario)


def test_a_lease_is_renewed_for_as_long_as_it_is_held(place: Place) -> None:
    async def scenario() -> None:
        async with place.process(ttl_s=TTL_S) as first, place.process() as second:
            held = await first.acquire("run-1")
            assert held is not None
            ends = boottime_ms() + 3 * TTL_S * 1000
            while boottime_ms() < ends:
                assert await second.acquire("run-1") is None
                await asyncio.sleep(0.01)
            assert await held.is_mine()

    play(scenario)


def test_a_dead_owner_is_replaced_at_once_whatever_its_time(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as dead, place.process() as other:
            held = await dead.acquire("run-1")
            assert held is not None
            assert held._lock is not None
            held._lock.release()  # the kernel does that
            taken = await other.acquire("run-1")
            assert taken is not None
            assert taken.crashed is not None
            assert taken.crashed.endswith("(dead)")

    play(scenario)


def test_leases_of_an_earlier_boot_hold_nothing(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as before:
            assert await before.acquire("run-1") is not None
            async with place.process() as after:
                after._me = module.Process(boot="another boot")
                assert await after.acquire("run-1") is not None

    play(scenario)


def test_setbacks_are_counted_until_something_but_a_take_over_is_written(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as leases:
            for count in (1, 2):
                held = await leases.acquire("run-1")
                assert held is not None
                await held.release("it will not")
                assert await leases.setbacks("run-1") == (count, "it will not")
            held = await leases.acquire("run-1")
            assert held is not None
            take = TakeRun(fact_id="take", at=0, owner="me")
            taken = place.commit(held.lease, ev.OwnerChanged(owner="me"))
            await leases.store.commit(replace(taken, fact=take))
            assert (await leases.setbacks("run-1"))[0] == 2
            await leases.store.commit(place.commit(held.lease, seq=2))
            assert (await leases.setbacks("run-1"))[0] == 0

    play(scenario)


def test_a_hint_reaches_the_owner_and_nobody_else_is_needed(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as owner, place.process() as other:
            heard: asyncio.Queue[str] = asyncio.Queue()
            owner.on_hint(heard.put_nowait)
            assert await owner.acquire("run-1", listens=True) is not None
            await other.hint("run-1")
            assert await heard.get() == "run-1"
            await other.hint("nobody-has-it")
            assert list((place.tmp / "owners").iterdir()) != []
        assert list((place.tmp / "owners").iterdir()) == []

    play(scenario)


def test_a_hint_to_an_owner_that_is_gone_is_nothing(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as owner, place.process() as other:
            owner.on_hint(lambda _run_id: None)
            assert await owner.acquire("run-1", listens=True) is not None
            next((place.tmp / "owners").iterdir()).unlink()
            await other.hint("run-1")

    play(scenario)
