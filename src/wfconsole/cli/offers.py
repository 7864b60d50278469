"""What a shell offers where a value is wanted: runs, steps, gates, artifacts, recipes, statuses.

Owns the argument RUN that most commands share. Refuses to report anything: whoever presses TAB gets fewer words, never an error.
The decision that would surprise: a name that a shell would not read as one plain word is not offered, because bash puts an offer
on the command line as it is, and names of artifacts come from strangers.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door

_PLAIN = re.compile(r"[A-Za-z0-9@_][A-Za-z0-9@_.,:/#+-]*")
_RUNS = 50


def runs(ctx: typer.Context, incomplete: str) -> list[str]:
    """`@latest` and the newest runs."""

    async def work(door: Door) -> list[str]:
        from wfconsole.ports import RunFilter

        return ["@latest", *(row.run_id for row in await door.runs(RunFilter(limit=_RUNS)))]

    return _of_door(ctx, incomplete, work)


def steps(ctx: typer.Context, incomplete: str) -> list[str]:
    """The steps of the run that was named before."""
    return _of_run(ctx, incomplete, lambda view: [step["step_id"] for step in view["steps"]])


def gates(ctx: typer.Context, incomplete: str) -> list[str]:
    """The open gates of the run that was named before."""
    return _of_run(
        ctx, incomplete, lambda view: [gate["step_id"] for gate in view["approvals"] if gate["status"] == "open"]
    )


def artifacts(ctx: typer.Context, incomplete: str) -> list[str]:
    """What the run that was named before left, by id."""
    return _of_run(
        ctx, incomplete, lambda view: [item["artifact_id"] for item in view["artifacts"] if item["kind"] != "none"]
    )


def recipes(ctx: typer.Context, incomplete: str) -> list[str]:
    """The recipes that are found by name; where none fits, the shell goes on with files."""
    return _plain(incomplete, lambda: [recipe.name for recipe in session_of(ctx).wiring.recipes().list()])


def statuses(incomplete: str) -> list[str]:
    """The statuses of runs."""
    from wfconsole.domain.lifecycle import RUN_STATUSES

    return _plain(incomplete, lambda: RUN_STATUSES)


Run = Annotated[
    str, typer.Argument(metavar="RUN", help="An id, a unique part of one, a KEY, or @latest.", autocompletion=runs)
]


def _plain(incomplete: str, find: Callable[[], Iterable[str]]) -> list[str]:
    try:
        found = list(find())
    except Exception:  # noqa: BLE001 - nothing can be said while somebody types
        return []
    return [word for word in found if word.startswith(incomplete) and _PLAIN.fullmatch(word)]


def _of_door(ctx: typer.Context, incomplete: str, work: Callable[[Door], Awaitable[list[str]]]) -> list[str]:
    found: list[str] = []

    async def inside(door: Door) -> int:
        found.extend(await work(door))
        return 0

    def find() -> list[str]:
        session_of(ctx).with_door(inside)
        return found

    return _plain(incomplete, find)


def _of_run(ctx: typer.Context, incomplete: str, names: Callable[[Mapping[str, Any]], list[str]]) -> list[str]:
    async def work(door: Door) -> list[str]:
        from wfconsole.views.run_view import run_view

        _, records = await door.records(ctx.params["run"])
        return names(run_view(records))

    return _of_door(ctx, incomplete, work)
