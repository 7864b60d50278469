"""`run`: ask for a run, create it, follow it.

Owns how inputs are written on a command line. Refuses to know what they mean: the recipe's types are applied behind the door,
which names everything that is wrong at once. Nothing exists before all of it holds.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wfconsole.cli import offers
from wfconsole.cli.session import Session, session_of

if TYPE_CHECKING:
    from wfconsole.control.door import Created, Door, Prepared, Problem, RunRequest

Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input", "-i", metavar="NAME=VALUE", help="An input; @FILE reads it from a file, @@ is a literal @."
    ),
]
InputFile = Annotated[
    Path | None, typer.Option("--input-file", metavar="FILE", help="A JSON or YAML object of inputs; -i overrides it.")
]
Key = Annotated[
    str | None, typer.Option("--id", metavar="KEY", help="The run's own key: the same KEY is the same run.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check everything and say what would run; create nothing.")]
Detach = Annotated[bool, typer.Option("--detach", "-d", help="Create the run; a worker in the background drives it.")]
UntilWaiting = Annotated[
    bool, typer.Option("--until-waiting", help="End when only a person can go on (exit status 3).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print data for programs.")]


def register(app: typer.Typer) -> None:
    app.command("run")(run)


def run(
    ctx: typer.Context,
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A recipe's name, or the path of one.", autocompletion=offers.recipes),
    ],
    inputs: Inputs = None,
    input_file: InputFile = None,
    key: Key = None,
    dry_run: DryRun = False,
    detach: Detach = False,
    until_waiting: UntilWaiting = False,
    as_json: AsJson = False,
) -> int:
    """Run a recipe and follow it to its end; the exit status is the run's."""
    from wfconsole.control.door import RunRequest

    session = session_of(ctx)
    request = RunRequest(
        recipe=recipe,
        actor=session.wiring.actor(),
        inputs=read_inputs(inputs or []),
        values=session.wiring.read_values(input_file) if input_file else {},
        workflow_id=key,
    )

    async def work(door: Door) -> int:
        return await carry_out(
            session, door, request, dry_run=dry_run, detach=detach, until_waiting=until_waiting, as_json=as_json
        )

    return session.with_door(work)


def read_inputs(given: list[str]) -> dict[str, str]:
    """``NAME=VALUE`` pairs as text. Raises InvalidRequestError with every pair that cannot be read."""
    from wfconsole.control.door import InvalidRequestError

    values: dict[str, str] = {}
    problems: list[Problem] = []
    for pair in given:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            problems.append(_problem(pair, "is not NAME=VALUE", "write it as -i NAME=VALUE"))
        elif name in values:
            problems.append(_problem(name, "is given twice", "give each input once"))
        else:
            try:
                values[name] = _value(value)
            except (OSError, UnicodeError) as error:
                problems.append(
                    _problem(
                        name, f"cannot be read: {error}", "a value that begins with @ names a file; @@ is a literal @"
                    )
                )
    if problems:
        raise InvalidRequestError("INPUT_INVALID", "the inputs cannot be read", problems)
    return values


def _problem(where: str, message: str, hint: str) -> Problem:
    from wfconsole.control.door import Problem

    return Problem(code="INPUT_INVALID", message=f"{where} {message}", hint=hint, where=where)


def _value(text: str) -> str:
    """The value itself, or with @ what the file holds, without the line feed that editors end files with."""
    if text.startswith("@@"):
        return text[1:]
    if not text.startswith("@"):
        return text
    data = sys.stdin.buffer.read() if text == "@-" else Path(text[1:]).read_bytes()
    return data.decode().removesuffix("\n")


async def carry_out(
    session: Session,
    door: Door,
    request: RunRequest,
    *,
    dry_run: bool,
    detach: bool,
    until_waiting: bool,
    as_json: bool,
) -> int:
    """Prepare, create and follow what is asked for; the exit status."""
    import asyncio

    from wfconsole.cli.following import Follow, display_for

    if dry_run:
        _tell_plan(session, await _prepare(session, door, request, quiet=as_json), as_json=as_json)
        return 0
    try:
        created = await _known(door, request) or await door.create(await _prepare(session, door, request, quiet=False))
    except asyncio.CancelledError:  # Ctrl-C while the workspace is copied, which can take long
        session.out.note("interrupted before the run began")
        raise
    for warning in created.warnings:
        session.out.note(f"warning: {warning}")
    if created.existed:
        session.out.note(f"run {created.run_id} exists already under this id; nothing new was created")
    if detach:
        _detach(session, created.run_id, existed=created.existed, as_json=as_json)
        return 0
    follow = Follow(
        session=session,
        door=door,
        run_id=created.run_id,
        display=display_for(session, as_json=as_json, environ=os.environ),
        drives=True,
        until_waiting=until_waiting,
    )
    _, seen = await door.records(created.run_id)
    return await follow.to_end(seen)


async def _known(door: Door, request: RunRequest) -> Created | None:
    """The run that has this key already: it goes on as it was pinned, whatever has become of its recipe."""
    from wfconsole.control.door import Created

    earlier = await door.store.run_of_workflow(request.workflow_id) if request.workflow_id else None
    return None if earlier is None else Created(run_id=earlier, existed=True)


async def _prepare(session: Session, door: Door, request: RunRequest, *, quiet: bool) -> Prepared:
    from wfconsole.cli.errors import problem_lines

    prepared = await door.prepare(request)
    for line in problem_lines(() if quiet else prepared.warnings):
        session.out.note(line)
    return prepared


def _detach(session: Session, run_id: str, *, existed: bool, as_json: bool) -> None:
    """Leave the run to a worker that outlives this process, and say so."""
    worker = session.wiring.detach()
    if as_json:
        session.out.json({"run_id": run_id, "existed": existed, "worker_pid": worker})
    else:
        session.out.line(run_id)
    session.out.note(f"worker {worker} drives it; `wfconsole watch {run_id}` follows it")


def _tell_plan(session: Session, prepared: Prepared, *, as_json: bool) -> None:
    """What would run, with nothing created."""
    document = plan_document(prepared)
    if as_json:
        session.out.json(document)
        return
    recipe = document["recipe"]
    session.out.line(f"recipe   {recipe['name']}@{recipe['version']}  {recipe['digest'][:12]}  {recipe['origin']}")
    from wfconsole.views.words import value_text

    session.out.lines(
        f"input    {name} = {value_text(value, limit=200)}" for name, value in sorted(document["inputs"].items())
    )
    for step in document["steps"]:
        needs = f"  after {', '.join(step['needs'])}" if step["needs"] else ""
        session.out.line(f"step     {step['step_id']}  {step['kind']}{needs}")
    session.out.line("nothing was created")


def plan_document(prepared: Prepared) -> dict[str, Any]:
    recipe = prepared.plan.recipe
    return {
        "dry_run": True,
        "recipe": {"name": recipe.name, "version": recipe.version, "digest": recipe.digest, "origin": recipe.origin},
        "inputs": dict(prepared.inputs),
        "steps": [
            {"step_id": step.step_id, "kind": step.kind, "needs": [need.step for need in step.needs], "when": step.when}
            for step in prepared.plan.steps
        ],
        "warnings": [
            {"code": item.code, "message": item.message, "hint": item.hint, "where": item.where}
            for item in prepared.warnings
        ],
    }
