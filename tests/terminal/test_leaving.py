"""What becomes of runs and of the terminal when the console ends: asked to, told to, or because nobody is there any more."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, containers, let_go
from tests.terminal.terminal import Terminal, console, is_there, launch, until

pytestmark = pytest.mark.engine
MARKS = "SELECT step_id, count(*) AS marks FROM marks WHERE run_id = '{}' GROUP BY step_id ORDER BY step_id"
ONCE = [{"step_id": "one", "marks": 1}, {"step_id": "two", "marks": 1}]


def holding(on: Terminal, wf: Wfconsole) -> str:
    """Start the recipe that waits to be let go, and wait until it is under way."""
    on.shows("RUNS")
    run_id = launch(on, "hold")
    mark = wf.folder(run_id) / "workspace" / "one.here"
    until(mark.exists, lambda: on.text)
    return run_id


def ended(wf: Wfconsole, run_id: str) -> str:
    """Wait until the run is over; how it went."""

    def status() -> str | None:
        with closing(sqlite3.connect(f"file:{wf.home / 'wfconsole.db'}?mode=ro", uri=True)) as store:
            row = store.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        return row[0] if row and row[0] in {"succeeded", "failed", "cancelled"} else None

    return until(status, lambda: f"{run_id}: {wf.run('show', run_id).out}")


def restored(on: Terminal) -> None:
    """The terminal is as it was: its settings, the main screen, the cursor, no reports of keys, mouse or focus."""
    assert on.settings == on.before
    on_now = {name for name, is_on in on.screen.modes.items() if is_on}
    assert on_now == {"25", "7"}, on_now  # cursor shown, lines wrap


def processor_seconds(process_id: int) -> float:
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize("lost", ["signal", "hang-up"])
def test_a_lost_terminal_hands_its_runs_to_a_worker_within_two_seconds(wf: Wfconsole, lost: str) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        began = time.monotonic()
        on.process.send_signal(signal.SIGHUP) if lost == "signal" else on.hang_up()
        assert on.end(10) == 128 + signal.SIGHUP
        assert time.monotonic() - began < 2
        if lost == "signal":
            restored(on)
    assert containers(run_id)  # what was under way goes on
    let_go(wf, run_id, "one")
    assert ended(wf, run_id) == "succeeded"
    assert wf.rows(MARKS.format(run_id)) == ONCE
    (attempt,) = wf.show(run_id)["steps"][0]["attempts"]
    assert attempt["outcome"] == "succeeded"


def test_sigterm_restores_the_terminal_and_leaves_containers_to_the_next_worker(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.process.terminate()
        assert on.end(10) == 128 + signal.SIGTERM
        restored(on)
        assert containers(run_id)
    let_go(wf, run_id, "one")
    assert wf.show(run_id)["status"] == "running"
    assert wf.run("worker", "--until-idle").code == 0
    assert wf.show(run_id)["status"] == "succeeded"
    assert wf.rows(MARKS.format(run_id)) == ONCE


def test_quitting_asks_what_becomes_of_live_runs_and_detaching_keeps_them_going(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.press("\x11", "This console drives 1 run", "a worker keeps it going")
        on.keys("\r")
        assert on.end() == 0
        restored(on)
    let_go(wf, run_id, "one")
    assert ended(wf, run_id) == "succeeded"
    assert wf.rows(MARKS.format(run_id)) == ONCE


def test_quitting_with_a_pause_leaves_once_the_run_is_paused(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.press("\x11", "This console drives 1 run")
        on.press("jj", ">pause it")
        on.press("\r", "leaving when 1 run has paused")
        let_go(wf, run_id, "one")
        assert on.end() == 0
        restored(on)
    assert wf.show(run_id)["status"] == "paused"
    assert not containers(run_id)
    assert wf.run("resume", run_id).code == 0
    assert wf.run("worker", "--until-idle").code == 0
    assert wf.show(run_id)["status"] == "succeeded"
    assert wf.rows(MARKS.format(run_id)) == ONCE


def test_who_waits_for_a_run_to_end_and_then_stays_is_not_left_alone(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.press("\x11", "This console drives 1 run")
        on.press("j", ">wait for it")
        on.press("\r", "leaving when 1 run has ended")
        on.press("\x11", "This console drives 1 run")
        on.leaves("This console drives")
        on.shows("staying")
        let_go(wf, run_id, "one")
        assert ended(wf, run_id) == "succeeded"
        on.shows("succeeded in")
        on.press("5", "EVENTS")
        on.keys("D")
        assert on.end() == 0


def test_quitting_without_runs_restores_the_terminal(wf: Wfconsole) -> None:
    with console(wf) as on:
        on.shows("RUNS")
        on.keys("\x11")
        assert on.end() == 0
        restored(on)


def test_a_run_ends_while_nobody_reads_the_terminal_and_the_picture_catches_up(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.press("1", "RUNS", run_id)
        on.stall()
        for _ in range(60):
            on.keys("5", "\x0c", "6", "\x0c", "1", "\x0c")  # whole pictures: far more than a terminal buffers
        let_go(wf, run_id, "one")
        assert ended(wf, run_id) == "succeeded"
        on.go_on()
        on.press("1", "RUNS", f"succeeded {run_id}")
        on.keys("\x11")
        assert on.end() == 0
        restored(on)


def test_a_stalled_terminal_does_not_hold_up_a_signal(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.stall()
        for _ in range(60):
            on.keys("5", "\x0c", "6", "\x0c", "1", "\x0c")
        began = time.monotonic()
        on.process.send_signal(signal.SIGHUP)
        assert on.process.wait(10) == 128 + signal.SIGHUP
        assert time.monotonic() - began < 2
    let_go(wf, run_id, "one")
    assert ended(wf, run_id) == "succeeded"


def test_a_resize_to_nothing_and_back_is_survived(wf: Wfconsole) -> None:
    with console(wf) as on:
        on.press("6", "SETTINGS")
        for columns, rows in ((1, 1), (20, 5), (300, 2), (120, 40)):
            on.resize(columns, rows)
            on.keys("5", "1", "3")
        on.shows("RECIPES")
        on.resize(80, 24)
        on.press("1", "RUNS", "? help")
        on.keys("\x11")
        assert on.end() == 0


def test_after_sigstop_and_sigcont_keys_and_pictures_are_there_again(wf: Wfconsole) -> None:
    with console(wf) as on:
        on.shows("RUNS")
        on.process.send_signal(signal.SIGSTOP)
        until(lambda: _state(on.process.pid) == "T", lambda: "it was not stopped")
        count = on.written.count(b"\x1b[?1049h")
        on.process.send_signal(signal.SIGCONT)
        until(lambda: on.written.count(b"\x1b[?1049h") > count, lambda: on.text)
        on.press("5", "EVENTS")
        on.keys("\x11")
        assert on.end() == 0
        restored(on)


def _state(process_id: int) -> str:
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]


def test_a_closed_terminal_ends_an_idle_console_without_a_busy_loop(wf: Wfconsole) -> None:
    with console(wf) as on:
        on.shows("RUNS")
        on.hang_up()
        on.process.wait(10)
        assert not is_there(on.process.pid)


def test_a_lost_terminal_leaves_the_run_that_a_command_drives_to_a_worker(wf: Wfconsole) -> None:
    with console(wf, "run", "hold") as on:
        (mark,) = until(
            lambda: [one for one in wf.home.glob("runs/*/workspace/one.here") if _is_live(wf, one)], lambda: on.text
        )
        run_id = mark.parent.parent.name
        on.process.send_signal(signal.SIGHUP)
        assert on.end(10) == 128 + signal.SIGHUP
    let_go(wf, run_id, "one")
    assert ended(wf, run_id) == "succeeded"
    assert wf.rows(MARKS.format(run_id)) == ONCE


def _is_live(wf: Wfconsole, mark: Path) -> bool:
    return not (mark.parent / "one.go").exists() and wf.folder(mark.parent.parent.name).exists()


def test_a_detached_run_is_driven_by_a_worker(wf: Wfconsole) -> None:
    started = wf.run("run", "hold", "--detach", "--json").json
    assert is_there(started["worker_pid"])
    let_go(wf, started["run_id"], "one")
    assert ended(wf, started["run_id"]) == "succeeded"
    assert wf.rows(MARKS.format(started["run_id"])) == ONCE
