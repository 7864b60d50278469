"""Plans in few words, and a world that plays driver: it decides facts, evolves the state and knows which attempts are live."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from wfconsole.domain.decide import decide
from wfconsole.domain.decision import decision_payload
from wfconsole.domain.draft import Ruling
from wfconsole.domain.effects import CloseRun, Effect, StartAttempt, effects
from wfconsole.domain.events import Event, Record, wire_name
from wfconsole.domain.evolve import evolve
from wfconsole.domain.facts import (
    AnyFact,
    AttemptEnded,
    CancelRun,
    DecideGate,
    GateReady,
    OperatorTold,
    PauseRun,
    ResumeRun,
    RunClosed,
    SignatureCheck,
    SnapshotTaken,
    StartRun,
    TakeRun,
    Wakeup,
    WorkspacePin,
)
from wfconsole.domain.plan import (
    ApprovalBody,
    ApproverRule,
    Body,
    CheckBody,
    CheckRule,
    GroupBody,
    Json,
    Limits,
    Need,
    Plan,
    QuestionBody,
    RecipeRef,
    RunBody,
    SetBody,
    StepKind,
    StepPlan,
)
from wfconsole.domain.records import Actor, ArtifactRecord, FailureCause
from wfconsole.domain.run import RunState
from wfconsole.domain.values import ExpressionError

RECIPE = RecipeRef(name="demo", version="1.0.0", digest="d" * 64, origin="built-in")
PIN = WorkspacePin(source="/src", ref="HEAD", commit=None, tree="t")
KINDS: dict[type, StepKind] = {RunBody: "run", SetBody: "set", CheckBody: "check", GroupBody: "steps"}
KINDS |= {ApprovalBody: "approval", QuestionBody: "question"}
BLOCKED = RunBody(commands=(("sh", "-c", "true"),))
"""A command that the default policy refuses."""


GATE_LIFE = 10_000
"""How long a gate stays open in these worlds; far beyond every backoff and limit."""


def evaluate(source: str, scope: Mapping[str, Json]) -> Json:
    """Python instead of the recipe's language; whatever goes wrong is an ExpressionError."""
    try:
        return eval(source, {"__builtins__": {}}, dict(scope))
    except Exception as error:
        raise ExpressionError(f"{source}: {error}") from error


def expr(source: str) -> Json:
    return {"$expr": source}


def run_body(*argv: Json) -> RunBody:
    return RunBody(commands=(argv or ("true",),))


def checks(that: str, message: Json = "", hint: Json = "") -> CheckBody:
    return CheckBody(rules=(CheckRule(that=that, message=message, hint=hint),))


def step(step_id: str, body: Body | None = None, *, needs: Mapping[str, str] | str = "", **more: Any) -> StepPlan:
    """A step. `needs` is names in one text, or name to statuses in one text: ``{"a": "succeeded skipped"}``."""
    wanted = dict.fromkeys(needs.split(), "succeeded") if isinstance(needs, str) else needs
    body = run_body() if body is None else body
    parent = step_id.rpartition("/")[0] or None
    return StepPlan(
        step_id=step_id,
        kind=KINDS[type(body)],
        body=body,
        parent=parent,
        needs=tuple(Need(step=name, statuses=tuple(statuses.split())) for name, statuses in wanted.items()),
        **more,
    )


def group(step_id: str, *names: str, **more: Any) -> StepPlan:
    return step(step_id, GroupBody(members=tuple(f"{step_id}/{name}" for name in names)), **more)


def gate(
    step_id: str = "gate", *, needs: Mapping[str, str] | str = "", title: Json = "Ship it?", **more: Any
) -> StepPlan:
    """An approval; `more` are fields of its body, or of the step: count, any_of, not_author, on_reject, phase..."""
    rules = {name: more.pop(name) for name in ("count", "any_of", "not_author") if name in more}
    body = {n: more.pop(n) for n in ("on_reject", "on_timeout", "require_reason", "context") if n in more}
    made = ApprovalBody(title=title, approvers=ApproverRule(**rules), timeout_ms=GATE_LIFE, **body)
    return step(step_id, made, needs=needs, **more)


def plan(*steps: StepPlan, **more: Any) -> Plan:
    return Plan(recipe=RECIPE, text="", steps=steps, **more)


def limited(*steps: StepPlan, outputs: dict[str, Json] | None = None, **limits: Any) -> Plan:
    return plan(*steps, limits=Limits(**limits), outputs=outputs or {})


class World:
    """A run from StartRun on. Every method decides one fact at `now` and applies the ruling."""

    tells = True
    """Whether the operator is told of an expiry at once."""

    def __init__(self, made_of: Plan, *, take: bool = True, pin: WorkspacePin | None = None, **start: Any) -> None:
        self.now = 1_000
        self.count = 0
        self.records: list[Record] = []
        self.effects: list[Effect] = []
        self.run: RunState | None = None
        self.last: AnyFact
        self.send(
            StartRun,
            fact_id="start",
            run_id="r1",
            workflow_id="w1",
            trace_id="t1",
            plan=made_of,
            workspace=pin,
            **start,
        )
        if take:
            self.take()

    @property
    def state(self) -> RunState:
        assert self.run is not None
        return self.run

    def decide(self, fact: AnyFact) -> Ruling:
        """Decide and apply."""
        ruling = decide(self.run, fact, evaluate)
        self.last = fact
        for record in ruling.records:
            self.run = evolve(self.run, record)
        self.records += ruling.records
        self.effects += effects(ruling.records)
        return ruling

    def send(self, kind: type, **values: Any) -> Ruling:
        self.count += 1
        ruling = self.decide(kind(**{"fact_id": f"f{self.count}", "at": self.now, **values}))
        while self.tells and self.state.telling:
            self.tell()
        return ruling

    def tell(self, problem: str | None = None) -> Ruling:
        """The operator's hook was called for the first expired gate that it is to be called for."""
        gate_id = min(self.state.telling)
        self.count += 1
        return self.decide(
            OperatorTold(
                fact_id=f"told {self.count}", at=self.now, gate_id=gate_id, step_id=gate_id, seq=1, problem=problem
            )
        )

    def take(self, owner: str = "me") -> Ruling:
        return self.send(TakeRun, owner=owner)

    def pause(self) -> Ruling:
        return self.send(PauseRun)

    def resume(self) -> Ruling:
        return self.send(ResumeRun)

    def cancel(self, *, force: bool = False, reason: str | None = None) -> Ruling:
        return self.send(CancelRun, force=force, reason=reason)

    def wake(self, at: int) -> Ruling:
        self.now = at
        return self.send(Wakeup)

    def close(self, **values: Any) -> Ruling:
        return self.send(RunClosed, **values)

    def end(self, step_id: str, outcome: str = "succeeded", **values: Any) -> Ruling:
        """The step's present attempt ends."""
        if outcome != "succeeded":
            values.setdefault("cause", FailureCause(code="STEP_FAILED", message=f"{step_id} {outcome}"))
        attempt = values.pop("attempt", self.state.step(step_id).attempt)
        return self.send(AttemptEnded, step_id=step_id, attempt=attempt, outcome=outcome, **values)

    def keep(self, tree: str | None = "before", **values: Any) -> Ruling:
        """The workspace was kept before the step that waits for it."""
        step_id = self.state.keeping or ""
        return self.send(SnapshotTaken, step_id=step_id, tree=None if tree is None else f"{tree} {step_id}", **values)

    def play(self, **outcomes: str) -> Self:
        """End every attempt (succeeded unless `outcomes` has its step) until none is live; then close the run if it asks."""
        while (live := self.live()) or self.state.keeping:
            if live:
                self.end(live[0], outcomes.get(live[0], "succeeded"))
            else:
                self.keep()
        if self.state.closing and not self.state.closed:
            self.close()
        return self

    def ready(self, step_id: str = "gate", **values: Any) -> Ruling:
        """What the gate has to show has been gathered."""
        attempt = values.pop("attempt", self.state.step(step_id).attempt)
        card = ArtifactRecord(
            artifact_id=f"{step_id}#{attempt}/card",
            step_id=step_id,
            attempt=attempt,
            name="question_card.json",
            kind="question_card",
            sha256="c" * 64,
            bytes=2,
        )
        values = {
            "context": {"title": f"{step_id}?"},
            "context_digest": f"seen {step_id}#{attempt}",
            "expires_at": self.now + GATE_LIFE,
            "artifacts": (card,),
            **values,
        }
        return self.send(GateReady, step_id=step_id, attempt=attempt, **values)

    def payload(self, gate_id: str, choice: str | None, by: str) -> dict[str, Json]:
        """What `by` would sign."""
        found = self.state.gates.get(gate_id)
        return decision_payload(
            run_id="r1",
            gate_id=gate_id,
            choice=choice or "",
            reason=None,
            answer=None,
            context_digest=found.asked.context_digest if found else "",
            plan_digest=RECIPE.digest,
            actor=by,
            at=self.now,
            nonce=f"nonce of fact number {self.count}",
            seen_seq=self.state.seq,
            seen_hash="h",
        )

    def say(self, gate_id: str, choice: str | None, by: str = "ann", /, **other: Any) -> Ruling:
        """`by` decides, signed well unless `check` says otherwise; a name without # is the step's newest gate.

        `forge` replaces fields of the payload.
        """
        if "#" not in gate_id and (found := self.state.gate_of(gate_id)) is not None:
            gate_id = found.asked.gate_id
        check = other.pop("check", SignatureCheck(valid=True, principal=by, key=f"key of {by}"))
        values = {name: other.pop(name) for name in ("at", "fact_id") if name in other}
        payload = self.payload(gate_id, choice, by) | other.pop("forge", {}) | other
        return self.send(
            DecideGate, payload=payload, signature="sig", check=check, actor=Actor(user=by, host="desk"), **values
        )

    def approve(self, gate_id: str = "gate", by: str = "ann", **other: Any) -> Ruling:
        return self.say(gate_id, "approve", by, **other)

    def reject(self, gate_id: str = "gate", by: str = "ann", reason: str | None = "no", **other: Any) -> Ruling:
        return self.say(gate_id, "reject", by, reason=reason, **other)

    def gate(self, step_id: str = "gate") -> str:
        """The status of a step's newest gate."""
        found = self.state.gate_of(step_id)
        assert found is not None
        return found.status

    def live(self) -> list[str]:
        """Steps that an attempt of is under way, in the plan's order."""
        pure = {"set", "check", "steps"}
        return [s.step_id for s in self.state.all_steps() if s.status == "running" and self.kind(s.step_id) not in pure]

    def kind(self, step_id: str) -> str:
        return self.state.index.steps[step_id].kind

    def status(self, *names: str) -> str | list[str]:
        """The run's status, one step's, or those of several."""
        found = [self.state.step(name).status for name in names]
        return self.state.status if not found else found[0] if len(found) == 1 else found

    def statuses(self) -> dict[str, str]:
        return {s.step_id: s.status for s in self.state.all_steps()}

    def events(self, *kinds: type[Event]) -> list[Any]:
        return [r.event for r in self.records if not kinds or isinstance(r.event, kinds)]

    def names(self) -> list[str]:
        """The journal as wire names, steps named: ``step_started a``."""
        return [name(r.event) for r in self.records]

    def started(self) -> list[str]:
        return [f"{e.step_id}#{e.attempt}" for e in self.effects if isinstance(e, StartAttempt)]

    def asked_to_close(self) -> bool:
        return any(isinstance(e, CloseRun) for e in self.effects)


def name(event: Event) -> str:
    step_id = getattr(event, "step_id", None)
    return wire_name(type(event)) + (f" {step_id}" if step_id else "")
