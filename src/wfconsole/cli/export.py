"""`export`: a run's bundle as one tar.gz."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli.offers import Run
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    ctx: typer.Context,
    run: Run,
    target: Annotated[Path, typer.Argument(metavar="FILE.tar.gz", help="Where to write it.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print what went in, with sums.")] = False,
) -> int:
    """Write a run's bundle: manifest, logs, artifacts."""
    session = session_of(ctx)

    async def work(door: Door) -> int:
        run_id, _ = await door.records(run)
        manifest = await door.export(run_id, target)
        if as_json:
            session.out.json(dict(manifest))
        else:
            session.out.line(f"wrote {target}")
        return 0

    return session.with_door(work)
