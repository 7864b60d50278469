"""`watch`: follow a run that somebody else drives. Ctrl-C ends the watching, never the run."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli.offers import Run
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door


def register(app: typer.Typer) -> None:
    app.command("watch")(watch)


def watch(
    ctx: typer.Context,
    run: Run,
    until_waiting: Annotated[bool, typer.Option("--until-waiting", help="End when only a person can go on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> int:
    """Follow a run to its end; the exit status is the run's."""
    session = session_of(ctx)

    async def work(door: Door) -> int:
        from wfconsole.cli.following import Follow, display_for

        run_id, seen = await door.records(run)
        display = display_for(session, as_json=as_json, environ=os.environ)
        follow = Follow(
            session=session, door=door, run_id=run_id, display=display, drives=False, until_waiting=until_waiting
        )
        return await follow.to_end(seen)

    return session.with_door(work)
