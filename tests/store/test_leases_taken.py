"""Taking a run and letting it go when others are at it too: each look may be old by the time of the act."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.engine.rig import play
from tests.store.samples import Run
from tests.store.test_leases import Place, hang, until
from wfconsole.store.locks import FileLocks


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_a_process_has_a_run_once(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as leases:
            held = await leases.acquire("run-1")
            assert held is not None
            assert await leases.acquire("run-1") is None
            assert await held.is_mine()

    play(scenario)


def test_a_lease_that_nobody_has_is_left_to_who_has_the_lock_file(place: Place) -> None:
    """That process is about to take the run, or removes it."""

    async def scenario() -> None:
        async with place.process() as leases:
            held = await leases.acquire("run-1")
            assert held is not None
            await held.release()
            lock = FileLocks(place.tmp / "locks").acquire("run-1")
            assert lock is not None
            assert await leases.acquire("run-1") is None
            lock.release()
            assert await leases.acquire("run-1") is not None

    play(scenario)


def test_of_two_that_find_a_hung_owner_at_once_one_takes_its_run(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with place.process() as hung, place.process() as first, place.process() as second:
            assert await hung.acquire("run-1") is not None
            hang(hung)
            await hung.store.write(lambda db: db.execute("UPDATE owners SET expires = 1"))
            real = second.store.rows

            async def rows(text: str, parameters: tuple[str, ...]) -> list[tuple[object, ...]]:
                """What the second one finds, and then it is overtaken."""
                found = await real(text, parameters)
                assert await first.acquire("run-1") is not None
                return found

            with monkeypatch.context() as patched:
                patched.setattr(second.store, "rows", rows)
                assert await second.acquire("run-1") is None

    play(scenario)


def test_the_lock_file_of_a_run_that_another_has_is_given_back(place: Place) -> None:
    """Who replaced a hung owner has no lock file; the kernel freed it when the hung one was killed."""

    async def scenario() -> None:
        async with place.process() as hung, place.process() as owner, place.process() as other:
            held = await hung.acquire("run-1")
            assert held is not None
            assert held._lock is not None
            hang(hung)
            await hung.store.write(lambda db: db.execute("UPDATE owners SET expires = 1"))
            assert await owner.acquire("run-1") is not None
            held._lock.release()
            assert await other.acquire("run-1") is None
            lock = FileLocks(place.tmp / "locks").acquire("run-1")
            assert lock is not None
            lock.release()

    play(scenario)


def test_a_hung_owner_of_two_runs_is_known_by_its_name_for_the_second_too(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as hung, place.process() as other:
            await hung.store.commit(Run("run-2").create())
            assert await hung.acquire("run-1") is not None
            assert await hung.acquire("run-2") is not None
            hang(hung)
            await hung.store.write(lambda db: db.execute("UPDATE owners SET expires = 1 - ?", (other._ttl_ms,)))
            for run_id in ("run-1", "run-2"):
                taken = await other.acquire(run_id)
                assert taken is not None
                assert taken.crashed is not None
                assert taken.crashed.endswith(f":{os.getpid()} (hung)")

    play(scenario)


def test_a_hung_owner_that_wakes_lets_nothing_go_that_is_anothers(place: Place) -> None:
    async def scenario() -> None:
        async with place.process() as hung, place.process() as other:
            held = await hung.acquire("run-1")
            assert held is not None
            hang(hung)
            await hung.store.write(lambda db: db.execute("UPDATE owners SET expires = 1"))
            taken = await other.acquire("run-1")
            assert taken is not None
            await held.release("it woke")
            taken._confirmed = 0.0
            assert await taken.is_mine()
            assert await other.setbacks("run-1") == (0, None)

    play(scenario)


def test_the_databases_word_is_as_old_as_the_question(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is stopped between question and answer must not believe the answer as if it were new."""

    async def scenario() -> None:
        async with place.process() as asking:
            held = await asking.acquire("run-1")
            assert held is not None
            hang(asking)
            held._confirmed = 0.0
            moments = iter((100.0, 200.0, 300.0))
            with monkeypatch.context() as patched:
                patched.setattr(held, "moment", lambda: next(moments))
                assert await held.is_mine()
            assert held._confirmed == 100.0

    play(scenario)


def test_a_renewal_confirms_the_moment_at_which_it_was_begun(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with place.process() as renewing:
            held = await renewing.acquire("run-1")
            assert held is not None
            now = held.moment() + 1000.0
            real = renewing.store.rows

            async def slow(text: str, parameters: tuple[str, ...]) -> list[tuple[object, ...]]:
                """While the answer is under way, an hour passes."""
                nonlocal now
                now += 3600.0
                return await real(text, parameters)

            confirmed: list[float] = []

            async def told() -> bool:
                return bool(confirmed)

            begun = now
            with monkeypatch.context() as patched:
                patched.setattr(held, "moment", lambda: now)
                patched.setattr(held, "confirm", confirmed.append)
                patched.setattr(renewing.store, "rows", slow)
                renewing._ttl_ms = 100  # the next renewal is soon
                hang(renewing)
                renewing._renewing = asyncio.get_running_loop().create_task(renewing._renew())
                await until(told)
            assert confirmed[0] == begun

    play(scenario)


def test_a_lock_is_freed_although_a_child_that_is_being_forked_has_its_descriptor(tmp_path: Path) -> None:
    locks = FileLocks(tmp_path)
    lock = locks.acquire("run-1")
    assert lock is not None
    assert lock._descriptor is not None
    forked = os.dup(lock._descriptor)
    try:
        assert locks.acquire("run-1") is None
        lock.release()
        again = locks.acquire("run-1")
        assert again is not None
        again.release()
    finally:
        os.close(forked)
