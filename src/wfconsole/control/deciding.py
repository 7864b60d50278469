"""Deciding a gate: which one is meant, what a decision about it says, and the way of the signed decision to the run.

Owns how GATE is read: a gate's id, or the id of its step; left out when one gate is open. Refuses to judge: everything is the
run's to refuse, on record. The decision that would surprise: a closed gate can be named, too, so that a late decision reaches
the run, is refused there with the name of the winner, and leaves a record; and one that the store did not take is no refusal
but DECISION_NOT_APPLIED, with the command to repeat.
"""

from __future__ import annotations

import json
import secrets
import shlex
import uuid
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any

from wfconsole.control.door import Answer, Door
from wfconsole.control.wiring import Wiring
from wfconsole.domain.decision import DECISION_NAMESPACE, decision_payload, signed_bytes
from wfconsole.domain.facts import DecideGate
from wfconsole.ports import WfconsoleError
from wfconsole.views.approval_card import approvals_left
from wfconsole.views.inbox import open_gates
from wfconsole.views.run_view import run_view
from wfconsole.views.words import plural

_BELONGS_TO_THE_CALLER = frozenset({"NOT_FOUND", "DECISION_INVALID", "INPUT_INVALID"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A run as it was looked at, and the gate that is meant. `seq` and `hash` are those of the last event at that moment.

    `gate` is an entry of ``approvals[]``; for a gate that could not open only its id, its step and no digest.
    """

    run_id: str
    view: Mapping[str, Any]
    gate: Mapping[str, Any]
    seq: int
    hash: str


async def look(door: Door, run: str, gate: str | None) -> Seen:
    """Look at the run and find the gate. Raises NOT_FOUND, and INPUT_MISSING when several are open and none is named."""
    run_id = await door.store.find_run(run)
    _, records = await door.records(run_id)
    seq, last_hash = await door.store.event_hash(run_id, records[-1].seq)
    view = run_view(records)
    return Seen(run_id=run_id, view=view, gate=find_gate(view, gate), seq=seq, hash=last_hash)


def find_gate(view: Mapping[str, Any], ref: str | None) -> dict[str, Any]:
    """The gate that `ref` names, or the only one that is open; without an open one the last one that was."""
    found = open_gates(view)
    if ref is not None:
        named = [gate for gate in view["approvals"] if ref in (gate["gate_id"], gate["step_id"])]
        found = [gate for gate in named if gate in found] or named
        if not found:
            return unopened(view, ref)
    elif len(found) > 1:
        names = ", ".join(gate["step_id"] for gate in found)
        raise WfconsoleError(
            "INPUT_MISSING", f"run {view['run_id']} has several open gates: {names}", "name one of them"
        )
    elif not found:
        stuck = [step["step_id"] for step in view["steps"] if is_incomplete(step)]
        if stuck:
            return unopened(view, stuck[0])
        found = list(view["approvals"])
    if not found:
        raise WfconsoleError(
            "NOT_FOUND", f"run {view['run_id']} has no gate: {view['status']}", f"wfconsole show {view['run_id']}"
        )
    return dict(found[-1])


def unopened(view: Mapping[str, Any], ref: str) -> dict[str, Any]:
    """A gate whose context could not be gathered, as far as there is one. NOT_FOUND for every other step."""
    step_id = ref.partition("#")[0]
    step = next((item for item in view["steps"] if item["step_id"] == step_id), None)
    if step is not None and is_incomplete(step):
        gate_id = f"{step_id}#{len(step['attempts'])}"
        return {"gate_id": gate_id, "step_id": step_id, "kind": step["kind"], "context_digest": None, "status": None}
    known = ", ".join(gate["gate_id"] for gate in view["approvals"]) or "none yet"
    why = "" if step is None else f"; step {step_id} is {step['status']}"
    raise WfconsoleError("NOT_FOUND", f"run {view['run_id']} has no gate {ref}{why}", f"gates: {known}")


def is_incomplete(step: Mapping[str, Any]) -> bool:
    failure = step["failure"] or {}
    return step["status"] == "needs_human" and failure.get("code") == "CONTEXT_INCOMPLETE"


def refuse_incomplete(seen: Seen) -> None:
    """Say why a gate is not open, in the run's own words. Raises CONTEXT_INCOMPLETE."""
    if seen.gate["status"] is None:
        step = next(item for item in seen.view["steps"] if item["step_id"] == seen.gate["step_id"])
        why = step["failure"]
        raise WfconsoleError(why["code"], why["message"], why["hint"], why["details"])


async def payload_of(
    wiring: Wiring, seen: Seen, *, choice: str, reason: str | None, answer: Any = None, principal: str | None = None
) -> dict[str, Any]:
    """What has to be signed for this decision about this gate, made now."""
    return decision_payload(
        run_id=seen.run_id,
        gate_id=seen.gate["gate_id"],
        choice=choice,
        reason=reason or None,
        answer=answer,
        context_digest=seen.gate["context_digest"],
        plan_digest=seen.view["recipe"]["digest"],
        actor=principal or await wiring.identity(),
        at=wiring.now_ms(),
        nonce=secrets.token_hex(16),
        seen_seq=seen.seq,
        seen_hash=seen.hash,
    )


def repeat(run_id: str, gate: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    """The command line that decides the same again."""
    where = [run_id, gate["step_id"]]
    if gate["kind"] != "question":
        reason = ["--reason", payload["reason"]] if payload["reason"] else []
        return shlex.join(["wfconsole", payload["choice"], *where, *reason])
    if payload["answer"] is None:
        return shlex.join(["wfconsole", "answer", *where, payload["choice"]])
    filled = [(name, value) for name, value in payload["answer"].items() if value is not None]
    texts = [f"{name}={value if isinstance(value, str) else json.dumps(value)}" for name, value in filled]
    return shlex.join(["wfconsole", "answer", *where, *(word for text in texts for word in ("-i", text))])


async def sign_and_send(
    wiring: Wiring,
    door: Door,
    seen: Seen,
    *,
    choice: str,
    reason: str | None,
    answer: dict[str, Any] | None,
    match: str | None,
) -> tuple[dict[str, Any], Answer]:
    """Decide as the operator of this wiring: the signed payload, and what became of it.

    `match` is the digest of the context that was looked at. Raises DECISION_STALE when the gate shows another by now,
    DECISION_NOT_APPLIED when the decision could not be recorded.
    """
    if match is not None and match != seen.gate["context_digest"]:
        raise WfconsoleError(
            "DECISION_STALE",
            f"gate {seen.gate['gate_id']} shows {seen.gate['context_digest']}, not {match}",
            f"wfconsole approvals {seen.run_id} {seen.gate['step_id']}",
        )
    payload = await payload_of(wiring, seen, choice=choice, reason=reason, answer=answer)
    signature = await wiring.sign(signed_bytes(payload), DECISION_NAMESPACE)
    return payload, await send_signed(
        wiring, door, seen.run_id, payload, signature, repeat(seen.run_id, seen.gate, payload)
    )


async def send_signed(
    wiring: Wiring, door: Door, run_id: str, payload: dict[str, Any], signature: str, again: str
) -> Answer:
    """Hand a signed decision over; `again` is the command that repeats it. Raises DECISION_NOT_APPLIED."""
    fact = DecideGate(
        fact_id=f"cli:{uuid.uuid4().hex}",
        at=wiring.now_ms(),
        actor=wiring.actor(),
        payload=payload,
        signature=signature,
    )
    return await _applied(door.send(run_id, fact), again)


async def _applied(sending: Awaitable[Answer], again: str) -> Answer:
    """What became of the decision. Raises DECISION_NOT_APPLIED, with the command to repeat, when it could not be recorded."""
    try:
        return await sending
    except WfconsoleError as error:
        if error.code in _BELONGS_TO_THE_CALLER:
            raise
        message = f"the decision was not recorded: {error.code}: {error.message}"
        raise WfconsoleError("DECISION_NOT_APPLIED", message, f"repeat it: {again}", {"code": error.code}) from error


def said(gate: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    said = payload.get("choice") or "answered"
    if gate["status"] == "open":
        left = approvals_left(gate)
        return f"{said} by {payload.get('actor')}; {plural(left, 'approval')} still wanted"
    return f"{said} by {payload.get('actor')}: {gate['status']}"


def goes_on(view: Mapping[str, Any], *, owned: bool) -> str:
    """Who goes on now."""
    if view["finished_at"] is not None:
        successor = next(reversed(view["lineage"]["successors"]), None)
        elsewhere = f" and goes on as run {successor}" if successor else ""
        elsewhere += "" if owned or not successor else ": wfconsole worker"
        return f"the run is {view['status']}{elsewhere}"
    if view["status"] == "paused":
        return f"the run is paused: wfconsole resume {view['run_id']}"
    if view["status"] == "awaiting_approval":
        return f"the run waits for {', '.join(view['waiting_for'])}"
    return "its owner goes on" if owned else "what follows starts with the next owner: wfconsole worker"
