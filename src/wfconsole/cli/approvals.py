"""`approvals`: what waits for a person, over all runs; one gate's card; the payload to sign.

Reads the journals of runs that are under way. The decision that would surprise: `--payload` ends without a line feed on a pipe,
because those bytes are what is signed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli import offers
from wfconsole.cli.gate_choice import AsJson, Form, Reason, read_answer
from wfconsole.cli.session import Session, session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door

_MAY_WAIT = ("running", "paused", "awaiting_approval")
"""A gate can also be open while other branches run, so running runs are looked at, too."""


def register(app: typer.Typer) -> None:
    app.command("approvals")(approvals)


def approvals(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="An id, a unique part of one, a KEY, or @latest; else all.",
            autocompletion=offers.runs,
        ),
    ] = None,
    gate: Annotated[
        str | None,
        typer.Argument(metavar="[GATE]", help="The step that asks, or a gate's id.", autocompletion=offers.gates),
    ] = None,
    payload: Annotated[bool, typer.Option("--payload", help="Print what to sign, for `decide`.")] = False,
    choice: Annotated[
        str | None, typer.Option("--choice", metavar="CHOICE", help="With --payload: what is decided.")
    ] = None,
    reason: Reason = None,
    inputs: Form = None,
    principal: Annotated[
        str | None, typer.Option("--as", metavar="PRINCIPAL", help="With --payload: who will sign; else you.")
    ] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Show the changed lines, too.")] = False,
    as_json: AsJson = False,
) -> int:
    """Show what waits for a person: the inbox, or with RUN its cards."""
    session = session_of(ctx)
    if payload and run is None:
        raise typer.BadParameter("needs a RUN", param_hint="--payload")
    if not payload and (choice or reason or inputs or principal):
        raise typer.BadParameter("means something with --payload only", param_hint="--choice, --reason, -i, --as")

    async def work(door: Door) -> int:
        if run is None:
            await _inbox(session, door, as_json=as_json)
        elif payload:
            await _payload(
                session, door, run, gate, choice=choice, reason=reason, inputs=inputs or [], principal=principal
            )
        else:
            await _cards(session, door, run, gate, hunks=diff, as_json=as_json)
        return 0

    return session.with_door(work)


async def _inbox(session: Session, door: Door, *, as_json: bool) -> None:
    from wfconsole.ports import RunFilter
    from wfconsole.views.inbox import inbox, inbox_table
    from wfconsole.views.run_view import run_view

    rows = await door.runs(RunFilter(statuses=_MAY_WAIT))
    entries = inbox([run_view((await door.records(row.run_id))[1]) for row in rows])
    if as_json:
        session.out.json({"approvals": entries})
    elif entries:
        session.out.lines(inbox_table(entries, session.wiring.now_ms()))
        session.out.note("wfconsole approvals RUN GATE shows one card")
    else:
        session.out.note("nothing waits for a person")


async def _cards(session: Session, door: Door, run: str, gate: str | None, *, hunks: bool, as_json: bool) -> None:
    from wfconsole.views.approval_card import card_lines
    from wfconsole.views.inbox import inbox, inbox_table, open_gates

    gates: Sequence[Mapping[str, Any]]
    if gate is not None:
        from wfconsole.control.deciding import look, refuse_incomplete

        seen = await look(door, run, gate)
        refuse_incomplete(seen)
        view, gates = seen.view, (seen.gate,)
    else:
        view = await _view(door, run)
        gates = open_gates(view)
    if as_json:
        documents = [{"run_id": view["run_id"], **found} for found in gates]
        session.out.json({"approvals": documents} if gate is None else documents[0])
        return
    now = session.wiring.now_ms()
    for place, found in enumerate(gates):
        session.out.lines([*([""] * 2 * bool(place)), *card_lines(view, found, now, hunks=hunks)])
    stuck = [entry for entry in inbox([view]) if entry["gate_id"] is None and gate is None]
    if stuck:
        session.out.lines(inbox_table(stuck, now))
        for entry in stuck:
            session.out.note(f"hint: {entry['hint']}")
    if not gates and not stuck:
        session.out.note(f"nothing in run {view['run_id']} waits for a person: {view['status']}")


async def _view(door: Door, run: str) -> Mapping[str, Any]:
    from wfconsole.views.run_view import run_view

    _, records = await door.records(run)
    return run_view(records)


async def _payload(
    session: Session,
    door: Door,
    run: str,
    gate: str | None,
    *,
    choice: str | None,
    reason: str | None,
    inputs: list[str],
    principal: str | None,
) -> None:
    """What has to be signed; without --choice an approval, or a question's first choice."""
    from wfconsole.control.deciding import look, payload_of, refuse_incomplete
    from wfconsole.domain.decision import DECISION_NAMESPACE, signed_bytes

    seen = await look(door, run, gate)
    refuse_incomplete(seen)
    asked = seen.gate
    said = choice if choice is not None else next(iter(asked["choices"]), "")
    answer = read_answer(asked, inputs) if asked["form"] else None
    payload = await payload_of(session.wiring, seen, choice=said, reason=reason, answer=answer, principal=principal)
    session.out.raw(signed_bytes(payload) + (b"\n" if session.out.is_terminal else b""))
    then = f"wfconsole decide {seen.run_id} {asked['step_id']} --payload FILE"
    session.out.note(f"sign these bytes in namespace {DECISION_NAMESPACE}, then: {then}")
