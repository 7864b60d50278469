"""An attempt that follows a lost one starts from the workspace as it was before that one.

Owns when the workspace is kept and when it is put back. Refuses to know how. Decided: only an `abandoned` attempt is undone,
because nobody asked for it to end. One that failed, or ran out of time, has told what it did; an automatic retry goes on from
there, and a recipe that wants a clean start says so itself. What would surprise: nothing is undone when any other step could
change the workspace meanwhile, for its work would go, too; the attempt then says so in a warning.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.events import (
    Record,
    StepBackingOff,
    StepCancelled,
    StepFailed,
    StepStarted,
    StepSucceeded,
)
from wfconsole.domain.run import PlanIndex, RunState, changes_workspace
from wfconsole.engine.held import asking, owner_lost
from wfconsole.engine.signals import Signals
from wfconsole.ports import RunFolder, Sandbox, SandboxEnd, SandboxHandle, SandboxSpec
from wfconsole.ports.before import At, Before
from wfconsole.ports.owning import Hold

Load = Callable[[str], Awaitable[Sequence[Record]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew:
    """What is done about the workspace before an attempt begins; `load` reads a run's journal."""

    before: Before
    load: Load

    def guard(
        self,
        sandbox: Sandbox,
        effect: StartAttempt,
        state: RunState,
        folder: RunFolder,
        hold: Hold | None,
        signals: Signals | None = None,
    ) -> Guarded | None:
        """The sandbox for this attempt; None when the attempt cannot change the run's workspace."""
        plan = state.index.steps[effect.step_id]
        if plan.isolation != "shared" or not changes_workspace(plan):
            return None
        lost = effect.attempt > 1 and state.step(effect.step_id).outcome == "abandoned"
        tap = Points(f"{effect.step_id}#{effect.attempt}", state.run_id, hold if lost else None, signals or Signals())
        return Guarded(sandbox=sandbox, ready=lambda: self._ready(effect, state, folder, tap, lost=lost))

    async def _ready(
        self, effect: StartAttempt, state: RunState, folder: RunFolder, points: Points, *, lost: bool
    ) -> str | None:
        """Keep the workspace, or put it back; a warning when that was wanted and cannot be."""
        name = f"{effect.step_id}#{effect.attempt}"
        if await self.before.knows(folder, name):
            return None
        why = None
        if lost:
            earlier = f"{effect.step_id}#{effect.attempt - 1}"
            others = beside(await self.load(state.run_id), state.index, effect.step_id, effect.attempt - 1)
            await points.mine()
            points.emit("putting_back")
            if not others and await self.before.put_back(folder, earlier, name, points.within()):
                points.emit("put_back")
                return None
            reason = f"{_named(others)} ran beside it" if others else "the workspace could not be kept before it"
            why = f"what attempt {effect.attempt - 1} changed in the workspace before it was lost is still there: {reason}"
        if _is_alone(state, effect.step_id):
            points.emit("keeping")
            await self.before.keep(folder, name, _pristine(state, effect))
            points.emit("kept")
        else:
            await self.before.pass_over(folder, name)
        return why


@dataclass(frozen=True, slots=True)
class Points:
    """The named points of one attempt (`signals.BEFORE`), and the question whose the run is; `hold` None: it is not asked."""

    name: str
    run_id: str
    hold: Hold | None
    signals: Signals

    def emit(self, point: str) -> None:
        self.signals.emit(point, self.name)

    async def mine(self) -> None:
        if self.hold is not None and not await self.hold.is_mine():
            raise owner_lost(self.run_id)

    def within(self) -> At:
        """For a thread: what it tells is told on, and when it is alone with the workspace it asks before it changes anything."""
        ask = asking(self.run_id, self.hold)

        def at(point: str) -> None:
            self.emit(point)
            if point == "alone":
                ask()

        return at


@dataclass(slots=True, kw_only=True)
class Guarded:
    """`ports.Sandbox` for one attempt: nothing of it begins before `ready`, which goes on beside the making of the sandbox."""

    sandbox: Sandbox
    ready: Callable[[], Awaitable[str | None]]
    warning: str | None = None
    _readying: asyncio.Future[str | None] | None = field(default=None)

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        self._readying = asyncio.ensure_future(self.ready())
        try:
            return await self.sandbox.prepare(spec)
        except BaseException:
            with suppress(Exception):
                await self._readying  # it may be changing the workspace
            raise

    async def go(self, handle: SandboxHandle) -> bool:
        if self._readying is not None:
            self.warning = await self._readying
        return await self.sandbox.go(handle)

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        return await self.sandbox.wait(handle)

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        await self.sandbox.stop(handle, force=force)

    async def remove(self, handle: SandboxHandle) -> None:
        await self.sandbox.remove(handle)

    async def close(self) -> None:
        await self.sandbox.close()


def beside(records: Sequence[Record], index: PlanIndex, step_id: str, attempt: int) -> set[str]:
    """The other steps that could change the workspace at any time since this attempt was claimed."""
    running: set[str] = set()
    found: set[str] = set()
    begun = False
    for event in (record.event for record in records):
        if isinstance(event, StepStarted):
            if event.step_id == step_id:
                begun = begun or event.attempt == attempt
                found |= running if begun else set()
            elif changes_workspace(index.steps[event.step_id]):
                running.add(event.step_id)
                found |= {event.step_id} if begun else set()
        elif isinstance(event, StepSucceeded | StepFailed | StepBackingOff | StepCancelled):
            running.discard(event.step_id)
    return found


def _is_alone(state: RunState, step_id: str) -> bool:
    return state.live <= 1 or not any(
        step.status == "running" and step.step_id != step_id and changes_workspace(state.index.steps[step.step_id])
        for step in state.all_steps()
    )


def _pristine(state: RunState, effect: StartAttempt) -> str | None:
    """The tree that the workspace was made with, when nothing can have changed it since."""
    created = state.created
    if created.lineage is not None:
        tree = created.lineage.tree
    else:
        tree = None if created.workspace is None else created.workspace.tree
    touched = any(
        step.attempt > (1 if step.step_id == effect.step_id else 0)
        and changes_workspace(state.index.steps[step.step_id])
        for step in state.all_steps()
    )
    return None if touched else tree


def _named(steps: set[str]) -> str:
    names = sorted(steps)
    return names[0] if len(names) == 1 else f"{', '.join(names[:3])}{' and others' if len(names) > 3 else ''}"
