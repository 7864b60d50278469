"""Following a run to its end: records in, a display told about them, Ctrl-C turned into commands.

Owns the order of things at the end: the run's last record is shown, then the driver has sealed the bundle, then the display
says how it went. Refuses to know how a display looks. The decision that would surprise: a run outlives its terminal. When nobody
reads our output any more it goes on to its end in silence, and when the terminal is gone a detached worker goes on with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import signal
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from wfconsole.cli import exit_codes
from wfconsole.cli.session import Session
from wfconsole.control.door import Door
from wfconsole.domain.events import Record
from wfconsole.domain.facts import CancelRun
from wfconsole.ports import WfconsoleError
from wfconsole.views.run_view import RunViewBuilder

STOPPING = "stopping; press Ctrl-C again to stop at once"
STOPPING_AT_ONCE = "stopping at once"


OWNER_LOOK_S = 1.0
"""How often a run that another process drives is asked for: its owner can let go, or die without a trace."""


class Display(Protocol):
    """What a person or a program sees of a run. Called in this order: add and tick any number of times, note, end."""

    @property
    def interval(self) -> float | None:
        """Seconds between ticks; None for a display that only changes with records."""
        ...

    def add(self, record: Record, view: RunViewBuilder) -> None: ...

    def tick(self, view: RunViewBuilder) -> None:
        """Show what was added; also called when only time has passed."""
        ...

    def note(self, text: str) -> None: ...

    def end(self, view: RunViewBuilder) -> None: ...

    def leave(self) -> None:
        """Give the terminal back as it was, however the following ended; called last, also after `end`."""
        ...


@dataclass(slots=True)
class Follow:
    """One run being followed, and after a rejection the one that goes on from it.

    `drives`: this process owns the run, so Ctrl-C cancels it; else Ctrl-C only ends the watching.
    """

    session: Session
    door: Door
    run_id: str
    display: Display
    drives: bool
    until_waiting: bool = False
    view: RunViewBuilder = field(default_factory=RunViewBuilder)
    interrupts: int = 0
    muted: bool = False
    hung_up: bool = False
    wants_to_drive: bool = field(init=False)
    _inbox: asyncio.Queue[Sequence[Record] | BaseException | None] = field(default_factory=asyncio.Queue)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _left: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.wants_to_drive = self.drives

    async def to_end(self, seen: Sequence[Record] = ()) -> int:
        """Follow until the run is over, or only a person can go on; the exit status. `seen` is the journal so far."""
        try:
            with _signals(self._interrupt, self._hang_up):
                await self._follow(seen)
                while self.view.successor is not None and not self.interrupts and not self.hung_up:
                    await self._follow(await self._move_on(self.view.successor))
            self._show(self.display.end, self.view)
        finally:
            self._show(self.display.leave)
        if self.hung_up and not self.view.is_over:
            return self._left_to_a_worker()
        return exit_codes.of_run(self.view.document(), interrupted=self.interrupts > 0)

    def _left_to_a_worker(self) -> int:
        """The terminal is gone: what we drove goes on without one."""
        if self.drives:
            self.session.wiring.detach()
        return exit_codes.HUNG_UP

    async def _move_on(self, successor: str) -> Sequence[Record]:
        """A rejection has made the run go on in another one: follow that; its journal so far."""
        self._show(self.display.note, f"run {self.run_id} was rejected and goes on as run {successor}")
        self.run_id, self.view, self._inbox = successor, RunViewBuilder(), asyncio.Queue()
        self.drives = self.wants_to_drive
        return (await self.door.records(successor))[1]

    async def _follow(self, seen: Sequence[Record]) -> None:
        self._take(seen)
        self._left = asyncio.Event()
        driver = asyncio.ensure_future(self._drive()) if self.drives and not self.view.is_over else None
        try:
            if not self.view.is_over:
                await self._loop()
            if driver is not None and not self.view.is_over and not self._waits():
                driver.cancel()  # one that has come to a stop by itself still removes its containers
            self._left.set()
            if driver is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await driver
        finally:
            tasks = [*self._tasks, *([driver] if driver else [])]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _loop(self) -> None:
        self._spawn(self._pump(self.door.watch(self.run_id, self.view.seq)))
        while not self._is_done():
            try:
                item = await asyncio.wait_for(self._inbox.get(), self.display.interval)
            except TimeoutError:
                self._show(self.display.tick, self.view)
                continue
            if isinstance(item, BaseException):
                raise item
            if item is None:
                return
            self._take(item)

    def _waits(self) -> bool:
        return self.until_waiting and self.view.status in {"awaiting_approval", "paused"}

    def _is_done(self) -> bool:
        left = self.hung_up or self.interrupts > (2 if self.drives else 0)
        return self.view.is_over or self._waits() or left

    def _take(self, records: Sequence[Record]) -> None:
        for record in records:
            self.view.add(record)
            self._show(self.display.add, record, self.view)
        if records:
            self._show(self.display.tick, self.view)

    def _show(self, what: Any, *arguments: Any) -> None:
        if self.muted:
            return
        try:
            what(*arguments)
        except BrokenPipeError:
            if not self.drives:
                raise
            self.muted = True
        except OSError as error:
            if error.errno != errno.EIO:  # a terminal that is gone says so before its signal comes
                raise
            self._hang_up()

    def _hang_up(self) -> None:
        self.hung_up = self.muted = True
        self._inbox.put_nowait(())  # only wakes the loop

    async def _drive(self) -> None:
        """Own the run; while another process does, watch it, and take it over when that one has let go."""
        while not self._is_done():
            try:
                await self._own()
            except Exception as error:  # noqa: BLE001 - told to the loop, which ends with it
                if not isinstance(error, WfconsoleError) or error.code != "OWNER_LOST":
                    await self._inbox.put(error)
                    return
                if self.drives:
                    self._show(self.display.note, f"{error.message}; watching it")
                self.drives = False
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._left.wait(), OWNER_LOOK_S)
            else:
                return

    async def _own(self) -> None:
        """Drive; who was refused is told at once, so whoever is still at it after a moment owns the run."""
        driving = asyncio.ensure_future(self.door.drive(self.run_id, until_waiting=self.until_waiting))
        try:
            await asyncio.wait({driving}, timeout=OWNER_LOOK_S)
            self.drives = self.drives or not driving.done()
            await driving
        finally:
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)

    async def _pump(self, changes: AsyncIterator[Sequence[Record]]) -> None:
        try:
            async for records in changes:
                await self._inbox.put(records)
            await self._inbox.put(None)
        except Exception as error:  # noqa: BLE001 - told to the loop, which ends with it
            await self._inbox.put(error)

    def _spawn(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _interrupt(self) -> None:
        """Ctrl-C: once ends the run cleanly, twice at once, a third time leaves it to itself."""
        self.interrupts += 1
        if self.drives and self.interrupts <= 2 and not self.view.is_over:
            force = self.interrupts == 2
            self._show(self.display.note, STOPPING_AT_ONCE if force else STOPPING)
            self._spawn(self._cancel(force=force))
        else:
            self._inbox.put_nowait(())  # only wakes the loop, which then sees that it is to end

    async def _cancel(self, *, force: bool) -> None:
        fact = CancelRun(
            fact_id=f"cli:{uuid.uuid4().hex}",
            at=self.session.wiring.now_ms(),
            actor=self.session.wiring.actor(),
            reason="interrupted at the terminal",
            force=force,
        )
        try:
            await self.door.send(self.run_id, fact)
        except WfconsoleError as error:
            self._show(self.display.note, f"the run could not be stopped: {error.code}: {error.message}")


@contextlib.contextmanager
def _signals(interrupt: Any, hang_up: Any) -> Iterator[None]:
    """Ctrl-C and a polite kill go to `interrupt`, a lost terminal to `hang_up` unless nohup keeps it away; as before later."""
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    for number, handler in ((signal.SIGINT, interrupt), (signal.SIGTERM, interrupt), (signal.SIGHUP, hang_up)):
        if number == signal.SIGHUP and signal.getsignal(number) == signal.SIG_IGN:
            continue
        # Only the main thread of the main interpreter may do this; elsewhere the caller's own handling stays.
        with contextlib.suppress(ValueError, RuntimeError, NotImplementedError):
            loop.add_signal_handler(number, handler)
            taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


def display_for(session: Session, *, as_json: bool, environ: Mapping[str, str]) -> Display:
    """The display that suits the output: objects, a live view, or plain lines."""
    from wfconsole.cli.plain import JsonDisplay, PlainDisplay

    out = session.out
    if as_json:
        return JsonDisplay(out)
    if out.is_terminal and environ.get("TERM", "") not in {"", "dumb"}:
        from wfconsole.cli.live import LiveDisplay

        return LiveDisplay(out, session.wiring.now_ms)
    return PlainDisplay(out)
