"""Carrying out one claimed attempt: the only way a step is executed.

Turns the effect and the plan into a job for the step kind. Refuses to know which kinds exist beyond asking `steps`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.events import ArtifactRecorded, Record
from wfconsole.domain.facts import AttemptEnded, GateReady
from wfconsole.domain.plan import GATE_KINDS, ApprovalBody
from wfconsole.domain.records import ArtifactRecord
from wfconsole.domain.run import RunState
from wfconsole.engine.local import Attempt, AttemptRunner, Sweeper
from wfconsole.ports import RunFolder, SandboxHandle
from wfconsole.steps.command import Job, StepPorts, run_command, sandbox_spec
from wfconsole.steps.gate import GatePorts, GateRequest, run_gate
from wfconsole.views.risk import RiskFacts

Journal = Callable[[str], Awaitable[Sequence[Record]]]


def attempt_runner(
    ports: StepPorts, gates: GatePorts, folder: Callable[[str], RunFolder], journal: Journal
) -> AttemptRunner:
    """A function that carries attempts out with these ports; `folder` says where a run's files are."""

    async def run(effect: StartAttempt, state: RunState, attempt: Attempt) -> AttemptEnded | GateReady:
        if state.index.steps[effect.step_id].kind in GATE_KINDS:
            request = gate_request(effect, state, folder(state.run_id))
            return await run_gate(with_reports(request, await journal(state.run_id)), gates)
        job = _job(effect, state, folder)

        def hold(handle: SandboxHandle) -> None:
            attempt.release = lambda: ports.sandbox.remove(handle)

        return await run_command(job, ports, Stops(attempt).next_stop, hold)

    return run


def gate_request(effect: StartAttempt, state: RunState, folder: RunFolder) -> GateRequest:
    """A gate's attempt, with what the run knows of its own risk."""
    reachable = {
        step.step_id: step.network
        for step in state.plan.steps
        if step.network not in (None, "none") and step.kind == "run"
    }
    let_through = [
        gate.asked.argv for gate in state.gates.values() if gate.asked.kind == "blocked" and gate.choice == "approve"
    ]
    return GateRequest(
        run_id=state.run_id,
        plan=state.index.steps[effect.step_id],
        attempt=effect.attempt,
        resolved=effect.resolved,
        folder=folder,
        pin=state.created.workspace,
        risk=RiskFacts(
            blocked=tuple(" ".join(argv) for argv in let_through),
            network=tuple(f"{step_id}: {reach}" for step_id, reach in reachable.items()),
        ),
    )


def with_reports(request: GateRequest, records: Sequence[Record]) -> GateRequest:
    """The request with the reports that the steps named by its context, or steps inside those groups, have left."""
    body = request.plan.body
    names = body.context.tests if isinstance(body, ApprovalBody) else ()
    found: dict[str, tuple[ArtifactRecord, ...]] = dict.fromkeys(names, ())
    for record in records:
        artifact = record.event.artifact if isinstance(record.event, ArtifactRecorded) else None
        if artifact is None or artifact.kind != "report" or artifact.step_id is None:
            continue
        for name in names:
            if artifact.step_id == name or artifact.step_id.startswith(f"{name}/"):
                found[name] += (artifact,)
    return replace(request, reports={name: reports for name, reports in found.items() if reports})


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
