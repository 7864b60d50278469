"""`approve`, `reject`, `answer`, `decide`: one signed decision about one gate, taken or refused at once.

Owns the reading of the command line and what is printed. Refuses to judge a decision: what is wrong with the command line is said
before anything is signed, everything else is the run's to refuse, on record.
"""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli.gate_choice import AsJson, Form, Gate, Reason, read_answer
from wfconsole.cli.offers import Run
from wfconsole.cli.session import Session, session_of
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.control.deciding import Seen
    from wfconsole.control.door import Answer, Door

Match = Annotated[
    str | None,
    typer.Option("--match-context", metavar="DIGEST", help="Refuse when the gate shows something else by now."),
]
_LARGEST = 1024 * 1024


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
        from wfconsole.control.deciding import look

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
        from wfconsole.control.deciding import find_gate, send_signed
        from wfconsole.views.run_view import run_view

        run_id, records = await door.records(run)
        if gate is not None:
            meant = find_gate(run_view(records), gate)["gate_id"]
            if signed.get("gate_id") != meant:
                message = f"the decision was made for gate {signed.get('gate_id')}, not for {meant}"
                raise WfconsoleError("DECISION_INVALID", message, f"wfconsole approvals {run_id} {gate} --payload")
        again = shlex.join(["wfconsole", "decide", run_id, "--payload", payload])
        reply = await send_signed(session.wiring, door, run_id, signed, signature, again)
        return await _tell(session, door, run_id, signed, reply, as_json=as_json)

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
        from wfconsole.control.deciding import look

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
    from wfconsole.control.deciding import sign_and_send

    payload, reply = await sign_and_send(
        session.wiring, door, seen, choice=choice, reason=reason, answer=answer, match=match
    )
    return await _tell(session, door, seen.run_id, payload, reply, as_json=as_json)


async def _tell(
    session: Session, door: Door, run_id: str, payload: dict[str, Any], reply: Answer, *, as_json: bool
) -> int:
    """Print what the decision did, or raise the run's refusal."""
    from wfconsole.control.deciding import goes_on, said
    from wfconsole.views.run_view import run_view

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
                **({"successor": view["lineage"]["successors"][-1]} if view["lineage"]["successors"] else {}),
                "owned": reply.owned,
            }
        )
    else:
        session.out.line(f"{run_id}  {gate['gate_id']}  {said(gate, payload)}; {goes_on(view, owned=reply.owned)}")
    return 0


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
