"""Events: everything that happened, in the past tense. The only thing that changes state, through `evolve`.

The wire name of an event is the snake case of its class. An event holds its payload alone; the envelope around it (sequence
number, time, actor, correlation id) is the `Record`. Add fields with defaults; never rename or remove one: journals of older
versions are read by these classes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from wfconsole.domain.drift_events import EnvDrift, TemplateFallback
from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.gate_events import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalWithdrawn,
    DecisionRecorded,
    InputReceived,
    InputRequested,
    NotificationSent,
)
from wfconsole.domain.lineage import Lineage
from wfconsole.domain.plan import Json, Plan
from wfconsole.domain.quarantine_events import RunQuarantined, RunReadmitted
from wfconsole.domain.records import (
    Actor,
    ArtifactRecord,
    CommandRecord,
    FailureCause,
    OutcomeStatus,
)
from wfconsole.domain.retry_events import RunRetried, StepReused, WorkspaceKeeping, WorkspaceKept

__all__ = [  # those of gates stand in `gate_events`, of retries in `retry_events` and so on: all are part of the one union
    "EVENT_TYPES",
    "SCHEMA_VERSION",
    "ApprovalExpired",
    "ApprovalGranted",
    "ApprovalRejected",
    "ApprovalRequested",
    "ApprovalWithdrawn",
    "ArtifactRecorded",
    "AttemptAbandoned",
    "AttemptAdopted",
    "CommandRefused",
    "CommandWarned",
    "DecisionRecorded",
    "EnvDrift",
    "Event",
    "EventChannelFailed",
    "InputReceived",
    "InputRequested",
    "NotificationSent",
    "OwnerChanged",
    "Record",
    "RunAwaitingApproval",
    "RunCancelled",
    "RunCancelling",
    "RunClosing",
    "RunCreated",
    "RunDeleted",
    "RunFailed",
    "RunFailure",
    "RunPaused",
    "RunPausing",
    "RunQuarantined",
    "RunReadmitted",
    "RunResumed",
    "RunRetried",
    "RunStarted",
    "RunSucceeded",
    "SkipCause",
    "StepBackingOff",
    "StepBlocked",
    "StepCancelled",
    "StepFailed",
    "StepReused",
    "StepSkipped",
    "StepStarted",
    "StepSucceeded",
    "TemplateFallback",
    "WorkspaceKeeping",
    "WorkspaceKept",
    "wire_name",
]  # fmt: skip

SCHEMA_VERSION = 1

SkipCause = Literal["when", "upstream", "group", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """The failure context of a run that did not succeed (ST-WF-010). `missing_fields` names what could not be assembled."""

    code: str
    message: str
    hint: str = ""
    step_id: str | None = None
    last_successful_step: str | None = None
    missing_fields: tuple[str, ...] = ()
    retry_allowed: bool = False
    retry_command: str | None = None
    retry_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCreated:
    """`span_id` is the run's own span, which those of its attempts lie in; None in journals of older versions."""

    run_id: str
    workflow_id: str
    trace_id: str
    plan: Plan
    inputs: dict[str, Json] = field(default_factory=dict)
    project: str | None = None
    trigger: str = "manual"
    intent_hash: str | None = None
    trace_url: str | None = None
    workspace: WorkspacePin | None = None
    warnings: tuple[str, ...] = ()
    author: str | None = None
    start: dict[str, Json] = field(default_factory=dict)
    lineage: Lineage | None = None
    span_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted:
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPausing:
    """A pause was asked for; `draining` attempts are still going."""

    draining: int
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPaused:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResumed:
    """`gathers` names the gates whose context is gathered again, each as soon as there is a free place."""

    gathers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunAwaitingApproval:
    waiting_for: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelling:
    """The run is being ended: somebody asked for it, or with a `cause` a limit of the run was reached (then it fails).

    The status changes when the last attempt has ended. `stopping` names the attempts to stop, each as ``STEP#N``. With
    `retry_from` a successor goes on at that step, because gate `gate_id` was closed so.
    """

    reason: str | None = None
    force: bool = False
    cause: FailureCause | None = None
    stopping: tuple[str, ...] = ()
    code: str | None = None
    retry_from: str | None = None
    gate_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClosing:
    """Every step is over; the run's own artifacts are being collected. `code` is the failure the run will end with."""

    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSucceeded:
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    failure: RunFailure
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCancelled:
    reason: str | None = None
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunDeleted:
    """The last event of a run that is removed: from here on only its tombstone is left, which holds this event.

    `counts` by kind (runs, steps, artifacts, logs, containers), `bytes` as they lay on disk.
    """

    workflow_id: str
    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepStarted:
    """An attempt was claimed (for `set`, `check` and groups: the step began). `resolved` is all that expressions gave it."""

    step_id: str
    attempt: int
    kind: str
    resolved: Json = None
    span_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptLeft:
    """What every event that ends an attempt tells of it; times in milliseconds, sizes in bytes."""

    exit_code: int | None = None
    commands: tuple[CommandRecord, ...] = ()
    template: str | None = None
    fingerprint: str | None = None
    cost_usd: float | None = None
    sandbox_ms: int = 0
    output_bytes: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSucceeded(AttemptLeft):
    step_id: str
    attempt: int | None = None
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepFailed(AttemptLeft):
    """`allowed`: the recipe said that this failure harms neither the run nor other steps."""

    step_id: str
    cause: FailureCause
    attempt: int | None = None
    outcome: OutcomeStatus = "failed"
    allowed: bool = False
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBackingOff(AttemptLeft):
    """An attempt ended without success and the next one starts at `until` (milliseconds since the epoch)."""

    step_id: str
    attempt: int
    outcome: OutcomeStatus
    cause: FailureCause
    until: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StepCancelled(AttemptLeft):
    """`attempt` is None for a step that had not begun."""

    step_id: str
    attempt: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSkipped:
    """`cause` tells a `when` that said no from an upstream failure: only the first can meet a need on `skipped`."""

    step_id: str
    cause: SkipCause
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBlocked:
    """A command breaks the recipe's command policy; the step waits for a person."""

    step_id: str
    cause: FailureCause
    argv: tuple[str, ...] = ()
    rule: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandWarned:
    step_id: str
    attempt: int
    argv: tuple[str, ...]
    rule: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactRecorded:
    artifact: ArtifactRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAbandoned:
    """The owner of the attempt died and nothing of it is left; the next attempt has the next number."""

    step_id: str
    attempt: int
    cause: FailureCause


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptAdopted:
    """The owner of the attempt was gone and its container was not: `owner` takes its log and its end as they are."""

    step_id: str
    attempt: int
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRefused:
    """Somebody asked for what the state does not allow. Nothing changed."""

    command: str
    code: str
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerChanged:
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EventChannelFailed:
    """A subscriber did not take event `failed_seq`; the run went on (ST-WF-004).

    `gate_id`: the gate whose expiry the operator was to be told of by it.
    """

    subscriber: str
    error: str
    failed_seq: int
    gate_id: str | None = None


Event: TypeAlias = (
    RunCreated | RunStarted | RunPausing | RunPaused | RunResumed | RunAwaitingApproval | RunCancelling | RunClosing
    | RunSucceeded | RunFailed | RunCancelled | RunDeleted | RunQuarantined | RunReadmitted
    | StepStarted | StepSucceeded | StepFailed | StepBackingOff | StepCancelled | StepSkipped | StepBlocked
    | ApprovalRequested | DecisionRecorded | ApprovalGranted | ApprovalRejected | ApprovalExpired | ApprovalWithdrawn
    | InputRequested | InputReceived | NotificationSent
    | RunRetried | StepReused | WorkspaceKeeping | WorkspaceKept
    | CommandWarned | ArtifactRecorded | AttemptAbandoned | AttemptAdopted | CommandRefused | OwnerChanged | EventChannelFailed
    | EnvDrift | TemplateFallback
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An event with its envelope. `seq` counts from 1 within the run; `at` is milliseconds since the epoch."""

    seq: int
    at: int
    correlation_id: str
    actor: Actor
    event: Event


_NAMES: dict[type, str] = {}


def wire_name(cls: type) -> str:
    """The name of an event on the wire: ``StepBackingOff`` is ``step_backing_off``."""
    name = _NAMES.get(cls)
    if name is None:
        name = _NAMES[cls] = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
    return name


EVENT_TYPES: dict[str, type] = {wire_name(cls): cls for cls in get_args(Event)}
