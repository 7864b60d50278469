"""Which decisions about a gate would be refused now, and with which words.

Owns no rule: every sentence is what `decide` says about such a decision, so that a greyed key, the command line and the journal
agree. The decision that would surprise: the question is asked with a signature that is taken to hold, because nothing has been
signed yet; that the key can sign is found out when it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wfconsole.domain.decide import can
from wfconsole.domain.decision import decision_payload
from wfconsole.domain.draft import Refusal
from wfconsole.domain.facts import DecideGate, SignatureCheck
from wfconsole.domain.plan import Json
from wfconsole.domain.run import RunState

APPROVE, REJECT, ANSWER = "approve", "reject", "answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decidable:
    """`refused`: by action (``approve reject answer``), the refusal. `wants_reason`: likewise, the refusal without a reason."""

    refused: Mapping[str, Refusal] = field(default_factory=dict)
    wants_reason: Mapping[str, Refusal] = field(default_factory=dict)


def decidable(state: RunState, gate_id: str, who: str, now: int) -> Decidable:
    """What `who` may decide about the gate; `now` is milliseconds since the epoch."""
    gate = state.gates.get(gate_id)
    is_question = gate is not None and gate.asked.kind == "question"
    first = gate.asked.choices[0] if gate is not None and gate.asked.choices else ""
    choices = {ANSWER: first} if is_question else {APPROVE: APPROVE, REJECT: REJECT}
    refused: dict[str, Refusal] = {}
    wants_reason: dict[str, Refusal] = {}
    for action, choice in choices.items():
        found = can(state, _asked(state, gate_id, choice, "a reason", who, now))
        if found is not None and not (is_question and found.code == "INPUT_INVALID"):
            refused[action] = found
        bare = can(state, _asked(state, gate_id, choice, None, who, now))
        if found is None and bare is not None and bare.code == "INPUT_MISSING":
            wants_reason[action] = bare
    return Decidable(refused=refused, wants_reason=wants_reason)


def _asked(state: RunState, gate_id: str, choice: str, reason: str | None, who: str, now: int) -> DecideGate:
    gate = state.gates.get(gate_id)
    answer: Json = None
    payload = decision_payload(
        run_id=state.run_id,
        gate_id=gate_id,
        choice=choice,
        reason=reason,
        answer=answer,
        context_digest=gate.asked.context_digest if gate is not None else None,
        plan_digest=state.plan.recipe.digest,
        actor=who,
        at=now,
        nonce="not signed yet" * 2,
        seen_seq=state.seq,
        seen_hash="",
    )
    return DecideGate(
        fact_id="?", at=now, payload=payload, signature="", check=SignatureCheck(valid=True, principal=who or None)
    )
