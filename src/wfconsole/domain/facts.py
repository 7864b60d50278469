"""Facts: everything that goes into `decide`. Commands of people, outcomes of attempts, time, and what the engine saw.

Time enters the domain only here: each fact carries `at`, milliseconds since the epoch, stamped once by whoever made it.
`fact_id` identifies the fact for good: a fact that was decided before changes nothing the second time, and every event
names the fact that caused it as its correlation id.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from wfconsole.domain.lineage import Lineage, Taken
from wfconsole.domain.plan import ApproverRule, Json, Plan
from wfconsole.domain.policy.drift import Drift
from wfconsole.domain.records import (
    ENGINE,
    Actor,
    ArtifactRecord,
    CommandRecord,
    FailureCause,
    OutcomeStatus,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """What all facts carry."""

    fact_id: str
    at: int
    actor: Actor = ENGINE


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspacePin:
    """What the run's workspace was copied from. `commit` is None for a folder that is no git repository.

    `tree` names the copied content in the run's trusted git folder; `source` is shown to people and never read again.
    """

    source: str
    ref: str
    commit: str | None
    tree: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRun(Fact):
    """Create the run. Everything that it pins is in here; nothing outside is read again.

    `start` is what its author signed, as {payload, signature}, where a gate asks who that is. A successor has `lineage`, and
    in `taken` the steps that it does not run again.
    """

    run_id: str
    workflow_id: str
    trace_id: str
    plan: Plan
    inputs: dict[str, Json] = field(default_factory=dict)
    project: str | None = None
    trigger: Literal["manual", "intent", "retry"] = "manual"
    intent_hash: str | None = None
    trace_url: str | None = None
    workspace: WorkspacePin | None = None
    warnings: tuple[str, ...] = ()
    author: str | None = None
    start: dict[str, Json] = field(default_factory=dict)
    lineage: Lineage | None = None
    taken: tuple[Taken, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TakeRun(Fact):
    """An owner begins, or goes on, to drive the run."""

    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseRun(Fact):
    """Start nothing more; the status changes when the last attempt has ended."""

    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeRun(Fact):
    """Go on after a pause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRun(Fact):
    """End the run. `force` also gives up what a graceful stop would wait for, the `finally` steps included."""

    reason: str | None = None
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteRun(Fact):
    """Remove an ended run with all it left. `counts` and `bytes` are what was shown to whoever asked for it."""

    counts: dict[str, int] = field(default_factory=dict)
    bytes: int = 0
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Fact):
    """An attempt is over. A second report of the same attempt is a no-op.

    `outputs` holds the outputs read from the result, files and stdout; those given by expressions are added by `decide`.
    `drift`: the sandbox was not what its template's lock says; unless it was found at the end nothing ran.
    """

    step_id: str
    attempt: int
    outcome: OutcomeStatus
    cause: FailureCause | None = None
    exit_code: int | None = None
    commands: tuple[CommandRecord, ...] = ()
    outputs: dict[str, Json] = field(default_factory=dict)
    artifacts: tuple[ArtifactRecord, ...] = ()
    template: str | None = None
    fingerprint: str | None = None
    cost_usd: float | None = None
    sandbox_ms: int = 0
    output_bytes: int = 0
    warnings: tuple[str, ...] = ()
    drift: Drift | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateReady(Fact):
    """Everything that the approver has to see exists: `context` is the card's data, `context_digest` the sha256 of its artifact.

    `expires_at` is when the gate closes by itself (ms since the epoch); the same moment stands in the question card.
    `approvers` is what the recipe's expressions gave; None: what the plan says.
    """

    step_id: str
    attempt: int
    context: Json
    context_digest: str
    expires_at: int
    artifacts: tuple[ArtifactRecord, ...] = ()
    approvers: ApproverRule | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """What the owner found out about a decision's signature when it took it from the inbox. `key` is a fingerprint.

    `seen_holds`: the event that the signer says was the last one exists with that hash.
    """

    valid: bool
    principal: str | None = None
    key: str | None = None
    problem: str | None = None
    seen_holds: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DecideGate(Fact):
    """A person's decision: all of it is in the signed `payload` (see `decision`), nothing beside it counts."""

    payload: dict[str, Json]
    signature: str | None = None
    check: SignatureCheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunClosed(Fact):
    """What the run leaves as a whole has been collected: its diff, or the reason why there is none."""

    artifacts: tuple[ArtifactRecord, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotTaken(Fact):
    """The workspace was kept as it is before `step_id`, as `tree`; or it could not be, and `cause` says why."""

    step_id: str
    tree: str | None = None
    cause: FailureCause | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wakeup(Fact):
    """Time has passed; `decide` looks at what is due at `at`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelFailed(Fact):
    """A subscriber could not take an event. The run goes on."""

    subscriber: str
    error: str
    failed_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAside(Fact):
    """Driving the run failed so many times in a row, the last time like this; `hint` says what an operator can do."""

    attempts: int
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTold(Fact):
    """The hook for an expired gate was called; with a `problem` it was not, or ended badly. `seq`: of the expiry."""

    gate_id: str
    step_id: str
    seq: int
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFound(Fact):
    """The container of an attempt that an earlier owner began is there, running or ended; nothing of it is run again."""

    step_id: str
    attempt: int
    owner: str


Command: TypeAlias = StartRun | PauseRun | ResumeRun | CancelRun | DecideGate | DeleteRun
AnyFact: TypeAlias = (
    Command | TakeRun | AttemptFound | AttemptEnded | GateReady | SnapshotTaken | OperatorTold | RunClosed | Wakeup
    | ChannelFailed | SetAside
)  # fmt: skip
