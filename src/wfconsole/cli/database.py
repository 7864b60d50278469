"""`db query`: a read-only statement on the store, as a table or as objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli.app import new_app
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door


def register(app: typer.Typer) -> None:
    group = new_app()
    group.command("query")(query)
    app.add_typer(group, name="db", help="Query the store, read-only.")


def query(
    ctx: typer.Context,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One statement; what writes is refused.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """Run a read-only statement on the store."""
    session = session_of(ctx)

    async def work(door: Door) -> int:
        columns, rows = await door.store.query(sql)
        if as_json:
            names = _distinct(columns)
            session.out.json(
                {
                    "columns": list(columns),
                    "rows": [dict(zip(names, map(_plain, row), strict=True)) for row in rows],
                }
            )
        else:
            from wfconsole.views.report import table
            from wfconsole.views.words import value_text

            cells = [[value_text("" if value is None else _plain(value), limit=200) for value in row] for row in rows]
            session.out.lines(table([value_text(name) for name in columns], cells))
        return 0

    return session.with_door(work)


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
