"""`db`: check, back up and migrate the store; `db query`: a read-only statement, as a table or as objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from wfconsole.cli import exit_codes
from wfconsole.cli.app import new_app
from wfconsole.cli.session import run_async, session_of


def register(app: typer.Typer) -> None:
    group = new_app()
    for name, command in (("check", check), ("backup", backup), ("migrate", migrate), ("query", query)):
        group.command(name)(command)
    app.add_typer(group, name="db", help="Look after the store, query it.")


AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]


def check(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Check the file, every chain of events, the projections, tombstones, artifacts; exit status 5 when something is wrong."""
    session = session_of(ctx)
    findings = run_async(session.wiring.database().check())
    if as_json:
        told = [{"code": one.code, "message": one.message, "run_id": one.run_id} for one in findings]
        session.out.json({"holds": not findings, "findings": told})
    else:
        session.out.lines(f"{one.run_id or 'store'}: {one.code}: {one.message}" for one in findings)
        session.out.line("the store does not hold" if findings else "the store holds")
    return exit_codes.ENVIRONMENT if findings else exit_codes.OK


def backup(
    ctx: typer.Context,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Default: the folder `backups`, named by time."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make a verified copy of the store while others use it."""
    session = session_of(ctx)
    place = run_async(session.wiring.database().backup(output.absolute() if output else None))
    if as_json:
        session.out.json({"backup": str(place), "bytes": place.stat().st_size})
    else:
        session.out.line(str(place))
    return exit_codes.OK


def migrate(ctx: typer.Context, as_json: AsJson = False) -> int:
    """Bring the store to this version's schema, after a backup. Every command does, too, when it meets an older one."""
    session = session_of(ctx)
    done = run_async(session.wiring.database().migrate())
    if as_json:
        session.out.json({"before": done.before, "after": done.after, "backup": done.backup})
    elif done.before == done.after:
        session.out.line(f"the store has schema revision {done.after} already")
    else:
        session.out.line(f"schema revision {done.before or 'none'} -> {done.after}; backup: {done.backup}")
    return exit_codes.OK


def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; what writes is refused.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """Run a read-only statement on the store."""
    session = session_of(ctx)
    columns, rows = run_async(session.wiring.database().query(sql))
    if as_json:
        names = _distinct(columns)
        objects = [dict(zip(names, map(_plain, row), strict=True)) for row in rows]
        session.out.json({"columns": list(columns), "rows": objects})
    else:
        from wfconsole.views.report import table
        from wfconsole.views.words import value_text

        cells = [[value_text("" if value is None else _plain(value), limit=200) for value in row] for row in rows]
        session.out.lines(table([value_text(name) for name in columns], cells))
    return exit_codes.OK


def _distinct(columns: Sequence[str]) -> list[str]:
    """Every column under a name of its own: a second `id` is `id_2`."""
    seen: dict[str, int] = {}
    names: list[str] = []
    for column in columns:
        seen[column] = seen.get(column, 0) + 1
        names.append(column if seen[column] == 1 else f"{column}_{seen[column]}")
    return names


def _plain(value: Any) -> Any:
    """A database value as JSON; bytes as hexadecimal text."""
    return value.hex() if isinstance(value, bytes) else value
