"""`delete`: what would go, asked for by its id, and what went.

Owns the question; refuses to ask where nobody can answer: a script says --yes.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli import exit_codes
from wfconsole.cli.offers import Run
from wfconsole.cli.session import Session, session_of
from wfconsole.ports import WfconsoleError
from wfconsole.views.removal import removal_lines
from wfconsole.views.safe_text import safe_text

if TYPE_CHECKING:
    from wfconsole.control.removal import Preview, Receipt
    from wfconsole.control.wiring import Cleaning


def register(app: typer.Typer) -> None:
    app.command("delete")(delete)


def delete(
    ctx: typer.Context,
    run: Run,
    cascade: Annotated[bool, typer.Option("--cascade", help="With the runs that reuse what it left.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """Remove an ended run with all it left: journal, logs, artifacts, workspace, containers. A tombstone stays."""
    session = session_of(ctx)

    async def work(cleaning: Cleaning) -> int:
        preview = await cleaning.preview(run, cascade=cascade)
        for note in preview.notes:
            session.out.note(note)
        if dry_run:
            _show(session, preview, as_json=as_json)
            return exit_codes.OK
        if not yes and not _confirmed(session, preview):
            session.out.note("nothing was deleted")
            return exit_codes.REFUSED
        receipt = await cleaning.delete(preview, session.wiring.actor())
        _tell(session, receipt, as_json=as_json)
        return exit_codes.OK

    return with_cleaning(session, work)


def with_cleaning(session: Session, work: Callable[[Cleaning], Awaitable[int]]) -> int:
    """Run `work(cleaning)` on an event loop; its exit status."""
    import asyncio

    async def inside() -> int:
        cleaning = await session.wiring.cleaning()
        try:
            return await work(cleaning)
        finally:
            await cleaning.close()

    return asyncio.run(inside())


def _confirmed(session: Session, preview: Preview) -> bool:
    """Ask for the id of the run that was named. Raises INPUT_INVALID where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise WfconsoleError(
            "INPUT_INVALID", "deleting is final, and there is no terminal to ask at", "--yes deletes without asking"
        )
    run_id = preview.run_ids[-1]
    for line in removal_lines(preview.run_ids, preview.counts, preview.bytes, verb="would go"):
        session.out.note(line)
    session.out.stderr.write(f"this cannot be undone. Type {safe_text(run_id)} to delete: ")
    session.out.stderr.flush()
    return sys.stdin.readline().strip() == run_id


def _show(session: Session, preview: Preview, *, as_json: bool) -> None:
    if as_json:
        session.out.json({"counts": dict(preview.counts), "bytes": preview.bytes, "runs": list(preview.run_ids)})
    else:
        session.out.lines(removal_lines(preview.run_ids, preview.counts, preview.bytes, verb="would go"))


def _tell(session: Session, receipt: Receipt, *, as_json: bool) -> None:
    if as_json:
        document = {
            "runs": list(receipt.run_ids),
            "counts": dict(receipt.counts),
            "bytes": receipt.bytes,
            "freed": receipt.freed,
            "unfinished": list(receipt.unfinished),
        }
        session.out.json(document)
    else:
        from wfconsole.views.words import size

        session.out.lines(removal_lines(receipt.run_ids, receipt.counts, receipt.bytes, verb="deleted"))
        session.out.line(f"freed on disk: {size(receipt.freed)}")
    for note in receipt.notes:
        session.out.note(note)
