"""`intent submit` and `intent run`: what somebody wants, stored under the sum of its content, and the run made of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli import offers
from wfconsole.cli.app import new_app
from wfconsole.cli.run import AsJson, Detach, DryRun, UntilWaiting, carry_out
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door


def register(app: typer.Typer) -> None:
    group = new_app()
    group.command("submit")(submit)
    group.command("run")(run)
    app.add_typer(group, name="intent", help="Submit an intent, run it.")


def submit(
    ctx: typer.Context,
    file: Annotated[str, typer.Argument(metavar="FILE", help="A JSON intent; - is stdin.")],
    as_json: AsJson = False,
) -> int:
    """Check and store an intent; the same payload has the same id."""
    from wfconsole.ports import WfconsoleError

    session = session_of(ctx)
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise WfconsoleError("INPUT_INVALID", f"cannot read {file}: {error.strerror}", "") from error

    async def work(door: Door) -> int:
        saved = await session.wiring.intents().submit(door, data)
        if as_json:
            session.out.json({"intent_id": saved.intent_id, "intent": dict(saved.intent)})
        else:
            session.out.line(saved.intent_id)
        return 0

    return session.with_door(work)


def run(
    ctx: typer.Context,
    intent: Annotated[str, typer.Argument(metavar="ID", help="An intent's id, or its unique first part.")],
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="R", help="The recipe to run it with.", autocompletion=offers.recipes),
    ] = None,
    dry_run: DryRun = False,
    detach: Detach = False,
    until_waiting: UntilWaiting = False,
    as_json: AsJson = False,
) -> int:
    """Run a stored intent and follow it to its end."""
    session = session_of(ctx)

    async def work(door: Door) -> int:
        request = await session.wiring.intents().request(door, intent, recipe, session.wiring.actor())
        return await carry_out(
            session, door, request, dry_run=dry_run, detach=detach, until_waiting=until_waiting, as_json=as_json
        )

    return session.with_door(work)
