"""`events`: a run's journal, a line or an object an event; with --follow until the run is over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli.offers import Run
from wfconsole.cli.session import Session, session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door
    from wfconsole.domain.events import Event, Record, RunCreated


def register(app: typer.Typer) -> None:
    app.command("events")(events)


def events(
    ctx: typer.Context,
    run: Run,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the run is over.")] = False,
    after: Annotated[int, typer.Option("--after", metavar="SEQ", min=0, help="Only events after this number.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> int:
    """Show a run's journal."""
    session = session_of(ctx)

    async def work(door: Door) -> int:
        from wfconsole.domain.events import RunCancelled, RunCreated, RunFailed, RunSucceeded

        run_id, records = await door.records(run)
        created = records[0].event
        if not isinstance(created, RunCreated):
            raise TypeError(f"the journal of {run_id} does not begin with run_created")
        _print(session, created, [record for record in records if record.seq > after], as_json=as_json)
        over = any(isinstance(record.event, RunSucceeded | RunFailed | RunCancelled) for record in records)
        if follow and not over:
            async for batch in door.watch(run_id, max(after, records[-1].seq)):
                _print(session, created, batch, as_json=as_json)
        return 0

    return session.with_door(work)


def _print(session: Session, created: RunCreated, records: Sequence[Record], *, as_json: bool) -> None:
    from wfconsole.domain.codec import wire

    recipe = created.plan.recipe
    for record in records:
        if as_json:
            session.out.json(wire(record, run_id=created.run_id, name=recipe.name, version=recipe.version))
        else:
            session.out.line(_line(record))
    session.out.flush()


def _more(event: Event) -> str:
    """What to say of an event that the timeline leaves out."""
    from wfconsole.domain import events as ev

    match event:
        case ev.RunCreated():
            return f"{event.plan.recipe.name}@{event.plan.recipe.version}  {event.workflow_id}"
        case ev.RunStarted():
            return f"by {event.owner}"
        case ev.ArtifactRecorded():
            return f"{event.artifact.artifact_id}  {event.artifact.kind}"
        case ev.RunFailed():
            return f"{event.failure.code}: {event.failure.message}"
        case ev.RunCancelled():
            return event.reason or ""
        case _:
            return ""


def _line(record: Record) -> str:
    """``2026-07-01T10:00:00.000Z  #3  step_started  unit  started``."""
    from wfconsole.domain.codec import iso
    from wfconsole.domain.events import wire_name
    from wfconsole.views.timeline import event_line

    line = event_line(record, {})
    kind: type = type(record.event)
    rest = f"{line.subject}  {line.text}".strip() if line else _more(record.event)
    return f"{iso(record.at)}  #{record.seq:<4} {wire_name(kind):<22} {rest}".rstrip()
