"""The state of one run: what a fold of its journal knows. Changed by `evolve` alone.

Refuses to know what should happen next (`decide`) and how it is shown (`views`). The one decision that would surprise: the state
is mutable and `evolve` changes it in place, because a run can have 100,000 children and a frozen copy for each event would cost
what it has. It never leaves the run loop, and `decide` works on a `fork`, so a ruling that is not committed changed nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace

from wfconsole.domain.events import ApprovalRequested, DecisionRecorded, RunCreated
from wfconsole.domain.lifecycle import RUN_TERMINAL, RunFacts, derive_run_status
from wfconsole.domain.lineage import Rejection
from wfconsole.domain.plan import EFFECT_KINDS, GATE_KINDS, PURE_KINDS, ApprovalBody, Json, Need, Plan, StepPlan
from wfconsole.domain.quarantine_events import RunQuarantined
from wfconsole.domain.records import FailureCause


class PlanIndex:
    """What is looked up in a plan again and again; built once for a run, shared by all forks.

    `asks`: gates that ask again in a successor. Whatever comes after one waits for it, also where the step between them is taken
    over and waits for nothing. `targets`: steps before which the workspace is kept, because a rejection may start again there.
    """

    __slots__ = ("_upstream", "dependents", "gates", "members", "order", "steps", "targets")

    def __init__(self, plan: Plan, asks: Collection[str] = ()) -> None:
        self.steps: dict[str, StepPlan] = {step.step_id: step for step in plan.steps}
        self.order: dict[str, int] = {step.step_id: position for position, step in enumerate(plan.steps)}
        self.members: dict[str, list[str]] = {}
        self.dependents: dict[str, list[str]] = {step_id: [] for step_id in self.steps}
        for step in plan.steps:
            if step.kind == "steps":
                self.members.setdefault(step.step_id, [])
            if step.parent is not None:
                self.members.setdefault(step.parent, []).append(step.step_id)
        self.gates = tuple(step.step_id for step in plan.steps if step.kind in GATE_KINDS)
        self.targets = _targets(plan)
        self._upstream: dict[str, frozenset[str]] = {}
        if asks:
            self.steps = {step_id: self._held(step, asks) for step_id, step in self.steps.items()}
            self._upstream = {}
        for step in self.steps.values():
            for need in step.needs:
                self.dependents[need.step].append(step.step_id)

    def _held(self, step: StepPlan, asks: Collection[str]) -> StepPlan:
        """The step, needing also the gates before it that ask again."""
        direct = {need.step for need in step.needs}
        more = tuple(Need(step=name) for name in asks if name in self.upstream(step.step_id) - direct)
        return replace(step, needs=(*step.needs, *more)) if more and step.phase == "main" else step

    def upstream(self, step_id: str) -> frozenset[str]:
        """Every step that has ended before this one starts: what it needs, directly or not, and what its group needs."""
        found = self._upstream.get(step_id)
        if found is None:
            seen: set[str] = set()
            todo = [step_id]
            while todo:
                step = self.steps[todo.pop()]
                nearest = [need.step for need in step.needs] + ([step.parent] if step.parent else [])
                todo.extend(name for name in nearest if name not in seen)
                seen.update(need.step for need in step.needs)
            found = self._upstream[step_id] = frozenset(seen)
        return found


def _targets(plan: Plan) -> frozenset[str]:
    if not any(changes_workspace(step) for step in plan.steps):
        return frozenset()
    found = [step.body.on_reject for step in plan.steps if isinstance(step.body, ApprovalBody)]
    return frozenset(after["retry_from"] for after in found if isinstance(after, dict))


def changes_workspace(step: StepPlan) -> bool:
    """Can this step leave the shared workspace otherwise than it found it?"""
    return step.kind not in PURE_KINDS | GATE_KINDS | EFFECT_KINDS and step.isolation != "read_only"


@dataclass(slots=True, kw_only=True)
class StepState:
    """One step. `unmet` counts what has to end (or, for a parent group, begin) before it is looked at.

    `let_through` are the blocked commands that somebody allowed for the attempt about to begin, each once. `template` is
    the one that the step fell back to, `drift` has each template that was not what its lock says with the fields that differed.
    """

    step_id: str
    unmet: int
    status: str = "pending"
    attempt: int = 0
    abandoned: int = 0
    outputs: dict[str, Json] | None = None
    cause: FailureCause | None = None
    outcome: str | None = None
    exit_code: int | None = None
    skip_cause: str | None = None
    allowed: bool = False
    open_members: int = 0
    retry_at: int | None = None
    let_through: tuple[tuple[str, ...], ...] = ()
    reused_from: str | None = None
    template: str | None = None
    drift: tuple[tuple[str, tuple[str, ...]], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GateState:
    """One gate: what was asked, its status in `lifecycle.APPROVAL_STATUSES`, and every valid decision so far.

    `opened_seq` is the event that opened it.
    """

    asked: ApprovalRequested
    opened_at: int
    opened_seq: int = 0
    status: str = "open"
    decisions: tuple[DecisionRecorded, ...] = ()
    closed_by: tuple[str, ...] = ()
    reason: str | None = None
    choice: str | None = None


@dataclass(slots=True, kw_only=True)
class RunState:
    """The run. `seq` and `at` are those of its last event; `open_main` and `open_finally` count steps that have not ended.

    `telling` are expired gates that the operator is being told of; the run does not end before.
    `unblocked` are steps in needs_human that somebody has let go on and that wait for a free place. `keeping` is the step before
    which the workspace is being kept, `kept` the trees of those before which it was. `retry` says at which step a
    successor goes on and which gate wants it; `rejections` are those of earlier runs, by the gate's step.
    """

    created: RunCreated
    index: PlanIndex
    steps: dict[str, StepState]
    open_main: int
    open_finally: int
    status: str = "pending"
    seq: int = 0
    at: int = 0
    started: bool = False
    owner: str | None = None
    aside: RunQuarantined | None = None
    pause_requested: bool = False
    cancel_requested: bool = False
    cancel_force: bool = False
    cancel_reason: str | None = None
    cancel_code: str | None = None
    ended_by: FailureCause | None = None
    closing: bool = False
    closed: bool = False
    live: int = 0
    waiting: int = 0
    timers: dict[str, int] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    attempts_started: int = 0
    harmed_by: str | None = None
    last_succeeded: str | None = None
    running_since: int | None = None
    running_ms: int = 0
    sandbox_ms: int = 0
    cost_usd: float = 0.0
    seen: set[str] = field(default_factory=set)
    gates: dict[str, GateState] = field(default_factory=dict)
    telling: frozenset[str] = frozenset()
    unblocked: list[str] = field(default_factory=list)
    keeping: str | None = None
    kept: dict[str, str] = field(default_factory=dict)
    retry: tuple[str, str] | None = None
    rejections: dict[str, Rejection] = field(default_factory=dict)
    edits: dict[str, StepState] | None = None

    @property
    def plan(self) -> Plan:
        return self.created.plan

    @property
    def run_id(self) -> str:
        return self.created.run_id

    @property
    def is_terminal(self) -> bool:
        return self.status in RUN_TERMINAL

    @property
    def open_steps(self) -> int:
        return self.open_main + self.open_finally

    @property
    def end_reason(self) -> str | None:
        """Why the run is being ended early: what its operator said, or which limit it reached."""
        return self.cancel_reason or (None if self.ended_by is None else self.ended_by.message)

    def gives_up(self, phase: str) -> bool:
        """Is the run being ended in a way that steps of this phase are not waited for?"""
        return self.cancel_requested and (phase == "main" or self.cancel_force or not self.started)

    def step(self, step_id: str) -> StepState:
        """The step, to be read."""
        if self.edits is not None and step_id in self.edits:
            return self.edits[step_id]
        return self.steps[step_id]

    def edit(self, step_id: str) -> StepState:
        """The step, to be changed by `evolve`: in a fork its own copy."""
        if self.edits is None:
            return self.steps[step_id]
        if step_id not in self.edits:
            self.edits[step_id] = _copy_step(self.steps[step_id])
        return self.edits[step_id]

    def open_gates(self) -> list[GateState]:
        """Gates that can be decided, in the order in which they opened."""
        return [gate for gate in self.gates.values() if gate.status == "open"]

    def gate_of(self, step_id: str) -> GateState | None:
        """The newest gate of a step."""
        return next((gate for gate in reversed(self.gates.values()) if gate.asked.step_id == step_id), None)

    def all_steps(self) -> Iterator[StepState]:
        return (self.step(step_id) for step_id in self.steps)

    def facts(self) -> RunFacts:
        """What `derive_run_status` reads."""
        return RunFacts(
            started=self.started,
            live=self.live + (self.keeping is not None),
            waiting=self.waiting,
            timed=len(self.timers),
            pause_requested=self.pause_requested and not self.closing,
            cancel_requested=self.cancel_requested and self.ended_by is None,
            failed=self.harmed_by is not None or self.ended_by is not None,
            closed=self.closed,
        )

    def fork(self) -> RunState:
        """A state to try events on; this one does not change. Costs the small collections, not the steps."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values.update(timers=dict(self.timers), ready=list(self.ready), seen=set(), gates=dict(self.gates), edits={})
        values.update(unblocked=list(self.unblocked), kept=dict(self.kept))
        return RunState(**values)

    def following_status(self) -> str:
        """The status that the steps and requests now amount to."""
        return derive_run_status(self.facts())


def _copy_step(step: StepState) -> StepState:
    return StepState(**{name: getattr(step, name) for name in step.__slots__})


def new_state(created: RunCreated) -> RunState:
    """The state right after `run_created`."""
    lineage = created.lineage
    index = PlanIndex(created.plan, lineage.asks if lineage is not None else ())
    steps: dict[str, StepState] = {}
    for step in index.steps.values():
        waits_for = len(step.needs) + (1 if step.parent is not None else 0)
        waits_for += 1 if step.phase == "finally" and step.parent is None else 0
        steps[step.step_id] = StepState(
            step_id=step.step_id, unmet=waits_for, open_members=len(index.members.get(step.step_id, ()))
        )
    main = sum(step.phase == "main" for step in created.plan.steps)
    state = RunState(
        created=created, index=index, steps=steps, open_main=main, open_finally=len(created.plan.steps) - main
    )
    if lineage is not None:
        state.kept = dict(lineage.kept)
        state.rejections = {each.step_id: each for each in lineage.rejections}
    state.ready = [step.step_id for step in created.plan.steps if steps[step.step_id].unmet == 0]
    if main == 0:
        release_finally(state)
    return state


def release_finally(state: RunState) -> None:
    """All main steps are over: let the `finally` steps be looked at."""
    for step in state.plan.steps:
        if step.phase == "finally" and step.parent is None:
            meet(state, step.step_id)


def meet(state: RunState, step_id: str) -> None:
    """One thing that this step waited for has come; the last one makes it ready."""
    step = state.edit(step_id)
    step.unmet -= 1
    if step.unmet == 0 and step.status == "pending":
        state.ready.append(step_id)


def view_step(step: StepState) -> Mapping[str, Json]:
    """A step as expressions see it."""
    cause = step.cause
    return {
        "status": step.status,
        "outputs": step.outputs,
        "children": [],
        "failure": None if cause is None else {"code": cause.code, "message": cause.message},
    }
