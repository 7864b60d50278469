"""Carrying out the attempt of an effect: what the run knows of it, handed to the step kind.

Whose the run is is asked right before the act, as `held` does for sandboxes. An effect that gates have shown is bound to what
they showed: the newest gate of each step that previews it, when it was granted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.plan import ApprovalBody, Json
from wfconsole.domain.run import RunState
from wfconsole.engine.attempt import EffectRunner, Stops
from wfconsole.engine.held import owner_lost
from wfconsole.engine.local import Attempt
from wfconsole.ports import RunFolder
from wfconsole.steps.email import EmailJob, EmailPorts, run_email


def effect_runner(ports: EmailPorts, folder: Callable[[str], RunFolder]) -> EffectRunner:
    """A function that carries effects out with these ports."""

    def run(effect: StartAttempt, state: RunState, attempt: Attempt) -> Awaitable[AttemptEnded]:
        name = f"{effect.step_id}#{effect.attempt}"
        job = EmailJob(
            run_id=state.run_id,
            plan=state.index.steps[effect.step_id],
            attempt=effect.attempt,
            resolved=effect.resolved,
            folder=folder(state.run_id),
            claimed_at=effect.claimed_at,
            approved=approved(state, effect.step_id),
        )

        async def permit() -> None:
            attempt.signals.emit("sending", name)
            if attempt.hold is not None and not await attempt.hold.is_mine():
                raise owner_lost(state.run_id)
            attempt.signals.emit("permitted", name)

        return run_email(job, ports, Stops(attempt).next_stop, permit)

    return run


def approved(state: RunState, step_id: str) -> dict[str, Json]:
    """What the effect of `step_id` was shown to be, by the gate that was granted over it."""
    found: dict[str, Json] = {}
    for plan in state.plan.steps:
        if not isinstance(plan.body, ApprovalBody) or step_id not in plan.body.context.preview:
            continue
        gate = state.gate_of(plan.step_id)
        if gate is not None and gate.status == "granted":
            context = gate.asked.context if isinstance(gate.asked.context, dict) else {}
            found[gate.asked.gate_id] = (context.get("preview") or {}).get(step_id)
    return found
