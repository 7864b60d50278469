"""Steps with a workspace of their own: copied before they run, brought back as a patch when they succeeded.

Owns the turns at the run's workspace, and what becomes of a patch. Refuses to know how files are copied and changed. The decision
that would surprise: a patch is applied before the success of its step is recorded, and the outcome lies beside it on disk; so an
owner that finds the change begun finishes it, and reports that very outcome instead of running anything again. The next
patch waits until the outcome before it is durable: they are applied in the order in which the journal says the steps succeeded.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from wfconsole.domain.codec import canonical, fact_from_json, fact_to_json
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.outcome import outputs_problem
from wfconsole.domain.plan import EFFECT_KINDS, GATE_KINDS
from wfconsole.domain.records import ArtifactRecord
from wfconsole.domain.run import RunState
from wfconsole.engine.held import asking, owner_lost
from wfconsole.engine.local import Attempt
from wfconsole.engine.turns import Purpose, Turn, Turns
from wfconsole.ports import Evaluate, RunFolder, SandboxHandle, WfconsoleError
from wfconsole.ports.copies import Changed, Copies, Copy
from wfconsole.steps.command import Job, StepPorts, Stopped, not_carried_out, run_command, sandbox_spec
from wfconsole.steps.screen import screen_of, screened_diff

PATCH_NAME = "workspace.patch"

Result = TypeVar("Result")


class Apart:
    """One run's, for as long as one owner drives it."""

    def __init__(self, copies: Copies, evaluate: Evaluate) -> None:
        self._copies = copies
        self._evaluate = evaluate
        self._turns = Turns()
        self._opened: asyncio.Task[None] | None = None
        self._told: dict[str, tuple[AttemptEnded, Turn]] = {}

    async def run(
        self, job: Job, ports: StepPorts, state: RunState, attempt: Attempt, stopped: Stopped
    ) -> AttemptEnded:
        """Carry out the attempt of a step that has its own workspace. Errors of copies are outcomes."""
        held = _Held(self._copies, self._turns, ports, replace(job, workspace=copy_of(job).workspace))
        attempt.release = held.release

        def hold(handle: SandboxHandle) -> None:
            held.handle = handle
            attempt.at_hand(handle.adopted)

        try:
            await self._open(state, job.folder)
            if job.name in self._told:
                told, held.turn = self._told.pop(job.name)
                attempt.at_hand(True)
                return told
            async with self._turns.during("copying"):
                await _wholly(self._copies.make(held.copy))
        except (WfconsoleError, OSError) as error:
            return not_carried_out(held.job, ports, error)
        attempt.signals.emit("copied", job.name)
        ended = await run_command(held.job, ports, stopped, hold)
        try:
            changed = await _wholly(self._copies.changed(held.copy))
        except WfconsoleError as error:
            return _unapplied(ended, error)
        ended = await _with_patch(ended, self._copies, held, changed)
        if ended.outcome != "succeeded" or outputs_problem(state, job.plan, ended, self._evaluate) is not None:
            return ended
        held.turn = await self._turns.take("changing")
        if attempt.hold is not None and not await attempt.hold.is_mine():
            return _unapplied(ended, owner_lost(job.run_id))
        attempt.signals.emit("applying", job.name)
        try:
            permit = asking(job.run_id, attempt.hold)  # again, when nobody else can change the workspace any more
            await _wholly(self._copies.apply(held.copy, changed, canonical(fact_to_json(ended)), permit))
        except WfconsoleError as error:
            return _unapplied(ended, error)
        attempt.signals.emit("applied", job.name)
        return ended

    async def beside(
        self, state: RunState, folder: RunFolder, purpose: Purpose, work: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Carry out what works in the run's own workspace, or looks at it, while nobody copies or changes it."""
        await self._open(state, folder)
        async with self._turns.during(purpose):
            return await work()

    async def drop(self, job: Job) -> None:
        """Remove the copy of an attempt whose end is recorded."""
        await self._copies.drop(copy_of(job))

    async def _open(self, state: RunState, folder: RunFolder) -> None:
        """Before anything else: finish what an earlier owner had begun. Tried again by the next when it failed."""
        if self._opened is None or (self._opened.done() and self._opened.exception() is not None):
            self._opened = asyncio.ensure_future(self._recover(state, folder))
        try:
            await asyncio.shield(self._opened)
        except asyncio.CancelledError:
            await asyncio.wait({self._opened})
            raise

    async def _recover(self, state: RunState, folder: RunFolder) -> None:
        found = await self._copies.pending(folder)
        if found is None:
            return
        step_id, _, number = found.name.rpartition("#")
        step = state.step(step_id)
        if step.attempt == int(number) and step.status == "running":
            await self._copies.finish(folder)
            turn = await self._turns.take("changing")  # nobody else has come so far
            outcome = fact_from_json(json.loads(found.outcome))
            assert isinstance(outcome, AttemptEnded)  # noqa: S101 - nothing else is handed over
            self._told[found.name] = (outcome, turn)
        elif step.attempt == int(number) and step.status == "succeeded":
            await self._copies.settled(folder)
        else:
            await self._copies.undo(folder)


class _Held:
    """What an attempt holds until its outcome is durable: a container, its copy, and the turn of its change."""

    def __init__(self, copies: Copies, turns: Turns, ports: StepPorts, job: Job) -> None:
        self.job = job
        self.copy = copy_of(job)
        self.ports = ports
        self.turn: Turn | None = None
        self._copies = copies
        self._turns = turns
        self.handle: SandboxHandle | None = None

    async def release(self) -> None:
        if self.turn is not None:
            try:
                await self._copies.settled(self.copy.folder)
            finally:
                self._turns.give(self.turn)
        if self.handle is not None:
            await self.ports.sandbox.remove(self.handle)
        elif self.job.in_dir.exists():  # of an owner that died after it had applied the change
            with suppress(WfconsoleError):
                await self.ports.sandbox.remove(await self.ports.sandbox.prepare(sandbox_spec(self.job)))
        await self._copies.drop(self.copy)


async def _wholly(work: Coroutine[Any, Any, Result]) -> Result:
    """To its end, also when nobody wants it any more: the next owner must not begin while a thread of ours still writes."""
    doing = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(doing)
    except asyncio.CancelledError:
        await asyncio.wait({doing})
        raise


def copy_of(job: Job) -> Copy:
    return Copy(folder=job.folder, step_id=job.plan.step_id, attempt=job.attempt)


def purpose_of(state: RunState, step_id: str) -> Purpose:
    """What an attempt of this step does with the run's own workspace."""
    plan = state.index.steps[step_id]
    return "reading" if plan.kind in GATE_KINDS | EFFECT_KINDS or plan.isolation == "read_only" else "working"


def _unapplied(ended: AttemptEnded, error: WfconsoleError) -> AttemptEnded:
    """The attempt, whose change stays where it is; what it failed of before counts more."""
    if ended.outcome != "succeeded":
        return replace(ended, warnings=(*ended.warnings, error.message))
    return replace(ended, outcome="failed" if error.code == "PATCH_CONFLICT" else "errored", cause=error.cause)


async def _with_patch(ended: AttemptEnded, copies: Copies, held: _Held, changed: Changed) -> AttemptEnded:
    """The attempt with its patch among the artifacts; that it cannot be kept is a warning."""
    job, ports = held.job, held.ports
    try:
        screen = await screen_of(ports.secrets, job.secrets)
        patch = await _wholly(copies.patch(held.copy, changed))
        if patch is None:
            return ended
        if screen is not None:
            patch = await asyncio.to_thread(screened_diff, patch, screen)
        sha256, size = await ports.artifacts.put_bytes(patch)
    except WfconsoleError as error:
        return replace(ended, warnings=(*ended.warnings, f"the step's patch is not kept: {error.message}"))
    taken = {artifact.name for artifact in ended.artifacts}
    name = next(name for name in (PATCH_NAME, f".{PATCH_NAME}", f"..{PATCH_NAME}") if name not in taken)
    await asyncio.to_thread(_lay, job.folder.artifacts / job.plan.step_id / name, patch)
    record = ArtifactRecord(
        artifact_id=f"{job.name}/{name}",
        step_id=job.plan.step_id,
        attempt=job.attempt,
        name=name,
        kind="patch",
        sha256=sha256,
        bytes=size,
        media_type="text/x-diff",
    )
    return replace(ended, artifacts=(*ended.artifacts, record))


def _lay(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
