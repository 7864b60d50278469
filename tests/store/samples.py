"""A small run as the store sees it: plans, records and commits that follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from wfconsole.domain import events as ev
from wfconsole.domain.facts import PauseRun, StartRun, Wakeup
from wfconsole.domain.plan import Json, Plan, RecipeRef, RunBody, StepPlan
from wfconsole.domain.records import Actor, ArtifactRecord, FailureCause
from wfconsole.ports import Commit

T0 = 1_790_000_000_000
ANNE = Actor(user="anne", host="desk")


def plan(*step_ids: str, recipe: str = "sample") -> Plan:
    return Plan(
        recipe=RecipeRef(name=recipe, version="1.2.3", digest="d" * 64, origin="path"),
        text="recipe: sample\n",
        steps=tuple(
            StepPlan(step_id=step_id, kind="run", body=RunBody(commands=(("true",),)))
            for step_id in step_ids or ("a", "b")
        ),
    )


def created(
    run_id: str, *, workflow_id: str | None = None, pinned: Plan | None = None, project: str | None = None,
    inputs: dict[str, Json] | None = None,
) -> ev.RunCreated:  # fmt: skip
    return ev.RunCreated(
        run_id=run_id,
        workflow_id=workflow_id or f"wf-{run_id}",
        trace_id="0" * 32,
        plan=pinned or plan(),
        project=project,
        inputs=inputs or {},
    )


def start_fact(run_id: str) -> StartRun:
    return StartRun(
        fact_id=f"start-{run_id}",
        at=T0,
        actor=ANNE,
        run_id=run_id,
        workflow_id=f"wf-{run_id}",
        trace_id="0" * 32,
        plan=plan(),
    )


def pause(fact_id: str) -> PauseRun:
    return PauseRun(fact_id=fact_id, at=T0 + 5, actor=ANNE, reason="a look, with an umlaut: ü")


def records(events: Sequence[ev.Event], *, after: int = 0, at: int = T0) -> tuple[ev.Record, ...]:
    return tuple(
        ev.Record(seq=seq, at=at + 10 * seq, correlation_id=f"fact-{seq}", actor=ANNE, event=event)
        for seq, event in enumerate(events, start=after + 1)
    )


@dataclass
class Run:
    """Makes the next commit of a run; counts sequence numbers as a well-behaved driver does."""

    run_id: str
    seq: int = 0
    at: int = T0
    commits: list[Commit] = field(default_factory=list)

    def next(self, *events: ev.Event, fact_id: str | None = None) -> Commit:
        commit = Commit(
            run_id=self.run_id,
            expected_seq=self.seq,
            records=records(events, after=self.seq, at=self.at),
            fact=Wakeup(fact_id=fact_id or f"wake-{self.seq}", at=self.at),
        )
        self.seq += len(events)
        self.commits.append(commit)
        return commit

    def create(self, **options: str | Plan | dict[str, Json] | None) -> Commit:
        return self.next(created(self.run_id, **options))  # type: ignore[arg-type]


def step(step_id: str, n: int = 1) -> tuple[ev.Event, ev.Event, ev.Event]:
    """A step that succeeds and leaves nothing."""
    return (
        ev.StepStarted(step_id=step_id, attempt=n, kind="run"),
        ev.StepSucceeded(step_id=step_id, attempt=n, exit_code=0),
        nothing_left(step_id, n),
    )


def nothing_left(step_id: str, n: int = 1) -> ev.ArtifactRecorded:
    return ev.ArtifactRecorded(
        artifact=ArtifactRecord(
            artifact_id=f"{step_id}#{n}/none",
            step_id=step_id,
            attempt=n,
            name="none",
            kind="none",
            reason="it wrote no file",
        )
    )


def asked(step_id: str, n: int, kind: str) -> ev.ApprovalRequested:
    return ev.ApprovalRequested(
        gate_id=f"{step_id}#{n}",
        step_id=step_id,
        attempt=n,
        kind=kind,
        title="Ship it?",
        choices=("approve", "reject"),
        context={"title": "Ship it?"},
        context_digest="00" * 32,
        expires_at=T0 + 1000,
    )


def gates_told(gate: str, question: str) -> tuple[ev.Event, ...]:
    """Every event of gates; in one step one after another, which only a story may do."""
    first, asking = asked(gate, 1, "approval"), asked(question, 1, "question")
    named: dict[str, Any] = {"gate_id": first.gate_id, "step_id": gate}
    return (
        ev.StepStarted(step_id=gate, attempt=1, kind="approval"),
        first,
        ev.DecisionRecorded(choice="approve", principal="ann", nonce="1" * 16, **named),
        ev.ApprovalGranted(by=("ann",), **named),
        ev.ApprovalRejected(by=("ann",), reason="no", **named),
        ev.ApprovalExpired(action="cancel", **named),
        ev.NotificationSent(**named),
        ev.ApprovalWithdrawn(reason="the run ended", **named),
        ev.StepStarted(step_id=question, attempt=1, kind="question"),
        asking,
        ev.InputRequested(gate_id=asking.gate_id, step_id=question, prompt="Which?"),
        ev.InputReceived(gate_id=asking.gate_id, step_id=question, choice="red"),
    )


def whole_story(run_id: str) -> tuple[ev.Event, ...]:
    """Every kind of event that a projection looks at, in a possible order."""
    cause = FailureCause(code="STEP_FAILED", message="the command said no", hint="read the log")
    failure = ev.RunFailure(
        code="STEP_FAILED", message="step c failed", hint="read it", step_id="c", last_successful_step="b",
        missing_fields=("stderr",),
    )  # fmt: skip
    file = ArtifactRecord(
        artifact_id="b#2/out.txt", step_id="b", attempt=2, name="out.txt", kind="file", sha256="a" * 64, bytes=3
    )
    return (
        created(run_id, pinned=plan("a", "b", "c", "d", "e"), project="shop", inputs={"floor": 80.5, "name": "Ä"}),
        ev.RunStarted(owner="me"),
        *step("a"),
        ev.RunPausing(draining=0),
        ev.RunPaused(),
        ev.RunResumed(),
        ev.RunQuarantined(attempts=3, code="INTERNAL", message="it could not be driven"),
        ev.RunReadmitted(),
        ev.StepStarted(step_id="b", attempt=1, kind="run"),
        ev.EnvDrift(
            step_id="b",
            attempt=1,
            template="one",
            phase="create",
            differences=(),
            decision="fallback",
            fallback_template="two",
        ),
        ev.TemplateFallback(step_id="b", attempt=1, from_template="one", to_template="two"),
        ev.StepBackingOff(step_id="b", attempt=1, outcome="errored", cause=cause, until=T0 + 1000),
        ev.StepStarted(step_id="b", attempt=2, kind="run"),
        ev.CommandWarned(step_id="b", attempt=2, argv=("rm", "x"), rule="rm", message="it removes"),
        ev.StepSucceeded(step_id="b", attempt=2, exit_code=0),
        ev.ArtifactRecorded(artifact=file),
        ev.StepStarted(step_id="c", attempt=1, kind="run"),
        ev.AttemptAbandoned(step_id="c", attempt=1, cause=cause),
        ev.OwnerChanged(owner="you"),
        ev.AttemptAdopted(step_id="a", attempt=1, owner="you"),
        ev.StepStarted(step_id="c", attempt=2, kind="run"),
        ev.StepFailed(step_id="c", attempt=2, cause=cause, exit_code=3),
        nothing_left("c", 2),
        ev.StepSkipped(step_id="d", cause="upstream", reason="c failed"),
        ev.StepBlocked(step_id="e", cause=FailureCause(code="POLICY_BLOCKED", message="rm /")),
        ev.RunAwaitingApproval(waiting_for=("e",)),
        ev.CommandRefused(command="resume_run", code="TRANSITION_REFUSED", reason="it is not paused"),
        ev.RunCancelling(reason="enough"),
        ev.StepCancelled(step_id="e", reason="the run ended"),
        ev.RunClosing(code="STEP_FAILED"),
        ev.RunFailed(failure=failure, outputs={"score": 1.5}),
        ev.EventChannelFailed(subscriber="bell", error="deaf", failed_seq=3),
    )
