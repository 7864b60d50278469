"""`email` steps: one letter by the operator's connection, on the host, never in a sandbox.

Owns what binds a letter to what was approved, and what its delivery means for the step. Refuses to know SMTP. The decision that
would surprise: the attempt says nothing about whether a letter is sent again. All attempts of a step share one outbox and one
Message-ID, and a letter that was accepted stays accepted, whichever process or attempt asks.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.failures import cause
from wfconsole.domain.plan import Json, StepPlan
from wfconsole.domain.records import ArtifactRecord, OutcomeStatus
from wfconsole.ports import Artifacts, Clock, Collector, RunFolder, WfconsoleError
from wfconsole.ports.delivery import Delivery, Letter, Mailer, Permit, Stopped, Verdict
from wfconsole.steps.keeping import keep
from wfconsole.steps.letters import attachments, differences, letter_document

MESSAGE_NAME = "message.eml"
_OUTCOMES: dict[Verdict, OutcomeStatus] = {
    "accepted": "succeeded",
    "refused": "failed",
    "failed": "errored",
    "timed_out": "timed_out",
    "cancelled": "cancelled",
}
_OWN = frozenset({"DECISION_STALE", "OWNER_LOST"})
"""What is told as it is; any other problem of a letter is EFFECT_FAILED."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailPorts:
    """What an `email` step may use of the world."""

    mailer: Mailer
    artifacts: Artifacts
    collector: Collector
    clock: Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailJob:
    """One claimed attempt. `approved` is the letter as each gate that previews this step showed it, by gate."""

    run_id: str
    plan: StepPlan
    attempt: int
    resolved: Mapping[str, Json]
    folder: RunFolder
    claimed_at: int
    approved: Mapping[str, Json] = field(default_factory=dict)

    @property
    def step_id(self) -> str:
        return self.plan.step_id

    @property
    def key(self) -> str:
        """The idempotency key: the same for all attempts."""
        return f"{self.run_id}:{self.step_id}"


async def run_email(job: EmailJob, ports: EmailPorts, stopped: Stopped, permit: Permit | None = None) -> AttemptEnded:
    """Send the letter unless it was sent. Never raises for what the world does: that is the outcome.

    `permit` is asked right before it goes out; with what that raises nothing was sent.
    """
    try:
        return await _send(job, ports, stopped, permit)
    except WfconsoleError as error:
        code = error.code if error.code in _OWN else "EFFECT_FAILED"
        why = cause(code, error.message, error.hint, **error.details)
        return _ended(job, ports, "failed", cause=why)
    except OSError as error:
        return _ended(job, ports, "errored", cause=cause("EFFECT_FAILED", f"the outbox: {error}"))


async def _send(job: EmailJob, ports: EmailPorts, stopped: Stopped, permit: Permit | None) -> AttemptEnded:
    async def write() -> Letter:
        return await _letter(job, ports)

    delivery = await ports.mailer.deliver(
        write,
        outbox=job.folder.outbox(job.step_id),
        attempt=job.attempt,
        limit_ms=job.plan.timeout_ms,
        stopped=stopped,
        permit=permit,
    )
    outcome = _OUTCOMES[delivery.verdict]
    if outcome != "succeeded":
        why = cause("EFFECT_FAILED", f"{job.resolved['via']} did not send it: {delivery.reply}")
        return _ended(job, ports, outcome, cause=why, warnings=delivery.warnings)
    return _ended(
        job,
        ports,
        outcome,
        outputs={"message_id": message_id(job.run_id, job.step_id, job.key), "reply": delivery.reply},
        warnings=delivery.warnings,
        artifacts=await _kept(job, ports, delivery),
    )


async def _letter(job: EmailJob, ports: EmailPorts) -> Letter:
    """The letter, when it is the one that was approved."""
    files = await attachments(job.resolved["attach"], job.folder, ports.collector)
    _as_approved(job, letter_document(job.resolved, files, ports.mailer))
    return Letter(
        via=job.resolved["via"],
        to=tuple(job.resolved["to"]),
        subject=job.resolved["subject"],
        body=job.resolved["body"],
        message_id=message_id(job.run_id, job.step_id, job.key),
        key=job.key,
        at=job.claimed_at,
        attachments=files,
    )


def message_id(run_id: str, step_id: str, key: str) -> str:
    """One for all attempts of a step, from nothing that could change meanwhile."""
    digest = hashlib.sha256(f"{run_id}\0{step_id}\0{key}".encode()).hexdigest()
    return f"<{digest[:40]}@wfconsole.invalid>"


def _as_approved(job: EmailJob, now: Mapping[str, Json]) -> None:
    """Raises DECISION_STALE when somebody approved another letter."""
    for gate_id, shown in job.approved.items():
        changed = differences(shown, now)
        if changed:
            raise WfconsoleError(
                "DECISION_STALE",
                f"the letter is not the one that was approved at {gate_id}: {', '.join(changed)} changed since",
                "run it again; what a letter says must be known before its gate opens",
                {"gate_id": gate_id, "changed": list(changed)},
            )


async def _kept(job: EmailJob, ports: EmailPorts, delivery: Delivery) -> tuple[ArtifactRecord, ...]:
    """The message as it was sent, as an artifact. Nothing about it may make a sent letter count as not sent."""
    if delivery.message is None:
        return ()
    try:
        data = await asyncio.to_thread(delivery.message.read_bytes)
        kept = await keep(ports.artifacts, job, kind="file", name=MESSAGE_NAME, media_type="message/rfc822", data=data)
    except (OSError, WfconsoleError) as error:
        reason = f"the message was sent and could not be kept: {error}"
        return (
            ArtifactRecord(
                artifact_id=f"{job.step_id}#{job.attempt}/none",
                step_id=job.step_id,
                attempt=job.attempt,
                name="none",
                kind="none",
                reason=reason,
            ),
        )
    return (kept,)


def _ended(job: EmailJob, ports: EmailPorts, outcome: OutcomeStatus, **more: Any) -> AttemptEnded:
    return AttemptEnded(
        fact_id=f"{job.step_id}#{job.attempt}:ended",
        at=ports.clock.now_ms(),
        step_id=job.step_id,
        attempt=job.attempt,
        outcome=outcome,
        **more,
    )
