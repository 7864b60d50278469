"""The engine's thread: its own event loop, the door, and the way back to the terminal's loop.

Owns both directions of the seam. Work goes over as a function of the door; what comes back is a value, or a stream of which
the newest value alone counts. Refuses to know widgets. The decision that would surprise: a subscriber that does not take its
value loses all but the newest one, so that a stalled terminal costs the engine neither memory nor time.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from wfconsole.control.door import Door

_Value = TypeVar("_Value")
_STOP_SECONDS = 2.0
_HELD_SECONDS = 1.0


class Mailbox(Generic[_Value]):
    """The newest value, on its way from the engine's thread to the terminal's loop. `put` never waits."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[_Value], None], interval: float) -> None:
        self._loop = loop
        self._deliver = deliver
        self._interval = interval
        self._guard = threading.Lock()
        self._value: list[_Value] = []
        self._scheduled = False
        self._not_before = 0.0
        self.closed = False

    def put(self, value: _Value) -> None:
        """From any thread."""
        with self._guard:
            self._value[:] = [value]
            if self._scheduled or self.closed:
                return
            self._scheduled = True
        try:
            self._loop.call_soon_threadsafe(self._plan)
        except RuntimeError:  # the terminal's loop is closed: nobody looks any more
            self.closed = True

    def _plan(self) -> None:
        """At most one delivery in `interval` seconds; the first comes at once."""
        wait = max(0.0, self._not_before - self._loop.time())
        self._loop.call_later(wait, self._drain) if wait else self._drain()

    def _drain(self) -> None:
        with self._guard:
            self._scheduled = False
            values, self._value = self._value, []
        self._not_before = self._loop.time() + self._interval
        for value in values:
            if not self.closed:
                self._deliver(value)


class Stream:
    """A running subscription; `stop` ends it and lets nothing more through."""

    def __init__(self, mailbox: Mailbox[Any], task: Future[None]) -> None:
        self._mailbox = mailbox
        self._task = task

    def stop(self) -> None:
        self._mailbox.closed = True
        self._task.cancel()


class Engine:
    """One thread with one event loop and one door, from `start` to `stop`. Methods are called on the terminal's loop."""

    def __init__(self, open_door: Callable[[], Awaitable[Door]], *, interval: float = 0.1) -> None:
        self._open_door = open_door
        self.interval = interval
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self._started = threading.Event()
        self._door: Future[Door] = Future()
        self._door.set_running_or_notify_cancel()  # a screen that is left before the store is open cancels its wait alone
        self._stopping: asyncio.Event | None = None
        self._may_open: asyncio.Event | None = None
        self._asked: set[Future[Any]] = set()
        self.driven: dict[str, asyncio.Task[None]] = {}
        """Runs that this process drives, by id; changed on the engine's loop only."""

    def start(self) -> None:
        self._thread.start()
        self._started.wait()

    def _main(self) -> None:
        asyncio.run(self._life())

    async def _life(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopping = asyncio.Event()
        self._may_open = asyncio.Event()
        self._started.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._may_open.wait(), _HELD_SECONDS)
        try:
            self._door.set_result(await self._open_door())
        except BaseException as error:  # noqa: BLE001 - told to everyone who asks for the door
            self._door.set_exception(error)
            await self._stopping.wait()
            return
        await self._stopping.wait()
        driven = list(self.driven.values())
        for task in driven:
            task.cancel()
        await asyncio.gather(*driven, return_exceptions=True)
        await self._door.result().close()

    def go(self) -> None:
        """Open the door now: the first picture is drawn. Without this it is opened a second after `start`."""
        if self._loop is not None and self._may_open is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._may_open.set)

    def call(self, work: Callable[[Door], Awaitable[_Value]]) -> asyncio.Future[_Value]:
        """Carry out `work` on the engine's loop; its value or its exception here. Raises what opening the door raised."""

        async def inside() -> _Value:
            return await work(await asyncio.wrap_future(self._door))

        asked = self._submit(inside())
        self._asked.add(asked)
        asked.add_done_callback(self._asked.discard)
        return asyncio.wrap_future(asked)

    async def answered(self) -> None:
        """Until nobody waits for an answer of `call`."""
        while self._asked:
            await asyncio.wait([asyncio.wrap_future(one) for one in tuple(self._asked)])

    def stream(
        self, work: Callable[[Door], AsyncIterator[_Value]], deliver: Callable[[_Value], None],
        failed: Callable[[BaseException], None],
    ) -> Stream:  # fmt: skip
        """Deliver the newest value of `work` here, at most one each `interval` seconds; `failed` gets its exception."""
        loop = asyncio.get_running_loop()
        mailbox: Mailbox[_Value] = Mailbox(loop, deliver, self.interval)

        async def inside() -> None:
            try:
                async for value in work(await asyncio.wrap_future(self._door)):
                    if mailbox.closed:
                        return
                    mailbox.put(value)
            except Exception as error:  # noqa: BLE001 - told to the subscriber
                if not mailbox.closed and not loop.is_closed():
                    loop.call_soon_threadsafe(failed, error)

        return Stream(mailbox, self._submit(inside()))

    def drive(self, run_id: str, ended: Callable[[str, BaseException | None], None]) -> None:
        """Own the run in this process until it is over. `ended` is told here; with OWNER_LOST when another owns it."""
        loop = asyncio.get_running_loop()

        async def inside() -> None:
            if run_id in self.driven:
                return
            task = asyncio.ensure_future((await asyncio.wrap_future(self._door)).drive(run_id))
            self.driven[run_id] = task
            error: BaseException | None = None
            try:
                await task
            except (Exception, asyncio.CancelledError) as caught:  # noqa: BLE001 - told to whoever asked
                error = caught
            finally:
                self.driven.pop(run_id, None)
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended, run_id, error)

        self._submit(inside())

    async def idle(self) -> None:
        """Until this process drives no run."""

        async def inside() -> None:
            while self.driven:
                await asyncio.wait(list(self.driven.values()))
                await asyncio.sleep(0)

        await asyncio.wrap_future(self._submit(inside()))

    def _submit(self, work: Coroutine[Any, Any, _Value]) -> Future[_Value]:
        if self._loop is None or self._loop.is_closed():
            work.close()
            raise RuntimeError("the engine's thread is not running")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def stop(self, seconds: float = _STOP_SECONDS) -> bool:
        """Let go of every run (their containers go on) and of the door; whether that was done within `seconds`."""
        if self._loop is not None and self._stopping is not None and not self._loop.is_closed():
            self.go()
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(seconds)
        return not self._thread.is_alive()
