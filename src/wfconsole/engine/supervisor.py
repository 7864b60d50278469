"""Who drives what in this process: takes a run's lock, drives it, and hands commands to its loop.

Refuses to know how leases are kept. A run that cannot be driven is set aside after three attempts. Attempts that a dead owner
left open are carried out again under their own number; whether that begins, adopts or gives up is the sandbox's to find out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from wfconsole.domain.draft import Ruling
from wfconsole.domain.effects import (
    CloseRun,
    KeepWorkspace,
    SealBundle,
    StartAttempt,
    StopAttempt,
    TellOperator,
    effects,
)
from wfconsole.domain.events import Record
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import AnyFact, TakeRun
from wfconsole.domain.plan import PURE_KINDS
from wfconsole.domain.run import RunState
from wfconsole.engine.drive import drive
from wfconsole.engine.held import owner_lost
from wfconsole.engine.local import LocalDriver, LocalPorts
from wfconsole.engine.quarantine import SettingAside, quarantined
from wfconsole.engine.recovery import Recovery
from wfconsole.engine.succession import Preparer
from wfconsole.ports import WfconsoleError
from wfconsole.ports.owning import Hold, Holds

_WAITING = ("awaiting_approval", "paused")
"""Only a person can go on."""


MAX_SETBACKS = 3
"""After so many failures to drive a run, with nothing written in between, it is set aside."""

_NOT_THE_RUNS = frozenset(
    {
        "OWNER_LOST", "STORE_BUSY", "STORE_CORRUPT", "STORE_TOO_NEW", "DISK_FULL", "NOT_FOUND", "SANDBOX_UNAVAILABLE",
        "RUN_QUARANTINED",
    }
)  # fmt: skip
"""What keeps any run from being driven, and says nothing against this one."""


class Supervisor:
    """The runs that this process drives.

    `prepare` makes the folder of a successor before anything is done with it. `say` is told what was found of each run whose
    owner had died or hung.
    """

    def __init__(
        self,
        owner: str,
        holds: Holds,
        ports_of: Callable[[str], LocalPorts],
        prepare: Preparer | None = None,
        say: Callable[[str], None] = lambda _: None,
        set_aside: SettingAside | None = None,
    ) -> None:
        self._owner = owner
        self._holds = holds
        self._say = say
        self._ports_of = ports_of
        self._prepare = prepare
        self._set_aside = set_aside
        self._drivers: dict[str, LocalDriver] = {}

    async def drive(self, run_id: str, *, until_waiting: bool = False) -> RunState:
        """Drive the run until it is over or, with `until_waiting`, only a person can go on.

        Raises OWNER_LOST when another process has it or has taken it meanwhile, RUN_QUARANTINED when driving it has failed
        three times in a row.
        """
        count, trouble = await self._holds.setbacks(run_id)
        if count >= MAX_SETBACKS:
            raise quarantined(run_id, count, trouble)
        hold = await self._holds.acquire(run_id, listens=True)
        if hold is None:
            raise owner_lost(run_id)
        try:
            state = await self._drive(run_id, hold, until_waiting=until_waiting)
        except Exception as error:
            await self._let_go(run_id, hold, error)
            count, trouble = await self._holds.setbacks(run_id)
            if count >= MAX_SETBACKS:
                raise quarantined(run_id, count, trouble) from error
            if count and isinstance(error, WfconsoleError) and error.code not in _NOT_THE_RUNS:
                error.details["recovery_attempts"] = count
            raise
        except BaseException:
            await hold.release()
            raise
        await hold.release()
        return state

    async def _let_go(self, run_id: str, hold: Hold, error: Exception) -> None:
        """Of a run that could not be driven; before the last time is counted it goes on record."""
        setback = _setback(error)
        if setback is not None and self._set_aside is not None:
            count, _ = await self._holds.setbacks(run_id)
            if count + 1 >= MAX_SETBACKS:
                with suppress(Exception):  # see `quarantine`: the count alone sets it aside then
                    await self._set_aside(run_id, hold, count + 1, _as_ours(error))
        await hold.release(setback)

    async def _drive(self, run_id: str, hold: Hold, *, until_waiting: bool) -> RunState:
        if self._prepare is not None:
            await self._prepare(run_id)
        ports = await asyncio.to_thread(self._ports_of, run_id)
        ports.signals.emit("taken", run_id)
        driver = LocalDriver(run_id, ports, hold, self._owner)
        records = await driver.load(run_id)
        state = fold(records)
        if state is None:
            raise WfconsoleError("NOT_FOUND", f"there is no run {run_id}", "`wfconsole runs` lists them")
        if state.aside is not None:
            raise quarantined(run_id, state.aside.attempts, f"{state.aside.code}: {state.aside.message}")
        if hold.crashed is not None and state.started:
            names = [f"{each.step_id}#{each.attempt}" for each in left_behind(state, records) if _is_start(each)]
            driver.recovery = Recovery(run_id, hold.crashed, records, names, self._say)
        try:
            await _take_over(driver, state, records)
            if state.is_terminal:
                return state
            self._drivers[run_id] = driver
            await driver.look_into_inbox()  # what was posted while nobody drove the run is taken before it is let go
            at = min((ports.clock.now_ms(), *driver.decisions_at))  # a deadline between must not overtake a decision
            take = TakeRun(fact_id=f"take:{self._owner}:{state.seq}", at=at, owner=self._owner)

            def enough(after: RunState) -> bool:
                return until_waiting and after.status in _WAITING and not driver.has_pending

            return await drive(run_id, driver, take, enough)
        finally:
            self._drivers.pop(run_id, None)
            if driver.recovery is not None:
                driver.recovery.tell()
            await driver.close()
            ports.signals.emit("released", run_id)

    async def deliver(self, run_id: str, fact: AnyFact) -> Ruling | None:
        """Hand a command to the loop of a run that is driven here; None when it is not."""
        driver = self._drivers.get(run_id)
        return None if driver is None else await driver.deliver(fact)

    def nudge(self, run_id: str) -> None:
        """There may be something in the inbox of that run."""
        driver = self._drivers.get(run_id)
        if driver is not None:
            driver.nudge()


def _is_start(effect: StartAttempt | StopAttempt) -> bool:
    return isinstance(effect, StartAttempt)


def _setback(error: Exception) -> str | None:
    """What `error` says against the run; None when it concerns all runs alike."""
    ours = _as_ours(error)
    return None if ours.code in _NOT_THE_RUNS else f"{ours.code}: {ours.message}"


def _as_ours(error: Exception) -> WfconsoleError:
    return (
        error if isinstance(error, WfconsoleError) else WfconsoleError("INTERNAL", f"{type(error).__name__}: {error}")
    )


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
    if state.keeping is not None:
        await driver.start(KeepWorkspace(step_id=state.keeping), state)
    for untold in effects(records):
        if isinstance(untold, TellOperator) and untold.gate_id in state.telling:
            await driver.start(untold, state)
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
