"""What has to hold in every run after every fact, each compared with a slow scan that keeps no counters."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from tests.domain.building import World, evaluate
from wfconsole.domain import events as ev
from wfconsole.domain.backing import unbacked
from wfconsole.domain.codec import canonical, record_from_wire, wire
from wfconsole.domain.decide import decide, incomplete, next_wakeup
from wfconsole.domain.draft import Ruling
from wfconsole.domain.effects import StartAttempt, StopAttempt, effects
from wfconsole.domain.evolve import evolve, fold
from wfconsole.domain.facts import AnyFact, DeleteRun
from wfconsole.domain.lifecycle import (
    APPROVAL_TRANSITIONS,
    RUN_TERMINAL,
    RUN_TRANSITIONS,
    STEP_TERMINAL,
    STEP_TRANSITIONS,
)
from wfconsole.domain.plan import GATE_KINDS, PURE_KINDS
from wfconsole.domain.records import TIMER
from wfconsole.domain.run import RunState, StepState

CLOSINGS = (
    ev.ApprovalGranted, ev.ApprovalRejected, ev.ApprovalExpired, ev.ApprovalWithdrawn, ev.InputReceived,
)  # fmt: skip
ENDS = {"succeeded", "failed", "skipped", "cancelled"}


def snapshot(state: RunState | None, *without: str) -> dict[str, Any]:
    """Every field of the state that is not the plan, as values that later changes do not touch."""
    if state is None:
        return {}
    found: dict[str, Any] = {}
    for field in fields(RunState):
        if field.name not in {"created", "index", *without}:
            value = getattr(state, field.name)
            found[field.name] = value.copy() if isinstance(value, set | list | dict) else value
    names = [field.name for field in fields(StepState)]
    found["steps"] = {s.step_id: tuple(getattr(s, name) for name in names) for s in state.steps.values()}
    return found


class WatchedWorld(World):
    """A World that checks everything at every fact."""

    def decide(self, fact: AnyFact) -> Ruling:
        before, seq = snapshot(self.run), self.run.seq if self.run else 0
        at = self.run.at if self.run else 0
        over = self.run is not None and self.run.is_terminal
        ruling = decide(self.run, fact, evaluate)
        assert snapshot(self.run) == before, "decide changed the state"
        assert decide(self.run, fact, evaluate) == ruling, "decide is not deterministic"
        for record in ruling.records:
            assert record.seq == seq + 1
            assert record.at >= max(at, fact.at)
            assert record.correlation_id == fact.fact_id
            assert record.actor in {fact.actor, TIMER}
            seq, at = record.seq, record.at
            self._apply(record)
        self.last = fact
        self.records += ruling.records
        self.effects += effects(ruling.records)
        self._check_ruling(ruling, before, over=over)
        check_state(self.state)
        alone = ev.CommandRefused | ev.RunQuarantined | ev.RunReadmitted  # what is due then the next owner finds
        if self.records and not isinstance(self.records[-1].event, alone):
            wakeup = next_wakeup(self.state)
            assert wakeup is None or wakeup > self.state.at, "what is due was left lying"
        return ruling

    def _apply(self, record: ev.Record) -> None:
        """Evolve, and look each change of status up in the tables."""
        if self.run is None:
            self.run = evolve(None, record)
            return
        steps, status, gates = self.statuses(), self.status(), self.gate_statuses()
        self.run = evolve(self.run, record)
        for gate_id, found in self.gate_statuses().items():
            was = gates.get(gate_id, "open")
            assert found == was or found in APPROVAL_TRANSITIONS[was]
        if self.status() != status:
            assert self.status() in RUN_TRANSITIONS[str(status)]
        for step_id, found in self.statuses().items():
            if found != steps[step_id]:
                assert found in STEP_TRANSITIONS[steps[step_id]]

    def _check_ruling(self, ruling: Ruling, before: dict[str, Any], *, over: bool) -> None:
        if ruling.refusal is not None:
            assert [type(r.event) for r in ruling.records] == [ev.CommandRefused]
            now = snapshot(self.run)
            changed = {name for name, value in now.items() if value != before[name]}
            assert changed <= {"seq", "at", "seen"}
        if over:
            allowed = ev.RunDeleted if isinstance(self.last, DeleteRun) else ev.CommandRefused
            assert {type(r.event) for r in ruling.records} <= {allowed}
        again = decide(self.run, self.last, evaluate)
        assert again == Ruling(), "the same fact again says something"

    def gate_statuses(self) -> dict[str, str]:
        return {gate_id: found.status for gate_id, found in self.state.gates.items()}

    def check_gates(self) -> None:
        """Each gate was asked once and closed at most once, and what follows from it follows from how it was closed."""
        asked = [e.gate_id for e in self.events(ev.ApprovalRequested)]
        closed = [e.gate_id for e in self.events(*CLOSINGS)]
        assert len(asked) == len(set(asked)) == len(self.state.gates)
        assert sorted(closed) == sorted(name for name, status in self.gate_statuses().items() if status != "open")
        nonces = [e.nonce for e in self.events(ev.DecisionRecorded)]
        assert len(nonces) == len(set(nonces)), "a decision counted twice"
        for granted in self.events(ev.ApprovalGranted):
            rule = self.state.gates[granted.gate_id].asked.approvers
            assert len(granted.by) == len(set(granted.by)) >= rule.count
            assert not rule.any_of or set(granted.by) <= set(rule.any_of)
        granted_steps = {e.step_id for e in self.events(ev.ApprovalGranted, ev.InputReceived)}
        for done in self.events(ev.StepSucceeded):
            assert self.kind(done.step_id) not in GATE_KINDS or done.step_id in granted_steps, "a gate opened itself"

    def check_journal(self) -> None:
        """What can only be seen in the whole journal."""
        self.check_gates()
        self._check_artifacts()
        folded = fold(self.records)
        assert snapshot(folded) == snapshot(self.run)
        assert effects(self.records) == tuple(self.effects)
        claims = [(e.step_id, e.attempt) for e in self.events(ev.StepStarted)]
        assert len(claims) == len(set(claims)), "an attempt started twice"
        for step_id in {step for step, _ in claims}:
            assert [n for step, n in claims if step == step_id] == list(
                range(1, 1 + sum(s == step_id for s, _ in claims))
            )
        stopped = [e for e in self.effects if isinstance(e, StopAttempt)]
        assert all(e.force or self.state.index.steps[e.step_id].phase == "main" for e in stopped)
        wired = [wire(record, run_id=self.state.run_id, name="demo", version="1") for record in self.records]
        assert all(canonical(line) for line in wired)
        assert [record_from_wire(line) for line in wired] == self.records
        assert list(unbacked(self.records)) == []

    def _check_artifacts(self) -> None:
        """Each executed step left something, or says that it left nothing and why."""
        found = [e.artifact for e in self.events(ev.ArtifactRecorded)]
        ended = self.events(ev.StepSucceeded, ev.StepFailed, ev.StepCancelled, ev.StepBackingOff)
        executed = {(e.step_id, e.attempt) for e in ended if e.attempt and self.kind(e.step_id) not in PURE_KINDS}
        assert executed <= {(one.step_id, one.attempt) for one in found}
        assert len({one.artifact_id for one in found}) == len(found)
        assert all(one.reason for one in found if one.kind == "none")

    def check_end(self) -> None:
        assert self.status() in RUN_TERMINAL
        assert set(self.statuses().values()) <= ENDS
        assert not self.state.open_gates()
        (end,) = self.events(ev.RunSucceeded, ev.RunFailed, ev.RunCancelled)
        assert end.outputs.keys() == self.state.plan.outputs.keys()
        if isinstance(end, ev.RunFailed):
            assert end.failure.code
            assert end.failure.message
        self._check_finally()
        self.check_journal()

    def _check_finally(self) -> None:
        """`finally` steps are cancelled by force, before the start, or when they wait for a person; by nothing else."""
        if self.state.cancel_force or not self.state.started:
            return
        blocked = {e.step_id for e in self.events(ev.StepBlocked, ev.ApprovalRequested)}
        for cancelled in self.events(ev.StepCancelled):
            plan = self.state.index.steps[cancelled.step_id]
            assert plan.phase == "main" or plan.kind == "steps" or cancelled.step_id in blocked


def check_state(state: RunState) -> None:
    """The counters that `evolve` keeps, against a scan."""
    steps = list(state.all_steps())
    plan, kind = state.index.steps, {s.step_id: state.index.steps[s.step_id].kind for s in steps}
    attempts = [s for s in steps if s.status == "running" and kind[s.step_id] not in PURE_KINDS]
    timers = {s.step_id: s.retry_at for s in steps if s.status == "backing_off"}
    open_ = [s for s in steps if s.status not in STEP_TERMINAL]
    assert STEP_TERMINAL == ENDS
    assert state.live == len(attempts) <= state.plan.limits.max_concurrency
    assert state.waiting == sum(s.status == "needs_human" for s in steps)
    assert state.timers == timers
    _check_people(state)
    assert state.open_main == sum(plan[s.step_id].phase == "main" for s in open_)
    assert state.open_finally == sum(plan[s.step_id].phase == "finally" for s in open_)
    for s in steps:
        members = [m for m in steps if plan[m.step_id].parent == s.step_id]
        assert s.open_members == sum(m.status not in STEP_TERMINAL for m in members)
        assert s.unmet == _unmet(state, s)
        assert (s.retry_at is not None) == (s.status == "backing_off")
    assert sorted(state.ready) == sorted(s.step_id for s in steps if s.status == "pending" and s.unmet == 0)
    assert state.following_status() == state.status
    assert next_wakeup(state) == _wakeup(state)
    _check_alive(state)


def _check_people(state: RunState) -> None:
    """Every step in needs_human has an open gate, or is a gate whose context is missing, or was let go on."""
    waiting = {s.step_id for s in state.all_steps() if s.status == "needs_human"}
    open_ = [found.asked.step_id for found in state.open_gates()]
    missing = set(incomplete(state))
    assert len(open_) == len(set(open_))
    assert len(state.unblocked) == len(set(state.unblocked))
    assert waiting == set(open_) | missing | set(state.unblocked)
    assert not set(open_) & missing
    assert not set(state.unblocked) & {*open_, *missing}
    free = state.live < state.plan.limits.max_concurrency and not state.pause_requested and not state.keeping
    assert not (state.unblocked and free), "somebody let it go on and it does not"


def _unmet(state: RunState, step: StepState) -> int:
    plan = state.index.steps[step.step_id]
    waits = sum(state.step(need.step).status not in ENDS for need in plan.needs)
    if plan.parent is not None:
        group = state.step(plan.parent)
        waits += group.attempt == 0
    elif plan.phase == "finally":
        waits += any(s.status not in ENDS for s in state.all_steps() if state.index.steps[s.step_id].phase == "main")
    return waits


def _wakeup(state: RunState) -> int | None:
    free = state.live < state.plan.limits.max_concurrency and not state.pause_requested and not state.keeping
    due = [s.retry_at for s in state.all_steps() if s.status == "backing_off" and s.retry_at is not None and free]
    due += [found.asked.expires_at for found in state.gates.values() if found.status == "open"]
    main = [s for s in state.all_steps() if state.index.steps[s.step_id].phase == "main" and s.status not in ENDS]
    timeout = state.plan.limits.timeout_ms
    if timeout is not None and state.status == "running" and main and not state.cancel_requested:
        assert state.running_since is not None
        due.append(state.running_since + timeout - state.running_ms)
    return min(due, default=None)


def _check_alive(state: RunState) -> None:
    """A run that is not over always has something to wait for."""
    if state.is_terminal or not state.started:
        return
    waits_for = (
        state.live,
        state.timers,
        state.waiting,
        state.closing,
        state.status == "paused",
        state.keeping,
        state.telling,
    )
    assert any(waits_for), "the run is stuck"
    if state.live == 0 and not state.timers and not state.keeping and state.waiting and not state.pause_requested:
        assert state.status == "awaiting_approval"


def started_attempts(world: World) -> list[tuple[str, int]]:
    return [(e.step_id, e.attempt) for e in world.effects if isinstance(e, StartAttempt)]
