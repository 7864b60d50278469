"""The events of gates: asked, decided, closed. Part of the one union in `events`, whose rules hold here, too."""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.domain.plan import ApproverRule, InputSpec, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRequested:
    """A gate is open. `kind` is approval, question or blocked (a command that the policy refused, with its `argv`).

    What the gate asks for is recorded here, so that no decision depends on anything that could change later.
    """

    gate_id: str
    step_id: str
    attempt: int
    kind: str
    title: str
    choices: tuple[str, ...]
    context: Json
    context_digest: str
    expires_at: int
    approvers: ApproverRule = field(default_factory=ApproverRule)
    require_reason: str = "on_reject"
    on_reject: Json = "cancel"
    on_timeout: str = "cancel"
    default: Json = None
    form: tuple[InputSpec, ...] = ()
    argv: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionRecorded:
    """A valid decision of one person; whether it closes the gate is the next event's to say."""

    gate_id: str
    step_id: str
    choice: str
    principal: str
    reason: str | None = None
    answer: dict[str, Json] = field(default_factory=dict)
    nonce: str = ""
    signature: str | None = None
    key: str | None = None
    payload: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalGranted:
    gate_id: str
    step_id: str
    by: tuple[str, ...]
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalRejected:
    """`action` is what the recipe says follows: cancel, route or retry_from."""

    gate_id: str
    step_id: str
    by: tuple[str, ...]
    reason: str | None = None
    action: str = "cancel"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalExpired:
    """Nobody decided in time; `action` is the recipe's `on_timeout`."""

    gate_id: str
    step_id: str
    action: str
    event: str = "approval_timeout"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotificationSent:
    """The operator's hook was called because a gate with `on_timeout: cancel_and_notify` expired, and ended well."""

    gate_id: str
    step_id: str
    channel: str = "hooks"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovalWithdrawn:
    """The gate was closed because its run or its step ended otherwise."""

    gate_id: str
    step_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InputRequested:
    """A question is open; the gate itself is in the `approval_requested` before it."""

    gate_id: str
    step_id: str
    prompt: str
    choices: tuple[str, ...] = ()
    form: tuple[InputSpec, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InputReceived:
    """The answer, by a person or, with `by` empty, the default at the timeout."""

    gate_id: str
    step_id: str
    choice: str | None
    answer: dict[str, Json] = field(default_factory=dict)
    by: tuple[str, ...] = ()
