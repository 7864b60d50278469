"""Gates: opening one, taking decisions, closing it. One record for approvals, questions and blocked commands.

A decision counts only through its signed payload: what it names must be this run, this gate, this plan and the very
context that was shown. Refuses to know how signatures are made or checked: that arrives as a `SignatureCheck` beside
the payload. Of one person the newest decision counts; one rejection closes a gate, `count` different approvals grant
it; the first to close it wins and every later decision is refused by name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from wfconsole.domain.cards import card_record
from wfconsole.domain.codec import canonical, iso
from wfconsole.domain.decision import VERSION, mismatches, seen_seq
from wfconsole.domain.draft import Draft, Refusal
from wfconsole.domain.events import (
    ApprovalExpired,
    ApprovalGranted,
    ApprovalRejected,
    ApprovalRequested,
    ApprovalWithdrawn,
    ArtifactRecorded,
    DecisionRecorded,
    InputReceived,
    InputRequested,
    RunResumed,
    StepCancelled,
    StepFailed,
    StepSucceeded,
)
from wfconsole.domain.facts import DecideGate, GateReady
from wfconsole.domain.failures import cause
from wfconsole.domain.inputs import bind_inputs
from wfconsole.domain.plan import GATE_KINDS, ApprovalBody, ApproverRule, Json, QuestionBody, StepPlan
from wfconsole.domain.records import FailureCause
from wfconsole.domain.run import GateState, RunState, StepState

DAY_MS = 24 * 3600 * 1000
APPROVE, REJECT = "approve", "reject"


def open_gate(draft: Draft, fact: GateReady) -> None:
    """The context exists: record it, then open the gate. A report about an attempt that is not under way is a no-op."""
    plan = draft.state.index.steps.get(fact.step_id)
    step = draft.state.step(fact.step_id) if plan is not None else None
    if plan is None or step is None or step.status != "running" or step.attempt != fact.attempt:
        return
    for artifact in fact.artifacts:
        draft.emit(ArtifactRecorded(artifact=artifact))
    if draft.state.gives_up(plan.phase):  # it was gathered while the run was being ended: nobody is asked any more
        reason = draft.state.end_reason
        draft.emit(StepCancelled(step_id=fact.step_id, attempt=fact.attempt, reason=reason))
        return
    asked = ApprovalRequested(
        gate_id=f"{fact.step_id}#{fact.attempt}",
        step_id=fact.step_id,
        attempt=fact.attempt,
        kind="approval",
        title=str((fact.context or {}).get("title") or plan.step_id),
        choices=(APPROVE, REJECT),
        context=fact.context,
        context_digest=fact.context_digest,
        expires_at=_deadline(draft, fact),
    )
    if isinstance(plan.body, ApprovalBody):
        draft.emit(_approval(asked, plan.body, fact.approvers))
    elif isinstance(plan.body, QuestionBody):
        asked = _question(asked, plan.body)
        draft.emit(asked)
        draft.emit(
            InputRequested(
                gate_id=asked.gate_id, step_id=asked.step_id, prompt=asked.title, choices=asked.choices, form=asked.form
            )
        )


def _approval(asked: ApprovalRequested, body: ApprovalBody, resolved: ApproverRule | None) -> ApprovalRequested:
    return replace(
        asked,
        approvers=body.approvers if resolved is None else resolved,
        require_reason=body.require_reason,
        on_reject=body.on_reject,
        on_timeout=body.on_timeout,
    )


def _question(asked: ApprovalRequested, body: QuestionBody) -> ApprovalRequested:
    return replace(
        asked,
        kind="question",
        choices=body.choices,
        form=body.form,
        require_reason="never",
        on_timeout="cancel" if body.default is None else "default",
        default=body.default,
    )


def _deadline(draft: Draft, fact: GateReady) -> int:
    """When the gate closes. When a clock was set back, the journal may be past that already: then it lasts as long from now."""
    late = fact.expires_at <= draft.at
    return draft.at + max(0, fact.expires_at - fact.at) if late else fact.expires_at


def open_blocked(draft: Draft, plan: StepPlan, why: FailureCause, argv: tuple[str, ...]) -> None:
    """A command was blocked by the policy: the same card, on which one can let this one command through, or reject it."""
    state = draft.state
    attempt = state.step(plan.step_id).attempt + 1
    earlier = sum((gate.asked.step_id, gate.asked.attempt) == (plan.step_id, attempt) for gate in state.gates.values())
    gate_id = f"{plan.step_id}#{attempt}" + (f".{earlier + 1}" if earlier else "")
    context: dict[str, Json] = {
        "title": f"Let {plan.step_id} run a command that the policy refuses?",
        "argv": list(argv),
        "rule": why.details.get("rule"),
        "message": why.message,
    }
    asked = ApprovalRequested(
        gate_id=gate_id,
        step_id=plan.step_id,
        attempt=attempt,
        kind="blocked",
        title=str(context["title"]),
        choices=(APPROVE, REJECT) if argv else (REJECT,),
        context=context,
        context_digest=hashlib.sha256(canonical(context)).hexdigest(),
        expires_at=draft.at + DAY_MS,
        require_reason="always",
        on_reject="route",
        on_timeout="reject",
        argv=argv,
    )
    draft.emit(ArtifactRecorded(artifact=card_record(asked)))
    draft.emit(asked)


def refuse_decision(state: RunState, fact: DecideGate) -> Refusal | None:
    """Why this decision cannot be taken, or None. The same sentence on the screen, in the CLI and in the journal."""
    payload = fact.payload
    gate = state.gates.get(str(payload.get("gate_id")))
    if gate is None:
        return _no_gate(state, str(payload.get("gate_id")))
    if gate.status != "open":
        return Refusal(code="TRANSITION_REFUSED", reason=closed_sentence(gate), hint=f"wfconsole show {state.run_id}")
    return _unsound(state, gate, fact) or _unfit(state, gate, fact)


def _no_gate(state: RunState, gate_id: str) -> Refusal:
    step_id = gate_id.partition("#")[0]
    step = state.step(step_id) if step_id in state.steps else None
    if step is not None and step.cause is not None and lacks_context(step):
        return Refusal(code=step.cause.code, reason=step.cause.message, hint=step.cause.hint)
    if step is not None and state.index.steps[step_id].kind in GATE_KINDS and state.gate_of(step_id) is None:
        return Refusal(
            code="TRANSITION_REFUSED",
            reason=f"gate {step_id} is not open: its step is {step.status}",
            hint=f"wfconsole approvals {state.run_id}",
        )
    known = ", ".join(gate.asked.gate_id for gate in state.open_gates()) or "none is open"
    return Refusal(code="NOT_FOUND", reason=f"run {state.run_id} has no gate {gate_id}", hint=f"gates: {known}")


def lacks_context(step: StepState) -> bool:
    """Is this a gate that is not open because what it has to show could not be gathered?"""
    return step.status == "needs_human" and step.cause is not None and step.cause.code == "CONTEXT_INCOMPLETE"


def closed_sentence(gate: GateState) -> str:
    """How a gate was closed, and by whom."""
    by = f" by {', '.join(gate.closed_by)}" if gate.closed_by else ""
    if gate.status == "expired":
        by = f" at {iso(gate.asked.expires_at)}"
    why = f": {gate.reason}" if gate.reason else ""
    return f"gate {gate.asked.gate_id} is closed: {gate.status}{by}{why}"


def _unsound(state: RunState, gate: GateState, fact: DecideGate) -> Refusal | None:
    """Does the payload hold: signed, for this run, gate and plan, never used before, about what is shown now?"""
    payload, check = fact.payload, fact.check
    if check is None or not check.valid:
        problem = "it carries no signature" if check is None else (check.problem or "the signature does not hold")
        return _invalid(f"the decision is not valid: {problem}")
    if not check.seen_holds:
        return _invalid("the decision names a journal that is not this run's")
    if seen_seq(payload) < gate.opened_seq:
        return _invalid(f"the decision was signed by somebody who had not seen {gate.asked.gate_id} open")
    form = mismatches(payload, {"version": VERSION, "kind": "decision"})
    if form or not isinstance(payload.get("reason"), str | None):
        return _invalid("this is not a decision that this version can read")
    wrong = mismatches(payload, {"run_id": state.run_id, "plan_digest": state.plan.recipe.digest})
    if wrong:
        return _invalid(f"the decision was made for another {' and '.join(wrong)}")
    nonce = payload.get("nonce")
    if not isinstance(nonce, str) or len(nonce) < 16:
        return _invalid("the decision has no nonce")
    if any(decision.nonce == nonce for other in state.gates.values() for decision in other.decisions):
        return _invalid("the decision was used before")
    if payload.get("context_digest") != gate.asked.context_digest:
        return Refusal(
            code="DECISION_STALE",
            reason=f"what gate {gate.asked.gate_id} shows has changed since the decision was made",
            hint=f"wfconsole approvals {state.run_id} {gate.asked.step_id}",
        )
    return None


def _invalid(reason: str) -> Refusal:
    return Refusal(code="DECISION_INVALID", reason=reason, hint="look at the card and decide again")


def _unfit(state: RunState, gate: GateState, fact: DecideGate) -> Refusal | None:
    """May this person say this here?"""
    payload, asked = fact.payload, gate.asked
    who = fact.check.principal if fact.check is not None else None
    choice, reason = payload.get("choice"), payload.get("reason")
    if asked.form and not asked.choices:
        problems = bind_inputs(asked.form, _answer(payload), textual=False)[1]
        if problems:
            message = "; ".join(problem.message for problem in problems)
            return Refusal(code="INPUT_INVALID", reason=f"the answer does not hold: {message}", hint="answer again")
    elif choice not in asked.choices:
        return Refusal(
            code="INPUT_INVALID",
            reason=f"{choice!r} is no choice of {asked.gate_id}",
            hint=f"one of: {', '.join(asked.choices)}",
        )
    needs_reason = asked.require_reason == "always" or (asked.require_reason == "on_reject" and choice == REJECT)
    if needs_reason and not str(reason or "").strip():
        return Refusal(
            code="INPUT_MISSING",
            reason=f"gate {asked.gate_id} wants a reason for {choice}",
            hint="give it with --reason",
        )
    return _unentitled(state, asked, who)


def _unentitled(state: RunState, asked: ApprovalRequested, who: str | None) -> Refusal | None:
    """Is this person one of those who may decide?"""
    rule = asked.approvers
    if rule.wants_principals and not who:
        return _invalid(f"{asked.gate_id} counts people, and this key is nobody's")
    if rule.not_author and state.created.author is None:
        return _invalid(f"{asked.gate_id} is not for the run's author, and who that is was never recorded")
    if rule.any_of and who not in rule.any_of:
        return _invalid(f"{who} may not decide {asked.gate_id}; one of {', '.join(rule.any_of)} may")
    if rule.not_author and who == state.created.author:
        return _invalid(f"{who} started this run and may not decide {asked.gate_id}")
    return None


def _answer(payload: Mapping[str, Json]) -> dict[str, Json]:
    return _form_answer(payload.get("answer"))


def _form_answer(answer: Json) -> dict[str, Json]:
    return dict(answer) if isinstance(answer, dict) else {}


def take_decision(draft: Draft, fact: DecideGate) -> GateState:
    """Record a decision that was not refused; the gate after it, closed when this decision closes it."""
    payload, check = fact.payload, fact.check
    gate_id = str(payload["gate_id"])
    asked = draft.state.gates[gate_id].asked
    principal = (check.principal if check is not None else None) or fact.actor.name
    answer = _answer(payload)
    draft.emit(
        DecisionRecorded(
            gate_id=gate_id,
            step_id=asked.step_id,
            choice=str(payload.get("choice") or ""),
            principal=principal,
            reason=payload.get("reason"),
            answer=answer,
            nonce=str(payload["nonce"]),
            signature=fact.signature,
            key=None if check is None else check.key,
            payload=dict(payload),
        )
    )
    if asked.kind == "question":
        _receive(draft, draft.state.gates[gate_id], payload.get("choice"), answer, (principal,))
    else:
        _count(draft, draft.state.gates[gate_id])
    return draft.state.gates[gate_id]


def _count(draft: Draft, gate: GateState) -> None:
    """Close the gate when its decisions, the newest of each person, amount to that."""
    newest = {decision.principal: decision for decision in gate.decisions}
    last = gate.decisions[-1]
    if last.choice == REJECT:
        _reject(draft, gate, (last.principal,), last.reason)
        return
    approvers = tuple(sorted(name for name, decision in newest.items() if decision.choice == APPROVE))
    if len(approvers) >= gate.asked.approvers.count:
        _grant(draft, gate, approvers, last.reason)


def _grant(draft: Draft, gate: GateState, by: tuple[str, ...], reason: str | None) -> None:
    asked = gate.asked
    draft.emit(ApprovalGranted(gate_id=asked.gate_id, step_id=asked.step_id, by=by, reason=reason))
    _wake(draft)
    if asked.kind == "approval":
        outputs = {"choice": APPROVE, "reason": reason, "actor": ", ".join(by), "at": iso(draft.at)}
        draft.emit(StepSucceeded(step_id=asked.step_id, attempt=asked.attempt, outputs=outputs))


def _receive(draft: Draft, gate: GateState, choice: Json, answer: dict[str, Json], by: tuple[str, ...]) -> None:
    """A question was answered, or its default taken: the answer is the step's output from here on."""
    asked = gate.asked
    said = str(choice) if asked.choices else None
    values = {} if asked.choices else bind_inputs(asked.form, answer, textual=False)[0]
    draft.emit(InputReceived(gate_id=asked.gate_id, step_id=asked.step_id, choice=said, answer=values, by=by))
    _wake(draft)
    draft.emit(StepSucceeded(step_id=asked.step_id, attempt=asked.attempt, outputs={"choice": said, **values}))


def _reject(draft: Draft, gate: GateState, by: tuple[str, ...], reason: str | None) -> None:
    """Close the gate as rejected; the step has failed. What becomes of the run is `follow_up`'s to say."""
    asked = gate.asked
    action = asked.on_reject if isinstance(asked.on_reject, str) else "retry_from"
    draft.emit(ApprovalRejected(gate_id=asked.gate_id, step_id=asked.step_id, by=by, reason=reason, action=action))
    _wake(draft)
    said = f": {reason}" if reason else ""
    who = ", ".join(by)
    if asked.kind == "blocked":
        why = cause("POLICY_BLOCKED", f"{who} rejected the blocked command{said}", rule="rejected")
    else:
        why = cause("APPROVAL_REJECTED", f"{who} rejected {asked.title}{said}")
    _fail(draft, gate, why)


def expire(draft: Draft, gate: GateState) -> None:
    """Nobody decided in time: never an approval, and never somebody's rejection either, whatever follows from it."""
    asked = gate.asked
    if asked.on_timeout == "default":
        _receive(draft, gate, asked.default, _form_answer(asked.default), ())
        return
    draft.emit(ApprovalExpired(gate_id=asked.gate_id, step_id=asked.step_id, action=asked.on_timeout))
    _wake(draft)
    code = "POLICY_BLOCKED" if asked.kind == "blocked" else "APPROVAL_EXPIRED"
    _fail(draft, gate, cause(code, f"nobody decided {asked.title} until {iso(asked.expires_at)}"))


def _fail(draft: Draft, gate: GateState, why: FailureCause) -> None:
    plan = draft.state.index.steps[gate.asked.step_id]
    attempt = None if gate.asked.kind == "blocked" else gate.asked.attempt  # of a blocked step none was begun
    draft.emit(StepFailed(step_id=plan.step_id, attempt=attempt, cause=why, allowed=plan.allow_failure))


def _wake(draft: Draft) -> None:
    """A decision sets a waiting run going, also when nothing is left to do but to end it."""
    if draft.state.status == "awaiting_approval" and not draft.state.pause_requested:
        draft.emit(RunResumed())


def withdraw(draft: Draft, step_id: str, reason: str | None) -> None:
    """Close the open gate of a step that ends otherwise."""
    gate = draft.state.gate_of(step_id)
    if gate is not None and gate.status == "open":
        draft.emit(ApprovalWithdrawn(gate_id=gate.asked.gate_id, step_id=step_id, reason=reason))


def retries_from(state: RunState, gate: GateState) -> str | None:
    """The step at which a successor goes on, now that this gate has closed so; None when there is none.

    A deadline makes a successor once: when it is over a second time, in that successor, nobody looks, and the run is
    cancelled. Every successor beyond has a person behind it.
    """
    asked, lineage = gate.asked, state.created.lineage
    target = asked.on_reject.get("retry_from") if isinstance(asked.on_reject, dict) else None
    if gate.status == "expired" and (asked.on_timeout != "reject" or (lineage is not None and lineage.by_timer)):
        return None
    return target if target in state.index.steps else None


def ends_run(gate: GateState) -> str | None:
    """Does the way in which this gate closed end the run? The sentence why, or None."""
    asked = gate.asked
    if gate.status == "rejected" and asked.on_reject != "route":
        return f"{', '.join(gate.closed_by)} rejected {asked.title}"
    follows = asked.on_reject if asked.on_timeout == "reject" else asked.on_timeout
    if gate.status == "expired" and follows != "route":
        return f"nobody decided {asked.title} in time"
    return None
