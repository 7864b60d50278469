"""`runs`: the list of runs, filtered.

What the store can filter it filters; the rest is looked at here. Only a query that asks for more than a row holds (steps,
artifacts ...) reads journals.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli import offers
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wfconsole.control.door import Door
    from wfconsole.ports import RunRow
    from wfconsole.views.query import Query

_SINCE = re.compile(r"(\d+)([smhdw])")
_MILLIS = {"s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def register(app: typer.Typer) -> None:
    app.command("runs")(runs)


def runs(
    ctx: typer.Context,
    status: Annotated[
        list[str] | None,
        typer.Option("--status", metavar="S", help="Only this status; repeatable.", autocompletion=offers.statuses),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option("--recipe", metavar="R", help="Only runs of this recipe.", autocompletion=offers.recipes),
    ] = None,
    project: Annotated[str | None, typer.Option("--project", metavar="P", help="Only runs of this project.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="2d", help="Only runs created within this time.")
    ] = None,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only runs that wait for a person.")] = False,
    query: Annotated[
        str | None, typer.Option("--query", metavar="EXPR", help="FIELD (= != ~ < >) VALUE, joined by and, or.")
    ] = None,
    limit: Annotated[int | None, typer.Option("--limit", "-n", min=1, help="At most so many, the newest.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """List runs, the newest first."""
    from wfconsole.ports import RunFilter
    from wfconsole.views.run_list import run_document, run_table

    session = session_of(ctx)
    now = session.wiring.now_ms()
    wanted = _query(query) if query is not None else None
    where = RunFilter(
        statuses=_statuses(status),
        recipe=recipe,
        project=project,
        since_ms=None if since is None else now - _since(since),
        limit=limit if wanted is None and not waiting else None,
    )

    async def work(door: Door) -> int:
        rows = [row for row in await door.runs(where) if not waiting or _waits(row)]
        if wanted is not None:
            rows = await _matching(door, rows, wanted)
        rows = rows[:limit]
        if as_json:
            session.out.json({"runs": [run_document(row) for row in rows]})
        elif rows:
            session.out.lines(run_table(rows, now, ascii_only=session.out.ascii_only))
        else:
            session.out.note("no runs")
        return 0

    return session.with_door(work)


def _waits(row: RunRow) -> bool:
    return row.status == "awaiting_approval" or bool(row.view.get("waiting_for"))


async def _matching(door: Door, rows: Sequence[RunRow], query: Query) -> list[RunRow]:
    from wfconsole.views.run_list import run_document
    from wfconsole.views.run_view import run_view

    found: list[RunRow] = []
    for row in rows:
        view = run_document(row)
        if not query.names <= view.keys():
            _, records = await door.records(row.run_id)
            view = run_view(records)
        if query.matches(view):
            found.append(row)
    return found


def _query(text: str) -> Query:
    from wfconsole.ports import WfconsoleError
    from wfconsole.views.query import QueryError, parse_query

    try:
        return parse_query(text)
    except QueryError as error:
        message = f"--query: {error.message} (at character {error.position + 1})"
        raise WfconsoleError("INPUT_INVALID", message, error.hint, {"position": error.position}) from error


def _statuses(given: list[str] | None) -> tuple[str, ...] | None:
    from wfconsole.views.query import canonical_status

    if not given:
        return None
    try:
        return tuple(dict.fromkeys(canonical_status(word) for item in given for word in item.split(",")))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--status") from error


def _since(text: str) -> int:
    found = _SINCE.fullmatch(text)
    if found is None:
        raise typer.BadParameter(f"{text!r} is no duration such as 30m, 12h, 2d, 1w", param_hint="--since")
    return int(found[1]) * _MILLIS[found[2]]
