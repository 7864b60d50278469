"""Whether each end of a gate follows from what was recorded before it: decisions that amount to it, or a deadline that was over.

For audits, which trust no event for what it says of itself. Refuses to judge signatures. The decision that would surprise: these
are not the rules of `gates` called again but the same rules written once more, over events alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from wfconsole.domain.decision import seen_seq
from wfconsole.domain.events import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalWithdrawn,
    DecisionRecorded,
    InputReceived,
    Record,
    RunCreated,
    StepSucceeded,
)
from wfconsole.domain.plan import GATE_KINDS, Json


@dataclass(slots=True)
class _Gate:
    asked: ApprovalRequested
    seq: int
    decisions: list[DecisionRecorded] = field(default_factory=list)
    ended: str | None = None
    passed: bool = False


@dataclass(slots=True)
class _Book:
    """What was recorded so far; `kinds` are those of the gates' steps."""

    created: RunCreated | None = None
    kinds: dict[str, str] = field(default_factory=dict)
    gates: dict[str, _Gate] = field(default_factory=dict)
    nonces: set[str] = field(default_factory=set)


def unbacked(records: Iterable[Record]) -> Iterator[tuple[int, str]]:
    """(seq, sentence) of each event about a gate that does not follow from those before it."""
    book = _Book()
    for record in records:
        for problem in _look(book, record):
            yield record.seq, problem


def _look(book: _Book, record: Record) -> Iterator[str]:
    match record.event:
        case RunCreated() as created:
            book.created = created
            book.kinds = {step.step_id: step.kind for step in created.plan.steps if step.kind in GATE_KINDS}
        case ApprovalRequested() as asked:
            if asked.gate_id in book.gates:
                yield f"{asked.gate_id} was asked twice"
            book.gates[asked.gate_id] = _Gate(asked, record.seq)
        case DecisionRecorded() as decision:
            yield from _decided(book, decision)
        case ApprovalGranted() | ApprovalRejected() | ApprovalExpired() | ApprovalWithdrawn() | InputReceived():
            yield from _ended(book, record)
        case StepSucceeded(step_id=step_id, attempt=attempt) if step_id in book.kinds:
            gate = book.gates.get(f"{step_id}#{attempt}")
            if gate is None or not gate.passed:
                yield f"step {step_id} succeeded, and nobody let it pass"


def _decided(book: _Book, decision: DecisionRecorded) -> Iterator[str]:
    gate, name = book.gates.get(decision.gate_id), decision.gate_id
    if gate is None or gate.ended:
        yield f"a decision on {name}, which {'was never open' if gate is None else f'had {gate.ended}'}"
        return
    if decision.nonce in book.nonces:
        yield f"the decision on {name} was used before"
    book.nonces.add(decision.nonce)
    created, rule = book.created, gate.asked.approvers
    author = created.author if created is not None else None
    signed: dict[str, Json] = {"context_digest": gate.asked.context_digest}
    if created is not None:
        signed |= {"run_id": created.run_id, "plan_digest": created.plan.recipe.digest}
    other = [key for key, value in signed.items() if decision.payload.get(key) != value]
    if other:
        yield f"the decision on {name} was made for another {' and '.join(other)}"
    if seen_seq(decision.payload) < gate.seq:
        yield f"the decision on {name} was made before the gate was open"
    if rule.any_of and decision.principal not in rule.any_of:
        yield f"{decision.principal} may not decide {name}"
    if rule.not_author and decision.principal == author:
        yield f"{decision.principal} started the run and may not decide {name}"
    gate.decisions.append(decision)


def _ended(book: _Book, record: Record) -> Iterator[str]:
    event = record.event
    if not isinstance(event, ApprovalGranted | ApprovalRejected | ApprovalExpired | ApprovalWithdrawn | InputReceived):
        return
    gate = book.gates.get(event.gate_id)
    if gate is None or gate.ended:
        yield f"{event.gate_id} ended, which {'was never open' if gate is None else f'had {gate.ended}'}"
        return
    last = gate.decisions[-1] if gate.decisions else None
    over = record.at >= gate.asked.expires_at
    match event:
        case ApprovalGranted():
            gate.ended, gate.passed = "been granted", True
            if not _amounts(event, gate):
                yield f"{event.gate_id} has been granted, and its decisions do not amount to that"
        case ApprovalRejected():
            gate.ended = "been rejected"
            if last is None or (last.choice, (last.principal,)) != ("reject", event.by):
                yield f"{event.gate_id} has been rejected, and nobody's decision says so"
        case InputReceived():
            gate.ended, gate.passed = "been answered", True
            if not _answered(event, gate, last, over=over):
                yield f"{event.gate_id} has been answered, and nobody's answer says so"
        case ApprovalExpired():
            gate.ended = "expired"
            if not over:
                yield f"{event.gate_id} has expired, and its deadline was not over"
        case ApprovalWithdrawn():
            gate.ended = "been withdrawn"


def _amounts(event: ApprovalGranted, gate: _Gate) -> bool:
    """Do the newest decisions of enough people approve, of those whom the event names?"""
    newest = {one.principal: one.choice for one in gate.decisions}
    approved = tuple(sorted(name for name, choice in newest.items() if choice == "approve"))
    return len(approved) >= gate.asked.approvers.count and event.by == approved


def _answered(event: InputReceived, gate: _Gate, last: DecisionRecorded | None, *, over: bool) -> bool:
    """By a person, whose choice it is; or by nobody, when the deadline was over and the recipe has a default."""
    listed = bool(gate.asked.choices)
    if not event.by:
        return over and gate.asked.on_timeout == "default" and (not listed or event.choice == gate.asked.default)
    if last is None or event.by != (last.principal,):
        return False
    given = {} if listed else last.answer
    return (not listed or last.choice == event.choice) and all(
        event.answer.get(name) == value for name, value in given.items()
    )
