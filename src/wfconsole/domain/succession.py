"""What goes on after a run that was rejected: the successor, from the parent's journal alone.

Owns what is taken over and what runs anew. Refuses to know who stores it. The rule: a step runs anew when it is the one
named, needs one that does, has not succeeded, or changed the workspace after it was kept; everything else is taken over.
The decision that would surprise: an approval is never taken over. A gate that was granted before the step asks again, while
what came after the gate is kept, and whatever still has to run waits for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from wfconsole.domain.events import (
    ApprovalExpired,
    ApprovalRejected,
    ArtifactRecorded,
    Record,
    RunRetried,
    StepReused,
    StepSkipped,
    StepSucceeded,
    WorkspaceKept,
)
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import StartRun
from wfconsole.domain.lineage import Lineage, Rejection, Taken
from wfconsole.domain.records import ENGINE, Actor, ArtifactRecord
from wfconsole.domain.run import PlanIndex, RunState, changes_workspace


def succession(records: Sequence[Record]) -> StartRun:
    """The command that creates the successor which the `run_retried` at the end of this whole journal names.

    The same journal gives the same command. ValueError when the journal names none.
    """
    state, last = fold(records), records[-1] if records else None
    if state is None or last is None or not isinstance(last.event, RunRetried):
        raise ValueError("this run has no successor")
    told = _Told.of(records)
    anew, asks = _sort_out(state, told, last.event.retried_from)
    created = state.created
    return StartRun(
        fact_id=f"start:{last.event.successor}",
        at=last.at,
        actor=told.rejected_by.get(last.event.gate_id or "", ENGINE),
        run_id=last.event.successor,
        workflow_id=last.event.workflow_id,
        trace_id=hashlib.sha256(f"{created.trace_id}/{last.event.successor}".encode()).hexdigest()[:32],
        plan=created.plan,
        inputs=created.inputs,
        project=created.project,
        trigger="retry",
        intent_hash=created.intent_hash,
        trace_url=created.trace_url,
        workspace=created.workspace,
        warnings=created.warnings,
        author=created.author,
        start=created.start,
        lineage=_lineage(state, last, anew, asks),
        taken=tuple(_taken(state, told, [name for name in state.steps if name not in anew | asks])),
    )


@dataclass(slots=True)
class _Told:
    """What of a journal the state does not keep: artifacts by step, when each step ended, who closed which gate."""

    artifacts: dict[str, list[ArtifactRecord]] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, StepSkipped] = field(default_factory=dict)
    rejected_by: dict[str, Actor] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Record]) -> _Told:
        told = cls()
        for record in records:
            match record.event:
                case ArtifactRecorded(artifact=artifact) if artifact.step_id is not None:
                    told.artifacts.setdefault(artifact.step_id, []).append(artifact)
                case StepSucceeded() | StepReused():
                    told.ended[record.event.step_id] = record.seq
                case StepSkipped():
                    told.skipped[record.event.step_id] = record.event
                case WorkspaceKept():
                    told.kept[record.event.step_id] = record.seq
                case ApprovalRejected() | ApprovalExpired():
                    told.rejected_by[record.event.gate_id] = record.actor
                case _:
                    pass
        return told


def _sort_out(state: RunState, told: _Told, step_id: str) -> tuple[set[str], set[str]]:
    """The steps that run anew, and the gates (with the groups around them) that ask again though nothing before them changed."""
    index = PlanIndex(state.plan)
    if index.targets and step_id not in state.kept:  # it never came so far: there is no workspace to go on in
        return set(state.steps), set()
    roots = {(name, not index.members.get(name)) for name in state.steps if _has_to_run(state, index, name)}
    roots |= {(name, True) for name in state.steps if _came_later(state, index, told, name, step_id)}
    anew = _downstream(index, {(step_id, True), *roots})
    gates = {name for name in index.gates if _approved(state, name)}
    late = {
        (name, True)
        for name, step in index.steps.items()
        if state.step(name).status == "skipped" and any(need.step in gates for need in step.needs)
    }
    anew |= _downstream(index, late)
    asks = {around for name in gates - anew for around in _around(name)}
    return anew, asks - anew


def _has_to_run(state: RunState, index: PlanIndex, step_id: str) -> bool:
    step = state.step(step_id)
    if index.steps[step_id].phase == "finally" or step.status not in {"succeeded", "skipped"}:
        return True
    return step.skip_cause == "cancelled"


def _came_later(state: RunState, index: PlanIndex, told: _Told, step_id: str, target: str) -> bool:
    """Is what this step did to the workspace missing in what was kept before `target`?"""
    if state.step(step_id).status != "succeeded" or not changes_workspace(index.steps[step_id]):
        return False
    if target in told.kept:
        return told.ended.get(step_id, 0) > told.kept[target]
    return target in index.targets and index.upstream(target).isdisjoint(_around(step_id))


def _approved(state: RunState, step_id: str) -> bool:
    """Was this a gate that somebody granted? An answered question is data, and stays answered."""
    return state.index.steps[step_id].kind == "approval" and state.step(step_id).status == "succeeded"


def _around(step_id: str) -> list[str]:
    """The step and the groups around it."""
    parts = step_id.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]


def _downstream(index: PlanIndex, roots: Iterable[tuple[str, bool]]) -> set[str]:
    """The roots and all that depends on them.

    Each root with whether it is begun anew: a group is also run anew, its other members kept, when only something in it is.
    """
    begun: set[str] = set()
    found: set[str] = set()
    todo = list(roots)
    while todo:
        step_id, begins = todo.pop()
        if begins and step_id not in begun:
            begun.add(step_id)
            todo += [(member, True) for member in index.members.get(step_id, ())]
        if step_id in found:
            continue
        found.add(step_id)
        todo += [(name, True) for name in index.dependents[step_id]]
        parent = index.steps[step_id].parent
        if parent is not None:
            todo.append((parent, False))
    return found


def _lineage(state: RunState, last: Record, anew: set[str], asks: set[str]) -> Lineage:
    event = last.event
    assert isinstance(event, RunRetried)  # noqa: S101 - the caller looked
    gate = state.gates[event.gate_id or ""]
    earlier = [each for each in state.rejections.values() if state.gate_of(each.step_id) is None]
    by_timer = gate.status == "expired"
    told = Rejection(
        step_id=gate.asked.step_id,
        gate_id=gate.asked.gate_id,
        run_id=state.run_id,
        choice=gate.choice,
        reason=f"nobody decided {gate.asked.title} in time" if by_timer else gate.reason,
        actor=", ".join(gate.closed_by) or None,
        at=last.at,
    )
    lineage = state.created.lineage
    return Lineage(
        root=state.run_id if lineage is None else lineage.root,
        parent=state.run_id,
        retried_from=event.retried_from,
        tree=state.kept.get(event.retried_from),
        kept={name: tree for name, tree in state.kept.items() if name not in anew},
        asks=tuple(sorted(asks, key=state.index.order.__getitem__)),
        rejections=(*(each for each in earlier if each.step_id != told.step_id), told),
        by_timer=by_timer,
    )


def _taken(state: RunState, told: _Told, names: Iterable[str]) -> Iterable[Taken]:
    for name in names:
        step = state.step(name)
        if step.status == "skipped":
            skipped = told.skipped[name]
            why: Literal["when", "upstream", "group"] = "upstream" if skipped.cause == "cancelled" else skipped.cause
            yield Taken(step_id=name, status="skipped", cause=why, reason=skipped.reason)
            continue
        yield Taken(
            step_id=name,
            reused_from=step.reused_from or state.run_id,
            outputs=dict(step.outputs or {}),
            artifacts=tuple(told.artifacts.get(name, ())),
        )
