"""`doctor`: every check of this machine, each with what to do about it. The checks are handed in."""

from __future__ import annotations

from typing import Annotated

import typer

from wfconsole.cli import exit_codes
from wfconsole.cli.session import run_async, session_of

_GLYPHS = {"ok": ("✓", "o"), "warn": ("!", "!"), "fail": ("✗", "x")}


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    ctx: typer.Context, as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False
) -> int:
    """Check this machine; exit status 5 when something is missing."""
    session = session_of(ctx)
    checks = run_async(session.wiring.doctor())
    out = session.out
    if as_json:
        out.json(
            {
                "checks": [
                    {"name": item.name, "status": item.status, "message": item.message, "remedy": item.remedy}
                    for item in checks
                ]
            }
        )
    else:
        for item in checks:
            out.line(f"{_GLYPHS.get(item.status, '??')[out.ascii_only]} {item.name}: {item.message}")
            if item.status != "ok" and item.remedy:
                out.line(f"    remedy: {item.remedy}")
    return exit_codes.ENVIRONMENT if any(item.status == "fail" for item in checks) else exit_codes.OK
