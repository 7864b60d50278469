"""Which gate is meant, and what a decision about it says: shared by the commands that show and that make decisions.

Owns how GATE is read: a gate's id, or the id of its step; left out when one gate is open. The decision that would surprise: a
closed gate can be named, too, so that a late decision reaches the run, is refused there with the name of the winner, and
leaves a record.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.cli.session import Session
    from wfconsole.control.door import Door

Run = Annotated[str, typer.Argument(metavar="RUN", help="An id, a unique part of one, a KEY, or @latest.")]
Gate = Annotated[
    str | None,
    typer.Argument(metavar="[GATE]", help="The step that asks, or a gate's id; needed when several are open."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why; signed and recorded with the decision.")
]
Form = Annotated[
    list[str] | None, typer.Option("--input", "-i", metavar="NAME=VALUE", help="An answer of a form; @FILE reads it.")
]


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
    from wfconsole.views.run_view import run_view

    run_id = await door.store.find_run(run)
    _, records = await door.records(run_id)
    seq, last_hash = await door.store.event_hash(run_id, records[-1].seq)
    view = run_view(records)
    return Seen(run_id=run_id, view=view, gate=find_gate(view, gate), seq=seq, hash=last_hash)


def find_gate(view: Mapping[str, Any], ref: str | None) -> dict[str, Any]:
    """The gate that `ref` names, or the only one that is open; without an open one the last one that was."""
    from wfconsole.views.inbox import open_gates

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
    session: Session, seen: Seen, *, choice: str, reason: str | None, answer: Any = None, principal: str | None = None
) -> dict[str, Any]:
    """What has to be signed for this decision about this gate, made now."""
    from wfconsole.domain.decision import decision_payload

    return decision_payload(
        run_id=seen.run_id,
        gate_id=seen.gate["gate_id"],
        choice=choice,
        reason=reason or None,
        answer=answer,
        context_digest=seen.gate["context_digest"],
        plan_digest=seen.view["recipe"]["digest"],
        actor=principal or await session.wiring.identity(),
        at=session.wiring.now_ms(),
        nonce=secrets.token_hex(16),
        seen_seq=seen.seq,
        seen_hash=seen.hash,
    )


def read_answer(gate: Mapping[str, Any], given: list[str]) -> dict[str, Any]:
    """The answers of a form, read by their types. Raises InvalidRequestError with everything that is wrong."""
    from wfconsole.cli.run import read_inputs
    from wfconsole.control.door import InvalidRequestError, Problem
    from wfconsole.domain.codec import from_json
    from wfconsole.domain.inputs import bind_inputs
    from wfconsole.domain.plan import InputSpec

    form = [from_json(InputSpec, spec) for spec in gate.get("form") or ()]
    values, wrong = bind_inputs(form, read_inputs(given), textual=True)
    if wrong:
        problems = [Problem(code=one.code, message=one.message, hint=one.hint, where=one.name) for one in wrong]
        raise InvalidRequestError("INPUT_INVALID", "the answer does not hold", problems)
    return values
