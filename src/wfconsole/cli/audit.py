"""`audit verify`: whether journals are what was written and decisions what was signed, without any other process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

import typer

from wfconsole.cli import exit_codes, offers
from wfconsole.cli.app import new_app
from wfconsole.cli.session import run_async, session_of
from wfconsole.control.wiring import Audited


def register(app: typer.Typer) -> None:
    group = new_app()
    group.command("verify")(verify)
    app.add_typer(group, name="audit", help="Check journals and signatures.")


def verify(
    ctx: typer.Context,
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            help="An id, a unique part of one, a KEY, or @latest; else all.",
            autocompletion=offers.runs,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """Check every decision's signature, the chain of events and the projections; exit status 1 when something does not hold."""
    session = session_of(ctx)
    found = run_async(session.wiring.audit(run))
    sound = not any(item.problems for item in found)
    if as_json:
        session.out.json({"holds": sound, "runs": [_document(item) for item in found]})
    else:
        session.out.lines(_lines(found, ascii_only=session.out.ascii_only))
    return exit_codes.OK if sound else exit_codes.FAILED


def _document(item: Audited) -> dict[str, Any]:
    return {
        "run_id": item.run_id,
        "events": item.events,
        "decisions": item.decisions,
        "signed_through": item.signed_through,
        "deleted": item.deleted,
        "problems": list(item.problems),
    }


def _lines(found: Sequence[Audited], *, ascii_only: bool) -> Iterator[str]:
    from wfconsole.views.safe_text import safe_text
    from wfconsole.views.words import glyph, plural

    for item in found:
        mark = glyph("failed" if item.problems else "succeeded", ascii_only=ascii_only)
        if item.deleted:
            yield safe_text(f"{mark} {item.run_id}  deleted, its tombstone was checked")
            yield from (f"    {safe_text(problem, limit=1000)}" for problem in item.problems)
            continue
        reach = "nothing is signed" if item.signed_through is None else f"signed up to event {item.signed_through}"
        counts = f"{plural(item.events, 'event')}, {plural(item.decisions, 'decision')}"
        yield safe_text(f"{mark} {item.run_id}  {counts}, {reach}")
        yield from (f"    {safe_text(problem, limit=1000)}" for problem in item.problems)
    wrong = sum(bool(item.problems) for item in found)
    yield "everything holds" if not wrong else f"{plural(wrong, 'run')} of {len(found)} do not hold"
