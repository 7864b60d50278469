"""`approve`, `reject`, `answer`, `decide`: one signed decision about one gate, taken or refused at once.

Owns the way of a decision from the command line to the run. Refuses to judge it: what is wrong with the command line is said
before anything is signed, everything else is the run's to refuse, on record. The decision that would surprise: one that the
store did not take is no refusal but DECISION_NOT_APPLIED, with the command to repeat.
"""

from __future__ import annotations

import json
import shlex
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli.gate_choice import (
    AsJson,
    Form,
    Gate,
    Reason,
    Run,
    Seen,
    find_gate,
    look,
    payload_of,
    read_answer,
)
from wfconsole.cli.session import Session, session_of
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.control.door import Answer, Door

Match = Annotated[
    str | None,
    typer.Option("--match-context", metavar="DIGEST", help="Refuse when the gate shows something else by now."),
]
_LARGEST = 1024 * 1024
_BELONGS_TO_THE_CALLER = frozenset({"NOT_FOUND", "DECISION_INVALID", "INPUT_INVALID"})


def register(app: typer.Typer) -> None:
    app.command("approve")(approve)
    app.command("reject")(reject)
    app.command("answer")(answer)
    app.command("decide")(decide)


def approve(
    ctx: typer.Context, run: Run, gate: Gate = None, reason: Reason = None, match: Match = None, as_json: AsJson = False
) -> int:
    """Approve what a gate shows."""
    return _verdict(ctx, run, gate, "approve", reason, match, as_json=as_json)


def reject(
    ctx: typer.Context, run: Run, gate: Gate = None, reason: Reason = None, match: Match = None, as_json: AsJson = False
) -> int:
    """Reject what a gate shows."""
    return _verdict(ctx, run, gate, "reject", reason, match, as_json=as_json)


def answer(
    ctx: typer.Context,
    run: Run,
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GATE] [CHOICE]", help="The gate if several are open, and the choice."),
    ] = None,
    inputs: Form = None,
    match: Match = None,
    as_json: AsJson = False,
) -> int:
    """Answer a question: one of its choices, or its form by -i NAME=VALUE."""
    session = session_of(ctx)
    gate, choice = _gate_and_choice(words or [], with_form=bool(inputs))

    async def work(door: Door) -> int:
        seen = await look(door, run, gate)
        if seen.gate["kind"] != "question":
            where = f"{seen.run_id} {seen.gate['step_id']}"
            hint = f"wfconsole approve {where}, or wfconsole reject {where}"
            raise WfconsoleError("INPUT_INVALID", f"gate {seen.gate['gate_id']} is no question", hint)
        said = _checked_choice(seen.gate, choice)
        filled = read_answer(seen.gate, inputs or []) if inputs or seen.gate.get("form") else None
        return await _sign_and_send(
            session, door, seen, match, choice=said, reason=None, answer=filled, as_json=as_json
        )

    return session.with_door(work)


def decide(
    ctx: typer.Context,
    run: Run,
    gate: Gate = None,
    payload: Annotated[
        str, typer.Option("--payload", metavar="FILE", help="A JSON object {payload, signature}; - is stdin.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Take a decision that was signed elsewhere; `approvals RUN GATE --payload` prints what to sign."""
    if not payload:
        raise typer.BadParameter("needs a FILE, or - for stdin", param_hint="--payload")
    signed, signature = _read_signed(payload)
    session = session_of(ctx)

    async def work(door: Door) -> int:
        from wfconsole.views.run_view import run_view

        run_id, records = await door.records(run)
        if gate is not None:
            meant = find_gate(run_view(records), gate)["gate_id"]
            if signed.get("gate_id") != meant:
                message = f"the decision was made for gate {signed.get('gate_id')}, not for {meant}"
                raise WfconsoleError("DECISION_INVALID", message, f"wfconsole approvals {run_id} {gate} --payload")
        again = shlex.join(["wfconsole", "decide", run_id, "--payload", payload])
        return await _send(session, door, run_id, signed, signature, again, as_json=as_json)

    return session.with_door(work)


def _gate_and_choice(words: list[str], *, with_form: bool) -> tuple[str | None, str | None]:
    """``[GATE] CHOICE``, or with a form ``[GATE]``."""
    if len(words) > (1 if with_form else 2):
        raise typer.BadParameter(f"unexpected {words[-1]!r}", param_hint="CHOICE")
    if with_form:
        return (words[0] if words else None), None
    if len(words) == 2:
        return words[0], words[1]
    return None, (words[0] if words else None)


def _checked_choice(gate: Mapping[str, Any], choice: str | None) -> str:
    """The choice, when the question has it; the run checks it again."""
    if gate.get("form"):
        if choice is not None:
            names = " ".join(f"-i {spec['name']}=VALUE" for spec in gate["form"])
            raise WfconsoleError("INPUT_INVALID", f"gate {gate['gate_id']} takes a form, no choice", f"give {names}")
        return ""
    if choice is None or (gate["status"] == "open" and choice not in gate["choices"]):
        code = "INPUT_MISSING" if choice is None else "INPUT_INVALID"
        told = "wants a choice" if choice is None else f"has no choice {choice!r}"
        raise WfconsoleError(code, f"gate {gate['gate_id']} {told}", f"one of: {', '.join(gate.get('choices') or ())}")
    return choice


def _verdict(
    ctx: typer.Context, run: str, gate: str | None, choice: str, reason: str | None, match: str | None, *, as_json: bool
) -> int:
    session = session_of(ctx)

    async def work(door: Door) -> int:
        seen = await look(door, run, gate)
        if seen.gate["kind"] == "question":
            hint = f"wfconsole answer {seen.run_id} {seen.gate['step_id']} CHOICE"
            raise WfconsoleError("INPUT_INVALID", f"gate {seen.gate['gate_id']} is a question", hint)
        return await _sign_and_send(
            session, door, seen, match, choice=choice, reason=reason, answer=None, as_json=as_json
        )

    return session.with_door(work)


async def _sign_and_send(
    session: Session,
    door: Door,
    seen: Seen,
    match: str | None,
    *,
    choice: str,
    reason: str | None,
    answer: dict[str, Any] | None,
    as_json: bool,
) -> int:
    from wfconsole.domain.decision import DECISION_NAMESPACE, signed_bytes

    if match is not None and match != seen.gate["context_digest"]:
        raise WfconsoleError(
            "DECISION_STALE",
            f"gate {seen.gate['gate_id']} shows {seen.gate['context_digest']}, not {match}",
            f"wfconsole approvals {seen.run_id} {seen.gate['step_id']}",
        )
    payload = await payload_of(session, seen, choice=choice, reason=reason, answer=answer)
    signature = await session.wiring.sign(signed_bytes(payload), DECISION_NAMESPACE)
    again = repeat(seen.run_id, seen.gate, payload)
    return await _send(session, door, seen.run_id, payload, signature, again, as_json=as_json)


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


async def _send(
    session: Session, door: Door, run_id: str, payload: dict[str, Any], signature: str, again: str, *, as_json: bool
) -> int:
    """Hand the decision over; print what it did, or raise the run's refusal. `again` is the command that repeats it."""
    from wfconsole.domain.facts import DecideGate
    from wfconsole.views.run_view import run_view

    fact = DecideGate(
        fact_id=f"cli:{uuid.uuid4().hex}",
        at=session.wiring.now_ms(),
        actor=session.wiring.actor(),
        payload=payload,
        signature=signature,
    )
    reply = await _applied(door.send(run_id, fact), again)
    if reply.refusal is not None:
        raise WfconsoleError(reply.refusal.code, reply.refusal.reason, reply.refusal.hint)
    _, records = await door.records(run_id)
    view = run_view(records)
    gate = next(item for item in view["approvals"] if item["gate_id"] == payload["gate_id"])
    if as_json:
        session.out.json(
            {
                "run_id": run_id,
                "gate_id": gate["gate_id"],
                "choice": payload.get("choice") or None,
                "answer": payload.get("answer"),
                "actor": payload.get("actor"),
                "gate_status": gate["status"],
                "run_status": view["status"],
                "owned": reply.owned,
            }
        )
    else:
        session.out.line(f"{run_id}  {gate['gate_id']}  {_done(gate, payload)}; {_next(view, owned=reply.owned)}")
    return 0


async def _applied(sending: Awaitable[Answer], again: str) -> Answer:
    """What became of the decision. Raises DECISION_NOT_APPLIED, with the command to repeat, when it could not be recorded."""
    try:
        return await sending
    except WfconsoleError as error:
        if error.code in _BELONGS_TO_THE_CALLER:
            raise
        message = f"the decision was not recorded: {error.code}: {error.message}"
        raise WfconsoleError("DECISION_NOT_APPLIED", message, f"repeat it: {again}", {"code": error.code}) from error


def _done(gate: Mapping[str, Any], payload: Mapping[str, Any]) -> str:
    from wfconsole.views.approval_card import approvals_left
    from wfconsole.views.words import plural

    said = payload.get("choice") or "answered"
    if gate["status"] == "open":
        left = approvals_left(gate)
        return f"{said} by {payload.get('actor')}; {plural(left, 'approval')} still wanted"
    return f"{said} by {payload.get('actor')}: {gate['status']}"


def _next(view: Mapping[str, Any], *, owned: bool) -> str:
    """Who goes on now."""
    if view["finished_at"] is not None:
        return f"the run is {view['status']}"
    if view["status"] == "paused":
        return f"the run is paused: wfconsole resume {view['run_id']}"
    if view["status"] == "awaiting_approval":
        return f"the run waits for {', '.join(view['waiting_for'])}"
    return "its owner goes on" if owned else "what follows starts with the next owner: wfconsole worker"


def _read_signed(source: str) -> tuple[dict[str, Any], str]:
    """Payload and signature from a file. Raises INPUT_INVALID for what is neither."""
    read: Callable[[], bytes] = sys.stdin.buffer.read if source == "-" else Path(source).read_bytes
    hint = 'a JSON object like {"payload": {...}, "signature": "-----BEGIN SSH SIGNATURE-----..."}'
    try:
        data = read()
        document = json.loads(data) if len(data) <= _LARGEST else None
    except OSError as error:
        raise WfconsoleError("INPUT_INVALID", f"cannot read {source}: {error.strerror}", hint) from error
    except (ValueError, RecursionError) as error:
        raise WfconsoleError("INPUT_INVALID", f"{source} is no JSON: {error}", hint) from error
    payload = document.get("payload") if isinstance(document, dict) else None
    signature = document.get("signature") if isinstance(document, dict) else None
    if not isinstance(payload, dict) or not isinstance(signature, str):
        raise WfconsoleError("INPUT_INVALID", f"{source} holds no signed decision", hint)
    return payload, signature
