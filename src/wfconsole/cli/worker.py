"""`worker`: drive what nobody drives, so that a decision from any shell takes effect. Ctrl-C lets go of everything cleanly."""

from __future__ import annotations

from typing import Annotated

import typer

from wfconsole.cli.session import run_async, session_of


def register(app: typer.Typer) -> None:
    app.command("worker")(worker)


def worker(
    ctx: typer.Context,
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when nothing is left that goes on without a person.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one object a line.")] = False,
) -> int:
    """Drive every run that nobody drives, until it is over or waits for a person."""
    session = session_of(ctx)

    def say(text: str) -> None:
        if as_json:
            session.out.json({"type": "worker", "message": text})
        else:
            session.out.line(text)
        session.out.flush()

    run_async(session.wiring.worker(until_idle, say))
    return 0
