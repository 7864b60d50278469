"""`approval` and `question` steps: gather what the person has to see, before anything is asked.

The attempt of a gate ends in a `GateReady`, or, when a part of its context cannot be made, in an outcome with
CONTEXT_INCOMPLETE that says what is missing. The question card is stored here, before the gate opens, so that what
was asked is never only in a database.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wfconsole.domain import cards
from wfconsole.domain.approvers import approver_rule
from wfconsole.domain.cards import question_card
from wfconsole.domain.codec import canonical
from wfconsole.domain.facts import AttemptEnded, GateReady, WorkspacePin
from wfconsole.domain.failures import cause
from wfconsole.domain.plan import ApprovalBody, Json, QuestionBody, StepPlan
from wfconsole.domain.records import ArtifactRecord
from wfconsole.ports import Artifacts, Clock, Collector, RunFolder, WfconsoleError, Workspaces
from wfconsole.ports.delivery import Mailer
from wfconsole.steps.context import ContextPorts, GateJob, build_context
from wfconsole.steps.keeping import keep
from wfconsole.views.risk import RiskFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePorts:
    """What a gate may use of the world."""

    workspaces: Workspaces
    artifacts: Artifacts
    collector: Collector
    clock: Clock
    mailer: Mailer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """One claimed attempt of a gate. `reports` are the report artifacts of the steps that its context names."""

    run_id: str
    plan: StepPlan
    attempt: int
    resolved: Mapping[str, Json]
    folder: RunFolder
    pin: WorkspacePin | None
    reports: Mapping[str, tuple[ArtifactRecord, ...]] = field(default_factory=dict)
    risk: RiskFacts = field(default_factory=RiskFacts)

    @property
    def step_id(self) -> str:
        return self.plan.step_id

    @property
    def name(self) -> str:
        return f"{self.step_id}#{self.attempt}"


async def run_gate(request: GateRequest, ports: GatePorts) -> GateReady | AttemptEnded:
    """Gather the context and store the card. Never raises: what cannot be gathered is CONTEXT_INCOMPLETE."""
    title = str(request.resolved.get("title") or request.plan.step_id)
    body = request.plan.body
    try:
        if isinstance(body, QuestionBody):
            context: Json = {"title": title}
            digest, artifacts = await _store_context(request, ports, context)
            choices: tuple[str, ...] = body.choices
        else:
            context, digest, artifacts = await _gather(request, ports, title)
            choices = ("approve", "reject")
        expires_at = ports.clock.now_ms() + int(request.resolved["timeout_ms"])
        card = question_card(
            prompt=title, choices=choices, gate_id=request.name, context_digest=digest, expires_at=expires_at
        )
        stored = await keep(
            ports.artifacts, request, kind="question_card", name=cards.NAME, media_type=cards.MEDIA_TYPE, data=card
        )
        artifacts += (stored,)
    except WfconsoleError as error:
        return _incomplete(request, ports, error)
    except OSError as error:
        hint = "see that the state folder can be written"
        return _incomplete(request, ports, WfconsoleError("CONTEXT_INCOMPLETE", f"the card: {error}", hint))
    return GateReady(
        fact_id=f"{request.name}:ready",
        at=ports.clock.now_ms(),
        step_id=request.plan.step_id,
        attempt=request.attempt,
        context=context,
        context_digest=digest,
        expires_at=expires_at,
        artifacts=artifacts,
        approvers=approver_rule(request.resolved.get("approvers")),
    )


async def _gather(request: GateRequest, ports: GatePorts, title: str) -> tuple[Json, str, tuple[ArtifactRecord, ...]]:
    body = request.plan.body
    if not isinstance(body, ApprovalBody):
        raise TypeError(f"{request.plan.kind} is no gate")
    job = GateJob(
        run_id=request.run_id,
        step_id=request.plan.step_id,
        attempt=request.attempt,
        title=title,
        spec=body.context,
        preview=request.resolved.get("preview") or {},
        folder=request.folder,
        pin=request.pin,
        reports=request.reports,
        facts=request.risk,
    )
    made = await build_context(
        job,
        ContextPorts(
            workspaces=ports.workspaces, artifacts=ports.artifacts, collector=ports.collector, mailer=ports.mailer
        ),
    )
    return made.document, made.digest, made.artifacts


async def _store_context(
    request: GateRequest, ports: GatePorts, context: Json
) -> tuple[str, tuple[ArtifactRecord, ...]]:
    record = await keep(
        ports.artifacts,
        request,
        kind="context",
        name="context.json",
        media_type="application/json",
        data=canonical(context),
    )
    return record.sha256 or "", (record,)


def _incomplete(request: GateRequest, ports: GatePorts, error: WfconsoleError) -> AttemptEnded:
    hint = error.hint
    again = f"then `wfconsole resume {request.run_id}`"
    return AttemptEnded(
        fact_id=f"{request.name}:ended",
        at=ports.clock.now_ms(),
        step_id=request.plan.step_id,
        attempt=request.attempt,
        outcome="errored",
        cause=cause(
            "CONTEXT_INCOMPLETE",
            error.message,
            f"{hint}; {again}" if hint else f"mend what is named, {again}",
            **error.details,
        ),
    )
