"""`open`: the console, on one run, step or gate. What cannot be found is said before the terminal is taken."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli import offers
from wfconsole.cli.session import session_of
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.control.door import Door


def register(app: typer.Typer) -> None:
    app.command("open")(open_console)


def open_console(
    ctx: typer.Context,
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN[/STEP|/GATE]]",
            help="What to open the console on; else the runs.",
            autocompletion=offers.runs,
        ),
    ] = None,
    read_only: Annotated[bool, typer.Option("--read-only", help="Offer nothing that changes anything.")] = False,
) -> int:
    """Open the console."""
    session = session_of(ctx)
    if not session.out.is_terminal or (os.environ.get("TERM") or "dumb") == "dumb":
        raise typer.BadParameter("the console needs a terminal; `wfconsole show RUN` does not")
    found: list[str] = []

    async def work(door: Door) -> int:
        from wfconsole.views.run_view import run_view

        assert target is not None  # noqa: S101 - looked at below
        run, _, inside = target.partition("/")
        run_id, records = await door.records(run)
        view = run_view(records)
        names = [*(step["step_id"] for step in view["steps"]), *(gate["gate_id"] for gate in view["approvals"])]
        if inside and inside not in names:
            hint = f"steps and gates: {', '.join(names)}"
            raise WfconsoleError("NOT_FOUND", f"run {run_id} has no step and no gate {inside!r}", hint)
        found.append(f"{run_id}/{inside}" if inside else run_id)
        return 0

    if target is not None:
        session.with_door(work)
    return session.wiring.console(found[0] if found else None, read_only)
