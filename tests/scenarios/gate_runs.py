"""What scenarios of gates have in common: recipes without containers, runs that wait, what a card and a journal say."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from tests.scenarios.cli import Result, Wfconsole


def plain(folder: Path, name: str, text: str) -> Path:
    """A recipe without a template and without a workspace: nothing of it needs an engine."""
    path = folder / f"{name}.yaml"
    path.write_text(f"recipe: {name}\n{text}")
    return path


def waiting(wf: Wfconsole, path: Path, *argv: str) -> str:
    """Start a run and let it go where only a person can go on; its id."""
    ran = wf.run("run", path, "--json", "--until-waiting", *argv)
    assert ran.code == 3, ran.err
    return str(ran.view["run_id"])


def go_on(wf: Wfconsole, run_id: str) -> dict[str, Any]:
    """Have the worker drive what goes on without a person; the RunView after it."""
    done = wf.run("worker", "--until-idle")
    assert done.code == 0, done.err
    return wf.show(run_id)


def card(wf: Wfconsole, run_id: str, gate: str) -> dict[str, Any]:
    """One gate as `approvals --json` has it."""
    shown = wf.run("approvals", run_id, gate, "--json")
    assert shown.code == 0, shown.err
    found: dict[str, Any] = shown.json
    return found


def journal(wf: Wfconsole, run_id: str) -> list[dict[str, Any]]:
    return wf.run("events", run_id, "--json").objects


def kinds(wf: Wfconsole, run_id: str) -> list[str]:
    return [event["type"] for event in journal(wf, run_id)]


def status(view: Mapping[str, Any]) -> dict[str, str]:
    return {step["step_id"]: step["status"] for step in view["steps"]}


def moves(view: Mapping[str, Any]) -> list[str]:
    """The states that the run went through."""
    return [change["to"] for change in view["transitions"] if change["step_id"] is None]


def refusal(result: Result, code: str, exit_code: int = 6) -> dict[str, Any]:
    """The error of a command with ``--json`` that was refused so."""
    assert result.code == exit_code, result.err
    assert result.error["code"] == code, result.error
    return result.error


def artifacts(view: Mapping[str, Any], step_id: str) -> dict[str, str]:
    """Name and kind of what a step left."""
    return {each["name"]: each["kind"] for each in view["artifacts"] if each["step_id"] == step_id}


def on_store(wf: Wfconsole, *statements: tuple[str, Sequence[Any]]) -> None:
    """Change the database behind the program's back."""
    with closing(sqlite3.connect(wf.home / "wfconsole.db")) as db, db:
        for sql, values in statements:
            db.execute(sql, values)


@contextmanager
def broken_journal(wf: Wfconsole) -> Iterator[None]:
    """A store that takes no event, as one on a failing disk."""
    fault = "CREATE TRIGGER fault BEFORE INSERT ON journal BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
    on_store(wf, (fault, ()))
    try:
        yield
    finally:
        on_store(wf, ("DROP TRIGGER fault", ()))
