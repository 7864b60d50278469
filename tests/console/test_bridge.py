from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator

import pytest

from tests.console.rig import Rig, until
from tests.fakes.journals import Journal, plan, step
from wfconsole.console.bridge import Engine, Mailbox
from wfconsole.control.door import Door
from wfconsole.ports import RunFilter, WfconsoleError


def test_work_is_carried_out_on_the_engines_thread_and_its_errors_come_back(rig: Rig) -> None:
    async def scenario() -> None:
        engine = Engine(rig.desk._open)
        engine.start()

        async def where(_: Door) -> str:
            return threading.current_thread().name

        async def fails(_: Door) -> None:
            raise WfconsoleError("NOT_FOUND", "no run x")

        assert await engine.call(where) == "engine"
        with pytest.raises(WfconsoleError, match="no run x"):
            await engine.call(fails)
        assert engine.stop()

    asyncio.run(scenario())


def test_a_door_that_does_not_open_tells_everyone_who_asks(rig: Rig) -> None:
    async def broken() -> Door:
        raise WfconsoleError("STORE_CORRUPT", "the store is damaged")

    async def scenario() -> None:
        engine = Engine(broken)
        engine.start()
        for _ in range(2):
            with pytest.raises(WfconsoleError, match="damaged"):
                await engine.call(lambda door: door.runs(None))  # type: ignore[arg-type]
        assert engine.stop()

    asyncio.run(scenario())


def test_a_reader_that_stalls_gets_only_the_newest_value() -> None:
    async def scenario() -> None:
        got: list[int] = []
        done = asyncio.Event()

        def deliver(value: int) -> None:
            got.append(value)
            if value == 9_999:
                done.set()

        mailbox: Mailbox[int] = Mailbox(asyncio.get_running_loop(), deliver, 0.0)
        writer = threading.Thread(target=lambda: deque(map(mailbox.put, range(10_000)), maxlen=0))
        writer.start()
        writer.join()  # this loop does not run meanwhile, as when the terminal does not read
        async with asyncio.timeout(5):
            await done.wait()
        assert got == [9_999]

    asyncio.run(scenario())


def test_values_come_no_oftener_than_the_interval_and_the_last_one_always_comes() -> None:
    async def scenario() -> None:
        loop, times, got = asyncio.get_running_loop(), [], []
        done = asyncio.Event()

        def deliver(value: int) -> None:
            times.append(loop.time())
            got.append(value)
            if value == 50:
                done.set()

        mailbox: Mailbox[int] = Mailbox(loop, deliver, 0.02)
        for value in range(51):
            mailbox.put(value)
            await asyncio.sleep(0)
        async with asyncio.timeout(5):
            await done.wait()
        assert got[-1] == 50
        assert all(later - earlier >= 0.019 for earlier, later in itertools.pairwise(times))

    asyncio.run(scenario())


def test_a_stream_that_was_stopped_delivers_nothing_more(rig: Rig) -> None:
    async def scenario() -> None:
        engine = Engine(rig.desk._open, interval=0.0)
        engine.start()
        got: list[int] = []
        first = asyncio.Event()

        async def numbers(_: Door) -> AsyncIterator[int]:
            for number in range(1_000_000):
                yield number
                await asyncio.sleep(0)

        def deliver(number: int) -> None:
            got.append(number)
            first.set()

        stream = engine.stream(numbers, deliver, lambda error: pytest.fail(str(error)))
        async with asyncio.timeout(5):
            await first.wait()
        stream.stop()
        seen = len(got)

        async def nothing(_: Door) -> None:
            return None

        for _ in range(20):
            await engine.call(nothing)
        assert len(got) == seen
        assert engine.stop()

    asyncio.run(scenario())


def test_an_error_of_a_stream_is_told(rig: Rig) -> None:
    async def scenario() -> None:
        engine = Engine(rig.desk._open)
        engine.start()
        told: list[BaseException] = []
        done = asyncio.Event()

        async def broken(door: Door) -> AsyncIterator[int]:
            yield len(await door.runs(RunFilter()))
            raise WfconsoleError("STORE_BUSY", "busy")

        def failed(error: BaseException) -> None:
            told.append(error)
            done.set()

        engine.stream(broken, lambda _: None, failed)
        async with asyncio.timeout(5):
            await done.wait()
        assert isinstance(told[0], WfconsoleError)
        assert engine.stop()

    asyncio.run(scenario())


def test_a_run_is_driven_to_its_end_while_the_terminals_loop_is_stuck(rig: Rig) -> None:
    run_id = rig.desk.door.add(Journal(plan(step("a"), step("b", "a"))))
    finished = threading.Event()
    rig.desk.door.on_finish = finished.set

    async def scenario() -> None:
        engine = Engine(rig.desk._open)
        engine.start()
        ended: list[BaseException | None] = []
        engine.drive(run_id, lambda _, error: ended.append(error))
        assert finished.wait(5)  # blocks this loop on purpose
        assert ended == []
        await asyncio.wait_for(engine.idle(), 5)
        await asyncio.sleep(0)
        assert engine.stop()

    asyncio.run(scenario())


def test_answered_comes_when_nobody_waits_for_an_answer_any_more(rig: Rig) -> None:
    go = threading.Event()

    async def scenario() -> None:
        engine = Engine(rig.desk._open)
        engine.start()
        await asyncio.wait_for(engine.answered(), 5)

        async def slow(_: Door) -> int:
            return int(await asyncio.to_thread(go.wait, 5))

        asked = engine.call(slow)
        answered = asyncio.ensure_future(engine.answered())
        await asyncio.sleep(0)
        assert not answered.done()
        go.set()
        assert await asked == 1
        await asyncio.wait_for(answered, 5)
        assert engine.stop()

    asyncio.run(scenario())


def test_leaving_with_runs_under_way_asks_and_detaches(rig: Rig) -> None:
    run_id = rig.desk.door.add(Journal(plan(step("a"))))
    rig.desk.door.results = lambda *_: None  # the attempt never ends

    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            app.drive(run_id)
            await until(pilot, lambda: run_id in app.engine.driven)
            await pilot.press("ctrl+q")
            await until(pilot, lambda: app.board is None)
            await pilot.press("escape")
            await until(pilot, lambda: app.board is not None)
            assert app.is_running
            await pilot.press("ctrl+q")
            await until(pilot, lambda: app.board is None)
            await pilot.press("enter")
            await until(pilot, lambda: not app.is_running or app.return_code is not None)
        assert app.detached

    asyncio.run(scenario())
    assert rig.desk.detached == 1


def test_leaving_without_runs_asks_nothing(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.open() as (app, pilot):
            await pilot.press("ctrl+q")
            await until(pilot, lambda: app.return_code is not None)

    asyncio.run(scenario())
    assert rig.desk.detached == 0
