"""THE transition tables of step, approval and run. Everything that says which status may follow which is in this file.

What is not in a table is refused and changes nothing; `evolve` asks here before every change, so a bug in `decide` is
an error and never a wrong journal. The status of a run is not chosen by anybody: `derive_run_status` computes it from
the steps and the requests recorded on the run, and is its only author. The diagrams in the README are drawn from
these tables.

What a crash does: `pending` and all terminal statuses survive as they are. `running` means an attempt was claimed:
the next owner adopts its container, takes the claim over, or opens the next attempt. `backing_off` goes on waiting
for the same moment. `needs_human` waits for a person whatever happens to owners.
"""

from __future__ import annotations

from dataclasses import dataclass

STEP_STATUSES = (
    "pending", "running", "backing_off", "needs_human", "succeeded", "failed", "skipped", "cancelled",
)  # fmt: skip
RUN_STATUSES = ("pending", "running", "paused", "awaiting_approval", "succeeded", "failed", "cancelled")
APPROVAL_STATUSES = ("open", "granted", "rejected", "expired", "withdrawn")

STEP_TERMINAL = frozenset({"succeeded", "failed", "skipped", "cancelled"})
RUN_TERMINAL = frozenset({"succeeded", "failed", "cancelled"})

STEP_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("running", "needs_human", "skipped", "cancelled", "succeeded"),  # succeeded: only with reused_from
    "running": ("succeeded", "failed", "backing_off", "needs_human", "cancelled"),
    "backing_off": ("running", "needs_human", "cancelled"),
    "needs_human": ("running", "succeeded", "failed", "skipped", "cancelled"),
    "succeeded": (),
    "failed": (),
    "skipped": (),
    "cancelled": (),
}

APPROVAL_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "open": ("granted", "rejected", "expired", "withdrawn"),
    "granted": (),
    "rejected": (),
    "expired": (),
    "withdrawn": (),
}

RUN_TRANSITIONS: dict[str, tuple[str, ...]] = {
    "pending": ("running", "cancelled"),
    "running": ("paused", "awaiting_approval", "succeeded", "failed", "cancelled"),
    "paused": ("running", "awaiting_approval", "cancelled"),
    "awaiting_approval": ("running", "paused", "cancelled"),
    "succeeded": (),
    "failed": (),
    "cancelled": (),
}


class TransitionError(Exception):
    """A change of status that no table allows. State is unchanged."""


def check_step(step_id: str, current: str, following: str) -> None:
    """Raise TransitionError unless the step table has current → following."""
    if following not in STEP_TRANSITIONS[current]:
        raise TransitionError(f"step {step_id}: {current} to {following}")


def check_approval(gate_id: str, current: str, following: str) -> None:
    """Raise TransitionError unless the approval table has current → following."""
    if following not in APPROVAL_TRANSITIONS[current]:
        raise TransitionError(f"gate {gate_id}: {current} to {following}")


def check_run(current: str, following: str) -> None:
    """Raise TransitionError unless the run table has current → following."""
    if following not in RUN_TRANSITIONS[current]:
        raise TransitionError(f"run: {current} to {following}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """All that the status of a run depends on.

    `live`: attempts under way. `waiting`: steps in needs_human. `timed`: steps in backing_off. `closed`: every step is over and
    what the run leaves as a whole is recorded. `failed`: a failure that counts, or a limit of the run that was reached.
    """

    started: bool
    live: int
    waiting: int
    timed: int
    pause_requested: bool
    cancel_requested: bool
    failed: bool
    closed: bool


def derive_run_status(facts: RunFacts) -> str:
    """The status of a run, from its steps and the requests recorded on it; constant time.

    Until it is closed a run whose steps are all over is still `running`: its diff is being collected. A cancellation that was
    asked for shows as `running` too while attempts are being stopped and `finally` steps carried out; when one of those waits
    for a person, so does the run.
    """
    if facts.closed:
        if facts.cancel_requested:
            return "cancelled"
        return "failed" if facts.failed else "succeeded"
    if not facts.started:
        return "pending"
    if facts.live:
        return "running"
    if facts.pause_requested:
        return "paused"
    return "awaiting_approval" if facts.waiting and not facts.timed else "running"
