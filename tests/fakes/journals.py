"""Journals made by the domain itself: a plan, what its attempts do, and the records that `decide` gives for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from wfconsole.domain.decide import decide, next_wakeup
from wfconsole.domain.effects import CloseRun, KeepWorkspace, StartAttempt, StopAttempt, effects
from wfconsole.domain.events import Record
from wfconsole.domain.evolve import evolve
from wfconsole.domain.facts import AnyFact, AttemptEnded, GateReady, RunClosed, SnapshotTaken, StartRun, TakeRun, Wakeup
from wfconsole.domain.plan import GATE_KINDS, Json, Need, Plan, RecipeRef, RunBody, StepPlan
from wfconsole.domain.records import Actor, CommandRecord, FailureCause, StreamRef
from wfconsole.domain.run import RunState
from wfconsole.domain.values import ExpressionError

RUN_ID = "01JZ8Q4V7M3K9T2B6W5X0YHRCD"
START = 1_782_900_000_000  # 2026-07-01T10:00:00.000Z
ANN = Actor(user="ann", host="build-7")

Result = Mapping[str, Any]
"""Fields of an AttemptEnded: outcome, cause, outputs ..."""

OK: Result = {"outcome": "succeeded", "exit_code": 0}


def failed(message: str = "exit status 1", code: str = "STEP_FAILED", **more: Any) -> Result:
    cause = FailureCause(code=code, message=message, hint=more.pop("hint", "read the log"))
    return {"outcome": "failed", "exit_code": 1, "cause": cause, **more}


def step(step_id: str, *needs: str, argv: tuple[Json, ...] = ("true",), **more: Any) -> StepPlan:
    """A `run` step with one command."""
    found = StepPlan(
        step_id=step_id,
        kind="run",
        body=RunBody(commands=(argv,)),
        needs=tuple(Need(step=need) for need in needs),
    )
    return replace(found, **more)


def plan(*steps: StepPlan, **more: Any) -> Plan:
    recipe = RecipeRef(name="quality-gate", version="1.0.0", digest="d1" * 32, origin="built-in")
    return replace(Plan(recipe=recipe, text="recipe: quality-gate", steps=steps), **more)


def evaluate(source: str, scope: Mapping[str, Json]) -> Json:
    """Dotted names only; everything else cannot be evaluated."""
    value: Json = scope
    for part in source.split("."):
        if not isinstance(value, Mapping) or part not in value:
            raise ExpressionError(f"unknown name {source}")
        value = value[part]
    return value


def command(index: int, argv: tuple[str, ...], step_id: str, attempt: int, **more: Any) -> CommandRecord:
    """A finished command whose logs lie where the sandbox puts them."""
    folder = f"bundle/logs/{step_id.replace('/', '.')}/{attempt}"
    values: dict[str, Any] = {
        "exit_code": 0,
        "started_at": START + 100,
        "finished_at": START + 200,
        "stdout": StreamRef(path=f"{folder}/{index}.stdout", bytes=0),
        "stderr": StreamRef(path=f"{folder}/{index}.stderr", bytes=0),
    }
    return CommandRecord(index=index, argv=argv, cwd=".", **{**values, **more})


class Journal:
    """A run on a settable clock: every fact comes `pace` milliseconds after the one before."""

    def __init__(self, made: Plan, *, run_id: str = RUN_ID, pace: int = 1000, **start: Any) -> None:
        self.records: list[Record] = []
        self.state: RunState | None = None
        self.open: list[StartAttempt] = []
        self.now = START
        self.pace = pace
        self.facts = 0
        self.give(
            StartRun(
                fact_id="start",
                at=self.now,
                actor=start.pop("actor", ANN),
                run_id=run_id,
                workflow_id=start.pop("workflow_id", run_id),
                trace_id="t" * 32,
                plan=made,
                **start,
            )
        )

    def give(self, fact: AnyFact) -> list[Record]:
        """Decide one fact; the records it led to."""
        ruling = decide(self.state, fact, evaluate)
        for record in ruling.records:
            self.state = evolve(self.state, record)
            self.records.append(record)
        for effect in effects(ruling.records):
            if isinstance(effect, StartAttempt):
                self.open.append(effect)
            elif isinstance(effect, KeepWorkspace):
                name = effect.step_id
                self.give(SnapshotTaken(fact_id=f"kept:{name}", at=self.now, step_id=name, tree=f"before {name}"))
            elif isinstance(effect, StopAttempt):
                self._stop(effect)
            elif isinstance(effect, CloseRun):
                self.give(RunClosed(fact_id="closed", at=self.now))
        self.now += self.pace
        return list(ruling.records)

    def _stop(self, effect: StopAttempt) -> None:
        stopped = [one for one in self.open if (one.step_id, one.attempt) == (effect.step_id, effect.attempt)]
        for one in stopped:
            self.end(one, {"outcome": "cancelled"})

    def take(self) -> list[Record]:
        return self.give(TakeRun(fact_id="take", at=self.now, actor=ANN, owner="build-7:1"))

    def is_gate(self, effect: StartAttempt) -> bool:
        return self.state is not None and self.state.plan.step(effect.step_id).kind in GATE_KINDS

    def ready(self, effect: StartAttempt, context: Json = None, digest: str = "c0" * 32) -> list[Record]:
        """The context of a gate is gathered: it opens for as long as its recipe says."""
        self.open.remove(effect)
        return self.give(
            GateReady(
                fact_id=f"{effect.step_id}#{effect.attempt}:ready",
                at=self.now,
                step_id=effect.step_id,
                attempt=effect.attempt,
                context={"title": effect.resolved["title"], **(context or {})},
                context_digest=digest,
                expires_at=self.now + effect.resolved["timeout_ms"],
            )
        )

    def end(self, effect: StartAttempt, result: Result) -> list[Record]:
        self.open.remove(effect)
        return self.give(
            AttemptEnded(
                fact_id=f"{effect.step_id}#{effect.attempt}",
                at=self.now,
                step_id=effect.step_id,
                attempt=effect.attempt,
                **{"commands": default_commands(effect), **result},
            )
        )

    def wake(self) -> bool:
        """Let time pass to the next wakeup; False when nothing waits for time."""
        due = None if self.state is None else next_wakeup(self.state)
        if due is None:
            return False
        self.now = max(self.now, due)
        self.facts += 1
        self.give(Wakeup(fact_id=f"wake:{self.facts}", at=self.now))
        return True

    def play(self, results: Callable[[str, int], Result] | None = None) -> list[Record]:
        """Drive to where nothing goes on by itself; the deadline of a gate is not waited for."""
        if self.state is not None and not self.state.started:
            self.take()
        while self.open or (self.state is not None and not self.state.open_gates() and self.wake()):
            if self.open:
                first = self.open[0]
                if self.is_gate(first):
                    self.ready(first)
                    continue
                self.end(first, (results or (lambda _step, _n: OK))(first.step_id, first.attempt))
        return self.records


def default_commands(effect: StartAttempt) -> tuple[CommandRecord, ...]:
    return tuple(
        command(index, tuple(argv), effect.step_id, effect.attempt)
        for index, argv in enumerate(effect.resolved.get("commands", ()))
    )
