"""What the world has to do after events were recorded. Derived from the records alone, so a replay gives the same list."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from wfconsole.domain.events import (
    ApprovalExpired,
    Record,
    RunCancelled,
    RunCancelling,
    RunClosing,
    RunFailed,
    RunSucceeded,
    StepStarted,
    WorkspaceKeeping,
)
from wfconsole.domain.plan import PURE_KINDS, Json


@dataclass(frozen=True, slots=True, kw_only=True)
class StartAttempt:
    """Carry out this claimed attempt; `resolved` is what expressions gave it, `claimed_at` when (ms since the epoch)."""

    step_id: str
    attempt: int
    resolved: Json
    claimed_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAttempt:
    """Stop the attempt's container; its end arrives as an outcome."""

    step_id: str
    attempt: int
    force: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CloseRun:
    """Collect what the run leaves as a whole, then report `RunClosed`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealBundle:
    """The run is over: write its bundle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeepWorkspace:
    """Keep the workspace as it is before `step_id`, then report `SnapshotTaken`; nothing runs in it meanwhile."""

    step_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TellOperator:
    """Call the operator's hook with the record of a gate's expiry, then report `OperatorTold`."""

    gate_id: str
    record: Record


Effect: TypeAlias = StartAttempt | StopAttempt | CloseRun | SealBundle | KeepWorkspace | TellOperator


def effects(records: Iterable[Record]) -> tuple[Effect, ...]:
    """The effects of `records`, in order."""
    found: list[Effect] = []
    for record in records:
        match record.event:
            case StepStarted(step_id=step_id, attempt=attempt, kind=kind, resolved=resolved):
                if kind not in PURE_KINDS and resolved is not None:
                    found.append(
                        StartAttempt(step_id=step_id, attempt=attempt, resolved=resolved, claimed_at=record.at)
                    )
            case RunCancelling(force=force, stopping=stopping):
                for name in stopping:
                    step_id, _, number = name.rpartition("#")
                    found.append(StopAttempt(step_id=step_id, attempt=int(number), force=force))
            case ApprovalExpired(gate_id=gate_id, action="cancel_and_notify"):
                found.append(TellOperator(gate_id=gate_id, record=record))
            case WorkspaceKeeping(step_id=step_id):
                found.append(KeepWorkspace(step_id=step_id))
            case RunClosing():
                found.append(CloseRun())
            case RunSucceeded() | RunFailed() | RunCancelled():
                found.append(SealBundle())
            case _:
                pass
    return tuple(found)
