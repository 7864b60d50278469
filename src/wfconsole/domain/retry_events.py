"""The events of going on in another run. Part of the one union in `events`, whose rules hold here, too."""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.domain.plan import Json
from wfconsole.domain.records import FailureCause


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRetried:
    """In the parent, right after its end: `successor` goes on at step `retried_from` and was created in the same transaction.

    `by` is empty when it was a deadline that closed gate `gate_id`.
    """

    successor: str
    workflow_id: str
    retried_from: str
    gate_id: str | None = None
    reason: str | None = None
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReused:
    """In the successor: the step is not run again; what run `reused_from` made of it counts."""

    step_id: str
    reused_from: str
    outputs: dict[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceKeeping:
    """Nothing runs, and nothing starts until the workspace is kept as it is before `step_id`."""

    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkspaceKept:
    """The workspace as it was before `step_id`: a tree in the run's trusted git folder, or the reason why there is none."""

    step_id: str
    tree: str | None = None
    cause: FailureCause | None = None
