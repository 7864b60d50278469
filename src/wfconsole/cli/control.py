"""`cancel`, `pause`, `resume`: one command each to the run, answered at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from wfconsole.cli.offers import Run
from wfconsole.cli.session import session_of
from wfconsole.domain.facts import AnyFact, CancelRun, PauseRun, ResumeRun
from wfconsole.domain.plan import Json
from wfconsole.domain.records import Actor
from wfconsole.ports import WfconsoleError

if TYPE_CHECKING:
    from wfconsole.control.door import Door

Reason = Annotated[str | None, typer.Option("--reason", metavar="TEXT", help="Why; recorded in the journal.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]


def register(app: typer.Typer) -> None:
    app.command("cancel")(cancel)
    app.command("pause")(pause)
    app.command("resume")(resume)


def cancel(
    ctx: typer.Context,
    run: Run,
    reason: Reason = None,
    rollback: Annotated[bool, typer.Option("--rollback", help="Not available in this version.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Kill what runs, and leave out the `finally` steps.")] = False,
    as_json: AsJson = False,
) -> int:
    """End a run; what is under way is stopped cleanly."""
    if rollback:
        raise typer.BadParameter("not available in this version", param_hint="--rollback")
    return _send(
        ctx,
        run,
        lambda fact_id, at, actor: CancelRun(fact_id=fact_id, at=at, actor=actor, reason=reason, force=force),
        as_json=as_json,
    )


def pause(ctx: typer.Context, run: Run, reason: Reason = None, as_json: AsJson = False) -> int:
    """Start nothing more in a run; what is under way ends first."""
    return _send(
        ctx,
        run,
        lambda fact_id, at, actor: PauseRun(fact_id=fact_id, at=at, actor=actor, reason=reason),
        as_json=as_json,
    )


def resume(ctx: typer.Context, run: Run, as_json: AsJson = False) -> int:
    """Let a paused run go on."""
    return _send(ctx, run, lambda fact_id, at, actor: ResumeRun(fact_id=fact_id, at=at, actor=actor), as_json=as_json)


def _send(ctx: typer.Context, run: str, make: Callable[[str, int, Actor], AnyFact], *, as_json: bool) -> int:
    session = session_of(ctx)

    async def work(door: Door) -> int:
        from wfconsole.views.run_view import run_view
        from wfconsole.views.words import word

        run_id, _ = await door.records(run)
        fact = make(f"cli:{uuid.uuid4().hex}", session.wiring.now_ms(), session.wiring.actor())
        answer = await door.send(run_id, fact)
        if answer.refusal is not None:
            raise WfconsoleError(answer.refusal.code, answer.refusal.reason, answer.refusal.hint)
        _, records = await door.records(run_id)
        view = run_view(records)
        status, pausing = view["status"], view["pausing"]
        if as_json:
            session.out.json({"run_id": run_id, "status": status, "pausing": pausing})
        else:
            session.out.line(f"{run_id}  {_told(fact, status, pausing) or word(status)}")
            if not answer.owned and status in {"pending", "running"}:
                session.out.note("nobody drives this run; what follows starts with the next owner: wfconsole worker")
        return 0

    return session.with_door(work)


def _told(fact: AnyFact, status: str, pausing: Json) -> str | None:
    """What the run is doing about a command that takes its time."""
    from wfconsole.views.words import plural

    if isinstance(fact, PauseRun) and pausing:
        return f"pausing: {plural(pausing['draining'], 'step')} draining"
    if isinstance(fact, CancelRun) and status == "running":
        return "cancelling: what is under way is being stopped"
    return None
