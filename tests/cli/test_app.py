"""The front door: help, names that are not there, errors in both forms, and what an import costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
import typer

from tests.fakes.desk import Desk
from wfconsole.cli.app import COMMANDS, LATER, new_app
from wfconsole.cli.output import Output

HELP = """\
Usage: wfconsole [COMMAND] [ARGS]...

Run recipes in Docker sandboxes, see what is about to ship, recover without doing the good work again.
Without a command it opens the console.

Commands:
  open        Open the console, on a run, step or gate
  run         Run a recipe and follow it to its end
  watch       Follow a run
  runs        List runs
  show        Show a run: steps, failure, outputs
  events      Show a run's journal
  logs        Show what a run's steps printed
  artifacts   List or fetch what a run left
  export      Write a run's bundle as tar.gz
  approvals   Show what waits for a person
  approve     Approve what a gate shows
  reject      Reject what a gate shows
  answer      Answer a question
  decide      Take a decision that was signed elsewhere
  cancel      End a run
  pause       Start nothing more in a run
  resume      Let a paused run go on
  intent      Submit an intent, run it
  recipes     List, show and validate recipes
  templates   List, build and check sandbox templates
  worker      Drive what nobody drives
  audit       Check journals and signatures
  delete      Remove an ended run with all it left
  gc          Remove what nobody needs any more
  doctor      Check this machine, with a remedy for what is wrong
  db          Check, back up and query the store
  config      Show the settings in force
  completion  Print the completion script of a shell

Options:
  --version   Print the version
  -h, --help  Print this help, or a command's: wfconsole COMMAND --help

RUN is an id, a unique first or last part of one, the KEY of run --id, or @latest.
--json prints data for programs.
Exit status: 0 succeeded, 1 failed, 2 bad usage or input, 3 waiting for a person, 4 cancelled,
5 environment, 6 refused, 70 a bug, 130 interrupted.
"""


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_the_help(desk: Desk, word: str) -> None:
    ran = desk.run(word)
    assert (ran.code, ran.text, ran.err) == (0, HELP, "")


def test_the_version(desk: Desk) -> None:
    assert desk.run("--version").text == "wfconsole 0.1.0\n"
    assert desk.run("--version", "--json").text == desk.run("--json", "--version").text == '{"version":"0.1.0"}\n'


def commands(found: Any, *words: str) -> Iterator[tuple[str, set[str]]]:
    """Every command's words and its options, those of groups included."""
    for name, one in getattr(found, "commands", {}).items():
        yield from commands(one, *words, name)
    if found.callback is not None and words:
        yield " ".join(words), {option for each in found.params for option in each.opts}


def test_every_command_that_shows_something_has_json() -> None:
    """The console is no data, and neither is a shell's script."""
    root = new_app()
    for module in {module for module, _ in COMMANDS.values()}:
        import_module(f"wfconsole.cli.{module}").register(root)
    found = dict(commands(typer.main.get_command(root)))
    assert {name.split()[0] for name in found} == set(COMMANDS)
    groups = {"audit", "config", "db", "intent", "recipes", "templates"}
    assert {name for name, options in found.items() if "--json" not in options} - groups == {"completion", "open"}


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_has_help_with_its_options(desk: Desk, name: str) -> None:
    ran = desk.run(name, "--help")
    assert ran.code == 0
    assert ran.text.startswith(f"Usage: wfconsole {name} ")
    assert "-h, --help" in ran.text


@pytest.mark.parametrize("name", sorted(LATER))
def test_commands_of_later_versions_say_so(desk: Desk, name: str) -> None:
    ran = desk.run(*name.split(), "x")
    assert (ran.code, ran.err) == (2, f"error: wfconsole {name} is not available in this version\n")


def test_an_unknown_command_names_the_near_one(desk: Desk) -> None:
    ran = desk.run("evnts")
    assert (ran.code, ran.err) == (2, "error: no command 'evnts'\nhint: did you mean events?\n")


def test_without_a_command_a_pipe_gets_the_help(desk: Desk) -> None:
    ran = desk.run()
    assert ran.code == 0
    assert ran.lines[0] == "Usage: wfconsole [COMMAND] [ARGS]..."
    assert desk.consoles == []


def test_without_a_command_a_terminal_gets_the_console(desk: Desk) -> None:
    assert desk.run(terminal=True).code == 0
    assert desk.consoles == [(None, False)]


def test_bad_usage_exits_2_and_says_where_to_look(desk: Desk) -> None:
    ran = desk.run("runs", "--nope")
    assert ran.code == 2
    assert ran.err.splitlines()[-1] == "hint: wfconsole runs --help"
    assert json.loads(desk.run("runs", "--nope", "--json").err)["error"]["code"] == "INPUT_INVALID"


def test_an_error_in_words_and_as_json(desk: Desk) -> None:
    words = desk.run("show", "nope")
    assert (words.code, words.out) == (2, b"")
    assert words.err.splitlines() == ["error: NOT_FOUND: 'nope' names 0 things", "hint: give the id"]
    as_json = desk.run("show", "nope", "--json")
    assert json.loads(as_json.err) == {
        "error": {"code": "NOT_FOUND", "message": "'nope' names 0 things", "hint": "give the id", "details": {}}
    }


def test_a_bug_shows_its_traceback_only_when_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> object:
        raise ZeroDivisionError("x\x1b[31m")

    monkeypatch.setattr(desk, "_doctor", broken)
    ran = desk.run("doctor")
    assert (ran.code, ran.err.splitlines()[0]) == (70, "error: INTERNAL: ZeroDivisionError: x␛[31m")
    assert "Traceback" not in ran.err
    monkeypatch.setenv("WFCONSOLE_DEBUG", "1")
    assert "Traceback" in desk.run("doctor").err


def test_a_reader_that_went_away_is_no_error(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(self: Output, texts: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(Output, "lines", lines)
    ran = desk.run("recipes", "list")
    assert (ran.code, ran.out) == (0, b"")


HEAVY = ("typer", "rich", "textual", "sqlmodel", "sqlalchemy", "docker", "jinja2", "ruamel", "asyncio")


@pytest.mark.parametrize(
    ("argv", "allowed"),
    [(["--version"], ()), (["--help"], ()), (["retry"], ()), (["run", "--help"], ("typer",))],
)
def test_answers_that_need_nothing_import_nothing(argv: list[str], allowed: tuple[str, ...]) -> None:
    code = (
        "import sys; from wfconsole.cli.app import run_cli; run_cli(sys.argv[1:], None); "
        f"sys.stderr.write(' '.join(sorted({{m.split('.')[0] for m in sys.modules}} & set({HEAVY!r}))))"
    )
    ran = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    loaded = set(ran.stderr.splitlines()[-1].split()) if ran.stderr else set()
    assert loaded & set(HEAVY) <= set(allowed)
