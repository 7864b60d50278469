"""RunView: everything one run has to tell, as one JSON document. A pure function of the run's journal.

Owns the public shape of a run, with every key present whatever happened. Refuses clocks, settings and disk: the same
journal gives the same bytes by `codec.canonical`, and what has not ended has no duration. The decision that would surprise:
`waiting_for` names every step that waits for a person, also while other branches still run.
"""

from __future__ import annotations

from collections.abc import Sequence

from wfconsole.domain import events as ev
from wfconsole.domain.codec import iso
from wfconsole.domain.events import Record
from wfconsole.domain.lifecycle import RUN_TERMINAL
from wfconsole.domain.plan import PURE_KINDS, Json, Plan
from wfconsole.domain.records import Actor, ArtifactRecord
from wfconsole.views.gate_part import GateEvent, GatePart
from wfconsole.views.step_part import Ending, StepPart, elapsed, moment

SCHEMA_VERSION = 1

_RUN_STATUS: dict[type, str] = {
    ev.RunStarted: "running",
    ev.RunResumed: "running",
    ev.RunPaused: "paused",
    ev.RunAwaitingApproval: "awaiting_approval",
    ev.RunSucceeded: "succeeded",
    ev.RunFailed: "failed",
    ev.RunCancelled: "cancelled",
}
_STEP_EVENTS = (
    ev.StepStarted, ev.StepSucceeded, ev.StepFailed, ev.StepBackingOff, ev.StepCancelled, ev.StepSkipped, ev.StepBlocked,
    ev.ApprovalRequested, ev.StepReused,
)  # fmt: skip


def run_view(records: Sequence[Record]) -> dict[str, Json]:
    """The RunView of a whole journal. ValueError for an empty one."""
    builder = RunViewBuilder()
    for record in records:
        builder.add(record)
    return builder.document()


class RunViewBuilder:
    """A RunView that grows with its journal: `add` costs the same for every record, `document` what the run has steps."""

    def __init__(self) -> None:
        self._created: ev.RunCreated | None = None
        self._head: dict[str, Json] = {}
        self._steps: dict[str, StepPart] = {}
        self._gates: dict[str, GatePart] = {}
        self._artifacts: list[dict[str, Json]] = []
        self._transitions: list[dict[str, Json]] = []
        self._warnings: list[str] = []
        self._outputs: dict[str, Json] = {}
        self._failure: dict[str, Json] | None = None
        self._reused: list[str] = []
        self._pausing = False
        self._aside: dict[str, Json] | None = None
        self._successors: list[str] = []
        self._spent: dict[str, Json] = {
            "steps": 0,
            "running_ms": 0,
            "sandbox_time_ms": 0,
            "cost_usd": 0.0,
            "output_bytes": 0,
        }
        self._running_since: int | None = None
        self.status = "pending"
        self.seq = 0
        self.created_at = 0
        self.started_at: int | None = None
        self.finished_at: int | None = None

    @property
    def is_over(self) -> bool:
        return self.status in RUN_TERMINAL

    @property
    def successor(self) -> str | None:
        """The run that goes on where this one ended; the newest when there are several."""
        return self._successors[-1] if self._successors else None

    @property
    def plan(self) -> Plan:
        return self._known().plan

    @property
    def run_id(self) -> str:
        return self._known().run_id

    def steps(self) -> list[dict[str, Json]]:
        """The steps alone, in the plan's order: what a live view redraws."""
        created = self._known()
        return [step.document(created.trace_url, created.trace_id) for step in self._steps.values()]

    def gates(self) -> list[dict[str, Json]]:
        """``approvals[]`` alone, in the order in which the gates opened."""
        return [gate.document() for gate in self._gates.values()]

    def asks(self) -> bool:
        """Can somebody decide something now?"""
        return not self.is_over and any(gate.status == "open" for gate in self._gates.values())

    def add(self, record: Record) -> None:
        """Take in the next record. Records must come in order, from `run_created` on; ValueError otherwise."""
        if (self._created is None) != isinstance(record.event, ev.RunCreated) or record.seq != self.seq + 1:
            raise ValueError(f"record {record.seq} cannot follow record {self.seq}")
        self.seq = record.seq
        event = record.event
        if isinstance(event, ev.RunCreated):
            self._create(event, record)
        elif isinstance(event, _STEP_EVENTS):
            self._step(event, record)
        elif isinstance(event, GateEvent):
            self._gates[event.gate_id].add(event, record.at)
        elif type(event) in _RUN_STATUS:
            self._run(event, record)
        else:
            self._other(event, record)

    def _known(self) -> ev.RunCreated:
        if self._created is None:
            raise ValueError("the journal is empty")
        return self._created

    def _create(self, event: ev.RunCreated, record: Record) -> None:
        self._created, self.created_at = event, record.at
        self._head = _head(event, record)
        self._steps = {step.step_id: StepPart(step) for step in event.plan.steps}
        self._warnings += event.warnings
        self._transition(None, "pending", record, None)

    def _transition(self, before: str | None, after: str, record: Record, step_id: str | None) -> None:
        self._transitions.append(
            {"from": before, "to": after, "at": iso(record.at), "step_id": step_id, "actor": actor_name(record.actor)}
        )

    def _run(self, event: ev.Event, record: Record) -> None:
        status = _RUN_STATUS[type(event)]
        self._pausing = False
        if isinstance(event, ev.RunStarted):
            self.started_at = record.at
        if isinstance(event, ev.RunSucceeded | ev.RunFailed | ev.RunCancelled):
            self.finished_at, self._outputs = record.at, event.outputs
        if isinstance(event, ev.RunFailed):
            self._failure = failure_document(event.failure)
        if status == self.status:
            return
        if self._running_since is not None:
            self._spent["running_ms"] += record.at - self._running_since
        self._running_since = record.at if status == "running" else None
        self._transition(self.status, status, record, None)
        self.status = status

    def _step(
        self,
        event: ev.StepStarted | ev.StepReused | ev.StepSkipped | ev.StepBlocked | ev.ApprovalRequested | Ending,
        record: Record,
    ) -> None:
        step = self._steps[event.step_id]
        before = step.status
        step.add(event, record.at)
        if step.status != before:
            self._transition(before, step.status, record, event.step_id)
        if isinstance(event, ev.StepStarted):
            self._spent["steps"] += 1
        elif isinstance(event, ev.StepReused):
            self._reused.append(event.step_id)
        elif isinstance(event, ev.ApprovalRequested):
            self._gates[event.gate_id] = GatePart(event, record.at)
        elif not isinstance(event, ev.StepSkipped | ev.StepBlocked):
            self._spent["sandbox_time_ms"] += event.sandbox_ms
            self._spent["cost_usd"] += event.cost_usd or 0.0
            self._spent["output_bytes"] += event.output_bytes
            self._warnings += (f"{event.step_id}: {warning}" for warning in event.warnings)

    def _other(self, event: ev.Event, record: Record) -> None:
        match event:
            case ev.ArtifactRecorded(artifact=artifact):
                self._artifacts.append(artifact_document(artifact))
                if artifact.step_id in self._steps:
                    self._steps[artifact.step_id].artifacts.append(artifact.artifact_id)
            case ev.CommandWarned():
                self._steps[event.step_id].warn(event)
                self._warnings.append(f"{event.step_id}: {event.message}")
            case ev.EnvDrift():
                names = ", ".join(each.field for each in event.differences)
                self._warnings.append(f"{event.step_id}: the sandbox of template {event.template} has drifted: {names}")
            case ev.RunPausing():
                self._pausing = True
            case ev.RunCancelling():
                self._pausing = False
            case ev.RunQuarantined():
                self._aside = aside_document(event, record.at)
            case ev.RunReadmitted():
                self._aside = None
            case ev.AttemptAbandoned():
                self._steps[event.step_id].abandon(event, record.at)
            case ev.RunRetried():
                self._successors.append(event.successor)
            case ev.EventChannelFailed():
                self._warnings.append(
                    f"subscriber {event.subscriber} did not take event {event.failed_seq}: {event.error}"
                )
            case _:
                pass

    def current_step(self) -> str | None:
        """The step to look at now: one under way, else one that waits; groups only when nothing in them does."""
        if self.is_over:
            return None
        live = [step for step in self._steps.values() if step.status in {"running", "backing_off", "needs_human"}]
        order = {"running": 0, "needs_human": 1, "backing_off": 2}
        live.sort(key=lambda step: (step.plan.kind == "steps", order[step.status]))
        return live[0].plan.step_id if live else None

    def waiting_for(self) -> list[str]:
        """The steps that wait for a person; none when the run is over."""
        return [] if self.is_over else [name for name, step in self._steps.items() if step.status == "needs_human"]

    def pausing(self) -> dict[str, Json] | None:
        """``{"draining": N}`` while N attempts have to end before the run is paused."""
        if not self._pausing:
            return None
        live = [step for step in self._steps.values() if step.status == "running" and step.plan.kind not in PURE_KINDS]
        return {"draining": len(live)}

    def document(self) -> dict[str, Json]:
        """The RunView so far. ValueError before the first record."""
        created = self._known()
        return {
            **self._head,
            "outputs": self._outputs,
            "status": self.status,
            "waiting_for": self.waiting_for(),
            "pausing": self.pausing(),
            "quarantine": self._aside,
            "started_at": moment(self.started_at),
            "finished_at": moment(self.finished_at),
            "duration_ms": elapsed(self.started_at, self.finished_at),
            "current_step": self.current_step(),
            "transitions": list(self._transitions),
            "steps": self.steps(),
            "approvals": self.gates(),
            "artifacts": list(self._artifacts),
            "warnings": list(self._warnings),
            "failure": self._failure,
            "rollback": {"performed": False, "steps": []},
            "lineage": self._lineage(created),
            "interventions": [],
            "budget": {"limits": _limits(created.plan), "used": dict(self._spent)},
            "bundle": f"runs/{created.run_id}/bundle",
        }

    def _lineage(self, created: ev.RunCreated) -> dict[str, Json]:
        """`retried_from` is the step at which this run started again, `reused` the steps it took over."""
        known = created.lineage
        return {
            "root": created.run_id if known is None else known.root,
            "parent": None if known is None else known.parent,
            "retried_from": None if known is None else known.retried_from,
            "reused": list(self._reused),
            "successors": list(self._successors),
        }


def _head(event: ev.RunCreated, record: Record) -> dict[str, Json]:
    """What is known, and fixed, from creation on."""
    recipe = event.plan.recipe
    actor = record.actor
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": event.run_id,
        "workflow_id": event.workflow_id,
        "trace_id": event.trace_id,
        "project": event.project,
        "trigger": {"kind": event.trigger, "surface": actor.surface, "actor": actor.user, "host": actor.host},
        "recipe": {"name": recipe.name, "version": recipe.version, "digest": recipe.digest, "origin": recipe.origin},
        "intent_hash": event.intent_hash,
        "inputs": event.inputs,
        "state": event.plan.state,
        "created_at": iso(record.at),
    }


def _limits(plan: Plan) -> dict[str, Json]:
    limits = plan.limits
    return {
        "max_concurrency": limits.max_concurrency,
        "max_steps": limits.max_steps,
        "timeout_ms": limits.timeout_ms,
        "sandbox_time_ms": limits.sandbox_time_ms,
        "cost_usd": limits.cost_usd,
        "output_bytes": limits.output_bytes,
    }


def actor_name(actor: Actor) -> str:
    """``user@host``; the engine, which has no host, by its name alone."""
    return actor.name if actor.host else actor.user


def failure_document(failure: ev.RunFailure) -> dict[str, Json]:
    return {
        "code": failure.code,
        "message": failure.message,
        "hint": failure.hint,
        "step_id": failure.step_id,
        "last_successful_step": failure.last_successful_step,
        "missing_fields": list(failure.missing_fields),
        "retry": {
            "allowed": failure.retry_allowed,
            "command": failure.retry_command,
            "reason": failure.retry_reason,
        },
    }


def aside_document(event: ev.RunQuarantined, at: int) -> dict[str, Json]:
    """Why nobody drives a run that was set aside, since when, and what to do about it."""
    return {
        "at": iso(at),
        "attempts": event.attempts,
        "code": event.code,
        "message": event.message,
        "hint": event.hint,
    }


def artifact_document(artifact: ArtifactRecord) -> dict[str, Json]:
    return {
        "artifact_id": artifact.artifact_id,
        "step_id": artifact.step_id,
        "attempt": artifact.attempt,
        "name": artifact.name,
        "kind": artifact.kind,
        "sha256": artifact.sha256,
        "bytes": artifact.bytes,
        "media_type": artifact.media_type,
        "reason": artifact.reason,
    }
