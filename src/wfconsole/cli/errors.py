"""How a command says that it could not do what was asked: one line of JSON, or the same in words; and the exit status.

The traceback of a bug is for its author, not for its victim: it is printed only with WFCONSOLE_DEBUG.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

from wfconsole.cli import exit_codes

if TYPE_CHECKING:
    from wfconsole.cli.output import Output
    from wfconsole.control.door import Problem
    from wfconsole.ports import WfconsoleError


def report(error: WfconsoleError, out: Output, *, as_json: bool) -> int:
    """Say it on stderr; the exit status."""
    problems = getattr(error, "problems", ())
    if as_json:
        _json(out, error.code, error.message, error.hint, error.details)
    else:
        out.note(f"error: {error.code}: {error.message}")
        _problems(out, problems)
        if error.hint:
            out.note(f"hint: {error.hint}")
    return exit_codes.of_error(error.code)


def usage(message: str, hint: str, out: Output, *, as_json: bool) -> int:
    """The command line itself cannot be read."""
    if as_json:
        _json(out, "INPUT_INVALID", message, hint, {})
    else:
        out.note(f"error: {message}")
        if hint:
            out.note(f"hint: {hint}")
    return exit_codes.USAGE


def bug(error: BaseException, out: Output, *, as_json: bool) -> int:
    """Something that should not happen."""
    from wfconsole.domain.failures import CATALOGUE

    message = f"{type(error).__name__}: {error}"
    hint = f"{CATALOGUE['INTERNAL'].hint}; WFCONSOLE_DEBUG=1 shows where it happened"
    if os.environ.get("WFCONSOLE_DEBUG"):
        for line in "".join(traceback.format_exception(error)).splitlines():
            out.note(line)
    if as_json:
        _json(out, "INTERNAL", message, hint, {})
    else:
        out.note(f"error: INTERNAL: {message}")
        out.note(f"hint: {hint}")
    return exit_codes.BUG


def problem_lines(problems: Iterable[Problem]) -> list[str]:
    """Each problem with its place, its hint on the line below."""
    lines: list[str] = []
    for problem in problems:
        place = f"{problem.where}: " if problem.where else ""
        lines.append(f"{place}{problem.severity}: {problem.code}: {problem.message}")
        if problem.hint:
            lines.append(f"    hint: {problem.hint}")
    return lines


def _problems(out: Output, problems: Iterable[Problem]) -> None:
    for line in problem_lines(problems):
        out.note(f"  {line}")


def _json(out: Output, code: str, message: str, hint: str, details: object) -> None:
    out.error_json({"error": {"code": code, "message": message, "hint": hint, "details": details}})
