"""Commands whose output nobody reads any more: no traceback, a stable exit status, and runs go on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios import locks
from tests.scenarios.cli import Result, Wfconsole, command_line, let_go, recipe, until


@contextmanager
def unread(wf: Wfconsole, *argv: str | Path) -> Iterator[subprocess.Popen[bytes]]:
    """The command with a pipe that nobody reads: each write gives EPIPE."""
    locks.put(wf.home, argv, wf.environment)
    read, write = os.pipe()
    os.close(read)
    try:
        process = subprocess.Popen(
            command_line(*argv), stdout=write, stderr=subprocess.PIPE, env=wf.environment, cwd=wf.cwd
        )
    finally:
        os.close(write)
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def test_fault_42_an_error_keeps_its_exit_status_when_nobody_reads(wf: Wfconsole) -> None:
    with unread(wf, "show", "nobody", "--json") as process:
        _, err = process.communicate(timeout=60)
    assert process.returncode == 2
    assert Result(stdout=b"", stderr=err, code=2).error["code"] == "NOT_FOUND"


@pytest.mark.engine
@pytest.mark.parametrize("options", [(), ("--json",)], ids=["words", "json"])
def test_fault_42_a_run_goes_on_when_nobody_reads(wf: Wfconsole, repo: Path, options: Sequence[str]) -> None:
    path = recipe(
        repo.parent, "unread", "steps: {a: {run: [[python, hold.py, a]]}, b: {needs: [a], run: [[echo, b]]}}\n"
    )
    key = f"unread{len(options)}"
    with unread(wf, "run", path, "-i", f"repo={repo}", "--id", key, *options) as process:
        run_id = until(lambda: known(wf, key), lambda: key)
        until((wf.folder(run_id) / "workspace" / "a.here").exists, lambda: f"{process.poll()}")
        let_go(wf, run_id, "a")
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert wf.show(run_id)["status"] == "succeeded"


def known(wf: Wfconsole, key: str) -> str | None:
    shown = wf.run("show", key, "--json")
    return str(shown.json["run_id"]) if shown.code == 0 else None


COMMANDS = [
    ("--version",), ("--version", "--json"), ("--help",), ("runs", "--help"), ("recipes", "list"), ("recipes", "schema"),
    ("runs", "--json"), ("config", "show"),
]  # fmt: skip


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
def test_fault_42_a_reader_that_has_had_enough_is_no_failure(wf: Wfconsole, argv: Sequence[str]) -> None:
    with unread(wf, *argv) as process:
        _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("argv", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_fault_42_a_closed_output_is_no_failure(wf: Wfconsole, argv: Sequence[str], closed: str) -> None:
    line = f'exec "$@" {closed}'
    done = subprocess.run(
        ["sh", "-c", line, "sh", *command_line(*argv)],
        capture_output=True, env=wf.environment, cwd=wf.cwd, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
