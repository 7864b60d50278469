"""Carrying out one claimed attempt: the only way a step is executed.

Turns the effect and the plan into a job for the step kind. Refuses to know which kinds exist beyond asking `steps`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.facts import AttemptEnded, GateReady
from wfconsole.domain.plan import GATE_KINDS
from wfconsole.domain.run import RunState
from wfconsole.engine.local import Attempt, AttemptRunner, Sweeper
from wfconsole.ports import RunFolder, SandboxHandle
from wfconsole.steps.command import Job, StepPorts, run_command, sandbox_spec

GateRunner = Callable[[StartAttempt, RunState], Awaitable[AttemptEnded | GateReady]]
"""Carries out the attempt of a gate, see `gates`; apart, because most runs have none and what gates need takes time to import."""


def attempt_runner(ports: StepPorts, gate: GateRunner, folder: Callable[[str], RunFolder]) -> AttemptRunner:
    """A function that carries attempts out with these ports; `folder` says where a run's files are."""

    async def run(effect: StartAttempt, state: RunState, attempt: Attempt) -> AttemptEnded | GateReady:
        if state.index.steps[effect.step_id].kind in GATE_KINDS:
            return await gate(effect, state)
        job = _job(effect, state, folder)

        def hold(handle: SandboxHandle) -> None:
            attempt.release = lambda: ports.sandbox.remove(handle)

        return await run_command(job, ports, Stops(attempt).next_stop, hold)

    return run


def sweeper(ports: StepPorts, folder: Callable[[str], RunFolder]) -> Sweeper:
    """A function that removes the sandbox of an ended attempt, when its owner died before it could."""

    async def sweep(effect: StartAttempt, state: RunState) -> None:
        if state.index.steps[effect.step_id].kind in GATE_KINDS:
            return  # a gate has no sandbox
        job = _job(effect, state, folder)
        if job.in_dir.exists():
            await ports.sandbox.remove(await ports.sandbox.prepare(sandbox_spec(job)))

    return sweep


def _job(effect: StartAttempt, state: RunState, folder: Callable[[str], RunFolder]) -> Job:
    upstream = sorted(state.index.upstream(effect.step_id), key=state.index.order.__getitem__)
    return Job(
        run_id=state.run_id,
        plan=state.index.steps[effect.step_id],
        attempt=effect.attempt,
        resolved=effect.resolved,
        folder=folder(state.run_id),
        upstream=tuple(upstream),
        output_bytes=state.plan.limits.output_bytes,
    )


class Stops:
    """The stops that are asked of one attempt, one after another: a graceful one may be followed by a forced one."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    async def next_stop(self) -> bool:
        """Wait for the next stop; True for a forced one."""
        await self._attempt.stop_requested.wait()
        self._attempt.stop_requested.clear()
        return self._attempt.force
