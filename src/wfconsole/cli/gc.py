"""`gc`: removes what nobody needs any more, or lists it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli import exit_codes
from wfconsole.cli.delete import with_cleaning
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.collection import Item
    from wfconsole.control.wiring import Cleaning


def register(app: typer.Typer) -> None:
    app.command("gc")(gc)


def gc(
    ctx: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """Remove runs that are kept no longer, workspaces and containers of ended runs, contents nothing refers to."""
    session = session_of(ctx)

    async def work(cleaning: Cleaning) -> int:
        rubbish = await cleaning.find()
        if dry_run:
            items, notes, freed = rubbish.items, rubbish.notes, None
        else:
            done = await cleaning.collect(rubbish, session.wiring.actor())
            items, notes, freed = done.items, done.notes, done.freed
        for note in notes:
            session.out.note(note)
        if as_json:
            session.out.json(_document(items, notes, freed))
        else:
            session.out.lines(_lines(items, freed))
        return exit_codes.OK

    return with_cleaning(session, work)


def _document(items: Sequence[Item], notes: Sequence[str], freed: int | None) -> dict[str, Any]:
    return {
        "dry_run": freed is None,
        "items": [
            {"kind": item.kind, "name": item.name, "why": item.why, "bytes": item.bytes, "run_id": item.run_id}
            for item in items
        ],
        "bytes": sum(item.bytes for item in items),
        "freed": freed,
        "notes": list(notes),
    }


def _lines(items: Sequence[Item], freed: int | None) -> Iterator[str]:
    from wfconsole.views.report import table
    from wfconsole.views.words import plural, size

    if items:
        rows = [(item.kind, item.name, size(item.bytes) if item.bytes else "-", item.why) for item in items]
        yield from table(("KIND", "NAME", "SIZE", "WHY"), rows)
    if freed is None:
        yield f"would go: {plural(len(items), 'thing')}, {size(sum(item.bytes for item in items))}"
    else:
        yield f"removed: {plural(len(items), 'thing')}; freed on disk: {size(freed)}"
