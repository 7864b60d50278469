"""The front door of the command line: finds the command, imports its module alone, turns what goes wrong into an exit status.

Owns the table of commands, the top-level help and the answers to names that are not (or not yet) there. The decision that would
surprise: `--version`, the top-level `--help` and unknown names are answered from the table without importing Typer, because
imports are nearly all of what they would cost.
"""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

from wfconsole import __version__
from wfconsole.cli import exit_codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import typer

    from wfconsole.cli.output import Output
    from wfconsole.control.wiring import Wiring

PROGRAM = "wfconsole"

COMMANDS: dict[str, tuple[str, str]] = {
    "open": ("open", "Open the console, on a run, step or gate"),
    "run": ("run", "Run a recipe and follow it to its end"),
    "watch": ("watch", "Follow a run"),
    "runs": ("runs", "List runs"),
    "show": ("show", "Show a run: steps, failure, outputs"),
    "events": ("events", "Show a run's journal"),
    "logs": ("logs", "Show what a run's steps printed"),
    "artifacts": ("artifacts", "List or fetch what a run left"),
    "export": ("export", "Write a run's bundle as tar.gz"),
    "approvals": ("approvals", "Show what waits for a person"),
    "approve": ("decide", "Approve what a gate shows"),
    "reject": ("decide", "Reject what a gate shows"),
    "answer": ("decide", "Answer a question"),
    "decide": ("decide", "Take a decision that was signed elsewhere"),
    "cancel": ("control", "End a run"),
    "pause": ("control", "Start nothing more in a run"),
    "resume": ("control", "Let a paused run go on"),
    "intent": ("intent", "Submit an intent, run it"),
    "recipes": ("recipes", "List, show and validate recipes"),
    "templates": ("templates", "List, build and check sandbox templates"),
    "worker": ("worker", "Drive what nobody drives"),
    "audit": ("audit", "Check journals and signatures"),
    "delete": ("delete", "Remove an ended run with all it left"),
    "gc": ("gc", "Remove what nobody needs any more"),
    "doctor": ("doctor", "Check this machine, with a remedy for what is wrong"),
    "db": ("database", "Check, back up and query the store"),
    "config": ("config", "Show the settings in force"),
    "completion": ("completion", "Print the completion script of a shell"),
}
"""Command: the module in this package that has it, and its line in the help."""

LATER = frozenset(
    {
        "retry", "rollback", "intervene", "lineage", "replay", "children",
    }
)  # fmt: skip
"""Names of commands that this version does not have yet."""


def run_cli(argv: Sequence[str], wiring: Wiring) -> int:
    """Carry out one command line (without the program's name); the exit status. Never raises."""
    if list(argv) == ["--version"] or sorted(argv) == ["--json", "--version"]:
        return version(as_json=len(argv) > 1)
    from wfconsole.cli.output import Output

    out = Output(sys.stdout, sys.stderr)
    as_json = "--json" in argv
    try:
        code = _dispatch(list(argv), wiring, out, as_json=as_json)
    except BrokenPipeError:
        return _quiet()
    except KeyboardInterrupt:
        out.note("interrupted")
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort: a bug is reported, not shown as a traceback
        from wfconsole.cli import errors

        return errors.bug(error, out, as_json=as_json)
    try:
        out.flush()
    except BrokenPipeError:
        _quiet()
    return code


def version(*, as_json: bool = False) -> int:
    """Print it; the exit status."""
    try:
        sys.stdout.write(f'{{"version":"{__version__}"}}\n' if as_json else f"{PROGRAM} {__version__}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return _quiet()
    return exit_codes.OK


def _quiet() -> int:
    """Whoever read our output has had enough; keep the interpreter from complaining about it at exit."""
    # When stdout is no file nothing will be flushed to it at exit.
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return exit_codes.OK


def _dispatch(argv: list[str], wiring: Wiring, out: Output, *, as_json: bool) -> int:
    if f"_{PROGRAM.upper()}_COMPLETE" in os.environ:
        return _typer(sorted({module for module, _ in COMMANDS.values()}), argv, wiring, out, as_json=as_json)
    words = [word for word in argv[:2] if not word.startswith("-")]
    if argv[:1] in (["--help"], ["-h"], ["help"]):
        out.lines(help_lines())
        return exit_codes.OK
    from wfconsole.cli import errors

    if not argv:
        return _console(wiring, out)
    name = argv[0]
    if name in LATER or " ".join(words) in LATER:
        asked = name if name in LATER else " ".join(words)
        return errors.usage(f"{PROGRAM} {asked} is not available in this version", "", out, as_json=as_json)
    if name not in COMMANDS:
        return errors.usage(f"no command {name!r}", _near(name), out, as_json=as_json)
    return _typer([COMMANDS[name][0]], argv, wiring, out, as_json=as_json)


def _console(wiring: Wiring, out: Output) -> int:
    """The console, where there is a terminal for it; else the help, which is what a pipe can use."""
    if out.is_terminal and sys.stdin.isatty() and (os.environ.get("TERM") or "dumb") != "dumb":
        return wiring.console(None, False)
    out.lines(help_lines())
    return exit_codes.OK


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [*COMMANDS, *LATER], 1)
    return f"did you mean {near[0]}?" if near else f"{PROGRAM} --help lists the commands"


def _typer(modules: list[str], argv: list[str], wiring: Wiring, out: Output, *, as_json: bool) -> int:
    """Let Typer read the command line, knowing only the commands of `modules`."""
    from importlib import import_module

    import typer

    from wfconsole.cli import errors
    from wfconsole.cli.session import Session
    from wfconsole.ports import WfconsoleError

    if len(modules) > 1:
        from typer._completion_classes import completion_init

        completion_init()
    root = new_app()
    for module in modules:
        import_module(f"wfconsole.cli.{module}").register(root)
    command = typer.main.get_command(root)
    try:
        result = command.main(args=argv, prog_name=PROGRAM, standalone_mode=False, obj=Session(wiring, out))
    except WfconsoleError as error:
        return errors.report(error, out, as_json=as_json)
    except typer.TyperException as error:
        hint = f"{PROGRAM} {argv[0]} --help" if argv else f"{PROGRAM} --help"
        return errors.usage(error.format_message(), hint, out, as_json=as_json)
    except SystemExit as asked:  # how Typer ends an answer to a shell that completes, and a write that nobody reads
        if isinstance(asked.__context__, BrokenPipeError):
            return _quiet()
        return asked.code if isinstance(asked.code, int) else exit_codes.OK
    except typer.Abort:
        return exit_codes.INTERRUPTED
    return result if isinstance(result, int) else exit_codes.OK


def new_app() -> typer.Typer:
    """An empty Typer application in this program's manner; also for groups of commands."""
    import typer

    app = typer.Typer(
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )

    @app.callback()
    def group() -> None:
        """Keeps a group a group when it holds one command."""

    return app


def help_lines() -> list[str]:
    """The top-level help."""
    width = max(map(len, COMMANDS))
    return [
        f"Usage: {PROGRAM} [COMMAND] [ARGS]...",
        "",
        "Run recipes in Docker sandboxes, see what is about to ship, recover without doing the good work again.",
        "Without a command it opens the console.",
        "",
        "Commands:",
        *(f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()),
        "",
        "Options:",
        f"  {'--version':<{width}}  Print the version",
        f"  {'-h, --help':<{width}}  Print this help, or a command's: {PROGRAM} COMMAND --help",
        "",
        "RUN is an id, a unique first or last part of one, the KEY of run --id, or @latest.",
        "--json prints data for programs.",
        "Exit status: 0 succeeded, 1 failed, 2 bad usage or input, 3 waiting for a person, 4 cancelled,",
        "5 environment, 6 refused, 70 a bug, 130 interrupted.",
    ]
