"""Who drives what in this process: takes a run's lock, drives it, and hands commands to its loop.

On one host a lock that the kernel frees with its process says whether a run has a living owner. Attempts that a dead owner left
open are carried out again under their own number; whether that begins, adopts or gives up is the sandbox's to find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from wfconsole.domain.draft import Ruling
from wfconsole.domain.effects import CloseRun, SealBundle, StartAttempt, StopAttempt, effects
from wfconsole.domain.events import Record
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import AnyFact, TakeRun
from wfconsole.domain.plan import PURE_KINDS
from wfconsole.domain.run import RunState
from wfconsole.engine.drive import drive
from wfconsole.engine.local import LocalDriver, LocalPorts
from wfconsole.ports import WfconsoleError

_WAITING = ("awaiting_approval", "paused")
"""Only a person can go on."""


class Lock(Protocol):
    def release(self) -> None: ...


class Locks(Protocol):
    """One exclusive lock a run, freed by the kernel when its holder dies."""

    def acquire(self, run_id: str) -> Lock | None:
        """The lock, or None when a living process holds it."""
        ...


class Supervisor:
    """The runs that this process drives."""

    def __init__(self, owner: str, locks: Locks, ports_of: Callable[[str], LocalPorts]) -> None:
        self._owner = owner
        self._locks = locks
        self._ports_of = ports_of
        self._drivers: dict[str, LocalDriver] = {}

    async def drive(self, run_id: str, *, until_waiting: bool = False) -> RunState:
        """Drive the run until it is over or, with `until_waiting`, only a person can go on. Raises OWNER_LOST when taken."""
        lock = self._locks.acquire(run_id)
        if lock is None:
            raise WfconsoleError("OWNER_LOST", f"another process drives run {run_id}", f"wfconsole watch {run_id}")
        try:
            return await self._drive(run_id, until_waiting=until_waiting)
        finally:
            lock.release()

    async def _drive(self, run_id: str, *, until_waiting: bool) -> RunState:
        ports = await asyncio.to_thread(self._ports_of, run_id)
        driver = LocalDriver(run_id, ports)
        records = await driver.load(run_id)
        state = fold(records)
        if state is None:
            raise WfconsoleError("NOT_FOUND", f"there is no run {run_id}", "`wfconsole runs` lists them")
        try:
            await _take_over(driver, state, records)
            if state.is_terminal:
                return state
            self._drivers[run_id] = driver
            take = TakeRun(fact_id=f"take:{self._owner}:{state.seq}", at=ports.clock.now_ms(), owner=self._owner)
            await driver.look_into_inbox()  # what was posted while nobody drove the run is taken before it is let go

            def enough(after: RunState) -> bool:
                return until_waiting and after.status in _WAITING and not driver.has_pending

            return await drive(run_id, driver, take, enough)
        finally:
            self._drivers.pop(run_id, None)
            await driver.close()

    async def deliver(self, run_id: str, fact: AnyFact) -> Ruling | None:
        """Hand a command to the loop of a run that is driven here; None when it is not."""
        driver = self._drivers.get(run_id)
        return None if driver is None else await driver.deliver(fact)


async def _take_over(driver: LocalDriver, state: RunState, records: Sequence[Record]) -> None:
    """Go on with everything that an earlier owner had begun, wherever it died."""
    for attempt in over(state, records):
        driver.sweep(attempt, state)
    if state.is_terminal:
        await driver.start(SealBundle(), state)
        return
    if not state.started:
        await driver.introduce(state, records)
    for effect in left_behind(state, records):
        await driver.start(effect, state)
    if state.closing:
        await driver.start(CloseRun(), state)


def left_behind(state: RunState, records: Sequence[Record]) -> list[StartAttempt | StopAttempt]:
    """The attempts that an earlier owner had claimed and not ended, to be carried out under the same number, and their stops.

    One that never began is begun now; the container of one that began is adopted; one whose container is gone is abandoned.
    """
    live = _live(state)
    of_attempts = [effect for effect in effects(records) if isinstance(effect, StartAttempt | StopAttempt)]
    return [effect for effect in of_attempts if live.get(effect.step_id) == effect.attempt]


def over(state: RunState, records: Sequence[Record]) -> list[StartAttempt]:
    """The attempts whose end is recorded."""
    live = _live(state)
    claimed = [effect for effect in effects(records) if isinstance(effect, StartAttempt)]
    return [effect for effect in claimed if live.get(effect.step_id) != effect.attempt]


def _live(state: RunState) -> dict[str, int]:
    """Number of the attempt under way, by step."""
    return {
        step.step_id: step.attempt
        for step in state.all_steps()
        if step.status == "running" and state.index.steps[step.step_id].kind not in PURE_KINDS
    }
