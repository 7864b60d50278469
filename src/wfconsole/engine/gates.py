"""Carrying out the attempt of a gate: what the run knows of itself, handed to the step that gathers the context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.events import ArtifactRecorded, Record
from wfconsole.domain.facts import AttemptEnded, GateReady
from wfconsole.domain.plan import ApprovalBody, Json
from wfconsole.domain.records import ArtifactRecord
from wfconsole.domain.run import RunState
from wfconsole.domain.values import as_text, resolve
from wfconsole.engine.attempt import GateRunner
from wfconsole.ports import RunFolder
from wfconsole.steps.gate import GatePorts, GateRequest, run_gate
from wfconsole.views.risk import RiskFacts

Journal = Callable[[str], Awaitable[Sequence[Record]]]
Before = Callable[[RunState, str], Awaitable[float | None]]
"""The coverage in percent that this gate is compared with, if there is one."""


async def _nothing(_state: RunState, _step_id: str) -> float | None:
    return None


def gate_runner(
    ports: GatePorts, folder: Callable[[str], RunFolder], journal: Journal, before: Before = _nothing
) -> GateRunner:
    """A function that carries gates out with these ports; `journal` loads a run's records."""

    async def run(effect: StartAttempt, state: RunState) -> AttemptEnded | GateReady:
        request = gate_request(effect, state, folder(state.run_id))
        request = with_reports(request, await journal(state.run_id))
        if request.reports:
            risk = replace(request.risk, coverage_before=await before(state, effect.step_id))
            request = replace(request, risk=risk)
        return await run_gate(request, ports)

    return run


def gate_request(effect: StartAttempt, state: RunState, folder: RunFolder) -> GateRequest:
    """A gate's attempt, with what the run knows of its own risk."""
    reachable = {
        step.step_id: _reach(step.network)
        for step in state.plan.steps
        if step.network not in (None, "none") and step.kind in {"run", "shell"}
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
            drift=drifted(state),
        ),
    )


def _reach(network: Json) -> str:
    """The network in words; an expression in it is shown as it is written."""
    listed = network if isinstance(network, list | tuple) else [network]
    return ", ".join(as_text(resolve(place, lambda source: f"${{{{ {source} }}}}")) for place in listed)


def drifted(state: RunState) -> tuple[str, ...]:
    """What differed from the templates' locks so far, a phrase for each time."""
    return tuple(
        f"{step.step_id}: {template} ({', '.join(fields)})"
        for step in state.all_steps()
        for template, fields in step.drift
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
