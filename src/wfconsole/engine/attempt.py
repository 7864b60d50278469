"""Carrying out one claimed attempt: the only way a step is executed.

Turns the effect and the plan into a job for the step kind. Refuses to know which kinds exist beyond asking `steps`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.facts import AttemptEnded, GateReady
from wfconsole.domain.plan import EFFECT_KINDS, GATE_KINDS, PURE_KINDS
from wfconsole.domain.run import RunState, StepState
from wfconsole.engine.apart import Apart, purpose_of
from wfconsole.engine.before import Anew, Guarded
from wfconsole.engine.held import HeldSandbox
from wfconsole.engine.local import Attempt, AttemptRunner, Sweeper
from wfconsole.ports import RunFolder, SandboxHandle
from wfconsole.steps.command import Job, StepPorts, run_command, sandbox_spec

GateRunner = Callable[[StartAttempt, RunState], Awaitable[AttemptEnded | GateReady]]
"""Carries out the attempt of a gate, see `gates`; apart, because most runs have none and what gates need takes time to import."""

EffectRunner = Callable[[StartAttempt, RunState, Attempt], Awaitable[AttemptEnded]]
"""Carries out the attempt of an effect, see `effects`; apart for the same reason."""


def attempt_runner(
    ports: StepPorts,
    gate: GateRunner,
    folder: Callable[[str], RunFolder],
    outside: EffectRunner | None = None,
    apart: Apart | None = None,
    anew: Anew | None = None,
) -> AttemptRunner:
    """A function that carries attempts out with these ports; `folder` says where a run's files are.

    Without `apart`, which belongs to one run, steps that want a workspace of their own work in the run's. Without `anew` the
    workspace is as a lost attempt left it when the next one begins.
    """

    async def run(effect: StartAttempt, state: RunState, attempt: Attempt) -> AttemptEnded | GateReady:
        if apart is None or not any(step.isolation == "per_step" for step in state.plan.steps):
            return await together(effect, state, attempt)
        if state.index.steps[effect.step_id].isolation == "per_step":
            job = _job(effect, state, folder, attempt)
            sandbox = HeldSandbox(sandbox=ports.sandbox, hold=attempt.hold, signals=attempt.signals)
            return await apart.run(job, replace(ports, sandbox=sandbox), state, attempt, Stops(attempt).next_stop)
        purpose = purpose_of(state, effect.step_id)
        return await apart.beside(state, folder(state.run_id), purpose, lambda: together(effect, state, attempt))

    async def together(effect: StartAttempt, state: RunState, attempt: Attempt) -> AttemptEnded | GateReady:
        if state.index.steps[effect.step_id].kind in GATE_KINDS:
            return await gate(effect, state)
        if outside is not None and state.index.steps[effect.step_id].kind in EFFECT_KINDS:
            return await outside(effect, state, attempt)
        job = _job(effect, state, folder, attempt)
        sandbox = HeldSandbox(sandbox=ports.sandbox, hold=attempt.hold, signals=attempt.signals)

        def hold(handle: SandboxHandle) -> None:
            attempt.release = lambda: sandbox.remove(handle)
            attempt.at_hand(handle.adopted)

        guarded = (
            None if anew is None else anew.guard(sandbox, effect, state, job.folder, attempt.hold, attempt.signals)
        )
        ended = await run_command(job, replace(ports, sandbox=guarded or sandbox), Stops(attempt).next_stop, hold)
        return _warned(ended, guarded)

    return run


def _warned(ended: AttemptEnded, guarded: Guarded | None) -> AttemptEnded:
    if guarded is None or guarded.warning is None:
        return ended
    return replace(ended, warnings=(*ended.warnings, guarded.warning))


def sweeper(ports: StepPorts, folder: Callable[[str], RunFolder], apart: Apart | None = None) -> Sweeper:
    """A function that removes the sandbox of an ended attempt, when its owner died before it could."""

    async def sweep(effect: StartAttempt, state: RunState) -> None:
        if state.index.steps[effect.step_id].kind in GATE_KINDS | EFFECT_KINDS:
            return  # neither has a sandbox
        job = _job(effect, state, folder)
        if job.in_dir.exists():
            await ports.sandbox.remove(await ports.sandbox.prepare(sandbox_spec(job)))
        if apart is not None and job.plan.isolation == "per_step":
            await apart.drop(job)

    return sweep


def _job(
    effect: StartAttempt, state: RunState, folder: Callable[[str], RunFolder], attempt: Attempt | None = None
) -> Job:
    upstream = sorted(state.index.upstream(effect.step_id), key=state.index.order.__getitem__)
    plan, other = state.index.steps[effect.step_id], state.step(effect.step_id).template
    return Job(
        run_id=state.run_id,
        plan=plan if other is None else replace(plan, template=other),
        attempt=effect.attempt,
        resolved=effect.resolved,
        folder=folder(state.run_id),
        upstream=tuple(upstream),
        output_bytes=state.plan.limits.output_bytes,
        secrets=state.plan.secrets,
        fell_back=other is not None,
        resumed=any(_had_sandbox(step, state) for step in state.all_steps()),
        wanted=lambda: attempt is None or not attempt.stop_requested.is_set(),
    )


def _had_sandbox(step: StepState, state: RunState) -> bool:
    """Whether an attempt of it has ended, in whatever way but for want of an engine."""
    if step.outcome is None or state.index.steps[step.step_id].kind in PURE_KINDS | GATE_KINDS | EFFECT_KINDS:
        return False
    return step.cause is None or step.cause.code != "SANDBOX_UNAVAILABLE"


class Stops:
    """The stops that are asked of one attempt, one after another: a graceful one may be followed by a forced one."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    async def next_stop(self) -> bool:
        """Wait for the next stop; True for a forced one."""
        await self._attempt.stop_requested.wait()
        self._attempt.stop_requested.clear()
        return self._attempt.force
