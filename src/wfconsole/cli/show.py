"""`show`: one run in full, or its outputs alone. With --json the RunView, the same bytes for the same journal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli.offers import Run
from wfconsole.cli.session import session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Door


def register(app: typer.Typer) -> None:
    app.command("show")(show)


def show(
    ctx: typer.Context,
    run: Run,
    outputs: Annotated[bool, typer.Option("--outputs", help="Only the run's outputs.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print data for programs.")] = False,
) -> int:
    """Show a run: its steps, why it failed, what came out."""
    session = session_of(ctx)

    async def work(door: Door) -> int:
        from wfconsole.views.run_view import run_view

        _, records = await door.records(run)
        view = run_view(records)
        if as_json:
            session.out.json(view["outputs"] if outputs else view)
        elif outputs:
            session.out.lines(_outputs(view["outputs"]))
        else:
            session.out.lines(page(view, records[0].event, session.wiring.now_ms(), ascii_only=session.out.ascii_only))
        return 0

    return session.with_door(work)


def _outputs(outputs: Mapping[str, Any]) -> Iterator[str]:
    from wfconsole.views.words import value_text

    return (f"{name} = {value_text(value)}" for name, value in sorted(outputs.items()))


def page(view: Mapping[str, Any], created: Any, now: int, *, ascii_only: bool) -> Iterator[str]:
    """The run for a person."""
    from wfconsole.views import report, timeline, words

    yield from report.heading(view)
    yield f"status   {report.verdict_line(view, ascii_only=ascii_only)}"
    for name, value in sorted(view["inputs"].items()):
        yield f"input    {name} = {words.value_text(value, limit=200)}"
    yield from (f"warning  {warning}" for warning in view["warnings"])
    yield ""
    rows = [
        (
            f"{words.glyph(line.status, ascii_only=ascii_only)} {line.step_id}",
            words.word(line.status),
            line.took or "-",
            line.detail,
        )
        for line in timeline.step_lines(created.plan, view["steps"], now)
    ]
    yield from report.table(("  STEP", "STATUS", "TOOK", ""), rows)
    for title, lines in _sections(view, ascii_only=ascii_only):
        if lines:
            yield ""
            yield title
            yield from (f"  {line}" for line in lines)


def _sections(view: Mapping[str, Any], *, ascii_only: bool) -> Iterator[tuple[str, list[str]]]:
    from wfconsole.views import report
    from wfconsole.views.words import plural

    yield "set aside", list(report.aside_lines(view))
    yield "failure", list(report.failure_lines(view))
    yield "waiting", list(report.waiting_lines(view))
    yield "lineage", list(report.lineage_lines(view))
    yield "gates", list(report.gate_lines(view, ascii_only=ascii_only))
    yield "outputs", list(report.output_lines(view["outputs"]))
    real = [artifact for artifact in view["artifacts"] if artifact["kind"] != "none"]
    if real:
        yield "artifacts", [f"{plural(len(real), 'artifact')}: wfconsole artifacts {view['run_id']}"]
