"""`doctor` and `doctor sandbox`: every check of this machine, each with what to do about it. The checks are handed in."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli import exit_codes
from wfconsole.cli.app import new_app
from wfconsole.cli.session import run_async, session_of

if TYPE_CHECKING:
    from wfconsole.cli.output import Output
    from wfconsole.control.wiring import Check

_GLYPHS = {"ok": ("✓", "o"), "warn": ("!", "!"), "fail": ("✗", "x")}
WIDTH = 80
_BEFORE = 35
"""Columns of the table before what a check claims."""
_Json = Annotated[bool, typer.Option("--json", help="Print data for programs.")]


def register(app: typer.Typer) -> None:
    group = new_app()
    group.callback(invoke_without_command=True)(machine)
    group.command("sandbox")(sandbox)
    app.add_typer(group, name="doctor")


def machine(ctx: typer.Context, as_json: _Json = False) -> int:
    """Check this machine; exit status 5 when something is missing."""
    if ctx.invoked_subcommand is not None:
        return exit_codes.OK
    session = session_of(ctx)
    checks = run_async(session.wiring.doctor())
    out = session.out
    if as_json:
        out.json({"checks": [_document(item) for item in checks]})
    else:
        for item in checks:
            _line(out, item)
    return _status(checks)


def sandbox(ctx: typer.Context, as_json: _Json = False) -> int:
    """Try the engine's walls with some fifty small sandboxes; about a minute. Exit status 5 when one does not hold."""
    session = session_of(ctx)
    out = session.out

    def tell(done: int, of: int) -> None:
        if not as_json and (done % 10 == 0 or done == of):
            out.note(f"{done} of {of} checks")

    checks = run_async(session.wiring.doctor_sandbox(tell))
    failed = sum(item.status != "ok" for item in checks)
    if as_json:
        out.json(
            {"checks": [{**_document(item), "area": item.area, "ms": item.ms} for item in checks], "failed": failed}
        )
        return _status(checks)
    area = None
    for item in checks:
        if item.area != area:
            out.line(item.area)
            area = item.area
        first, *more = textwrap.wrap(item.message, WIDTH - _BEFORE) or [""]
        out.line(f"  {_glyph(out, item)} {item.name:<22} {item.ms / 1000:5.1f}s  {first}")
        for line in more:
            out.line(" " * _BEFORE + line)
    out.line(f"{len(checks) - failed} of {len(checks)} hold")
    for remedy in dict.fromkeys(item.remedy for item in checks if item.remedy):
        out.line(f"    remedy: {remedy}")
    return _status(checks)


def _line(out: Output, item: Check) -> None:
    out.line(f"{_glyph(out, item)} {item.name}: {item.message}")
    if item.status != "ok" and item.remedy:
        out.line(f"    remedy: {item.remedy}")


def _glyph(out: Output, item: Check) -> str:
    return _GLYPHS.get(item.status, "??")[out.ascii_only]


def _document(item: Check) -> dict[str, Any]:
    return {"name": item.name, "status": item.status, "message": item.message, "remedy": item.remedy}


def _status(checks: Sequence[Check]) -> int:
    return exit_codes.ENVIRONMENT if any(item.status == "fail" for item in checks) else exit_codes.OK
