"""Stopping the console from the shell it was started in, and bringing it back."""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, command_line, let_go
from tests.terminal.terminal import Terminal, console, terminal, until
from tests.terminal.test_leaving import MARKS, ONCE, ended, holding, restored

pytestmark = pytest.mark.engine


def at_prompt(on: Terminal) -> None:
    """Wait until the shell is the one who reads."""
    until(lambda: on.text.rstrip().endswith("ready>"), lambda: on.text)


@contextmanager
def shell(wf: Wfconsole) -> Iterator[Terminal]:
    """A shell with job control, in which the console is opened."""
    environment = {**wf.environment, "PS1": "ready> ", "ENV": ""}
    with terminal(["/bin/sh", "-i"], environment, wf.cwd) as on:
        at_prompt(on)
        on.keys(shlex.join(command_line()) + "\r")
        on.shows("RUNS", "? help")
        yield on
        on.keys("D")
        at_prompt(on)
        on.keys("exit\r")
        assert on.end() == 0


def job(on: Terminal) -> int:
    """The process id of what the shell has started."""
    (started,) = Path(f"/proc/{on.process.pid}/task/{on.process.pid}/children").read_text().split()
    return int(started)


def is_stopped(process_id: int) -> bool:
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def test_ctrl_z_gives_the_runs_to_a_worker_and_fg_brings_the_console_back(wf: Wfconsole) -> None:
    with shell(wf) as on:
        run_id = holding(on, wf)
        on.press("\x1a", "This console drives 1 run", "a worker keeps it going")
        on.press("\r", "Stopped", "a worker goes on with 1 run")
        assert is_stopped(job(on))
        restored(on)
        let_go(wf, run_id, "one")
        assert ended(wf, run_id) == "succeeded"
        assert wf.rows(MARKS.format(run_id)) == ONCE
        (attempt,) = wf.show(run_id)["steps"][0]["attempts"]
        assert attempt["outcome"] == "succeeded"
        on.press("fg\r", "succeeded", "a worker took over 1 run")
        on.press("5", "EVENTS", "run_succeeded")


def test_a_console_that_was_stopped_and_brought_back_drives_runs_as_before(wf: Wfconsole) -> None:
    with shell(wf) as on:
        for _ in range(2):
            os.kill(job(on), signal.SIGTSTP)  # as ctrl+z, from elsewhere
            on.shows("Stopped", "fg brings the console back")
            assert is_stopped(job(on))
            assert "a worker" not in on.text
            on.press("fg\r", "RUNS", "? help")
        run_id = holding(on, wf)
        let_go(wf, run_id, "one")
        assert ended(wf, run_id) == "succeeded"
        on.shows("succeeded")
        assert wf.rows(MARKS.format(run_id)) == ONCE


def test_staying_keeps_the_run_here(wf: Wfconsole) -> None:
    with shell(wf) as on:
        run_id = holding(on, wf)
        on.press("\x1a", "This console drives 1 run")
        on.leaves("This console drives")
        on.shows("staying", "driven here")
        let_go(wf, run_id, "one")
        on.shows("succeeded")
        assert wf.rows(MARKS.format(run_id)) == ONCE


def test_without_a_shell_to_come_back_from_nothing_is_stopped(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.press("\x1a", "no shell is there that could bring the console back")
        on.process.send_signal(signal.SIGTSTP)
        let_go(wf, run_id, "one")
        assert ended(wf, run_id) == "succeeded"
        on.shows("succeeded")


def test_in_the_background_the_console_waits_for_its_turn(wf: Wfconsole) -> None:
    with shell(wf) as on:
        on.press("\x1a", "Stopped")
        on.press("bg\r", "ready>")
        on.press("echo ma''rk\r", "mark")
        until(lambda: is_stopped(job(on)), lambda: on.text)
        on.press("fg\r", "RUNS", "? help")
        on.press("5", "EVENTS")
