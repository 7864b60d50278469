"""kill -9 between the commit of a run's end and its telling: the next start, whatever it is for, tells of it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.main.test_telling import KEEP, configured, told
from tests.scenarios.cli import Wfconsole
from tests.scenarios.gate_runs import journal, plain

BAD = "steps: {bad: {check: [{that: 'false', message: never}]}}\n"

DIES = """
import os, signal, sys
from wfconsole.engine.local import LocalDriver
publish = LocalDriver._publish
def die(self, record):
    if type(record.event).__name__ == "RunFailed":
        os.kill(os.getpid(), signal.SIGKILL)
    publish(self, record)
LocalDriver._publish = die
from wfconsole.main import main
sys.exit(main())
"""


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """What the hook for a failed run writes."""
    return tmp_path / "kept"


@pytest.fixture
def died(tmp_path: Path, kept: Path) -> Wfconsole:
    """A run that has failed, and whose owner did not live to tell anybody."""
    wf = configured(tmp_path, run_failed=[sys.executable, "-c", KEEP, str(kept)])
    line = [sys.executable, "-c", DIES, "run", str(plain(tmp_path, "bad", BAD))]
    done = subprocess.run(line, env=wf.environment, cwd=wf.cwd, capture_output=True, timeout=60, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not kept.exists()
    return wf


def last_told(wf: Wfconsole) -> str:
    lines = (wf.home / "told.jsonl").read_text().splitlines()
    return str(json.loads(lines[-1])["type"])


@pytest.mark.parametrize("start", [("runs",), ("worker", "--until-idle"), ("gc",)])
def test_st_wf_004_the_next_start_tells_of_an_end_that_nobody_was_told_of(
    died: Wfconsole, kept: Path, start: tuple[str, ...]
) -> None:
    assert last_told(died) != "run_failed"
    assert died.run(*start).code == 0
    assert (last_told(died), kept.read_text()) == ("run_failed", "run_failed\n")
    (row,) = died.run("runs", "--json").json["runs"]
    assert told(died) == [event["seq"] for event in journal(died, row["run_id"])]
    assert (died.folder(row["run_id"]) / "bundle" / "manifest.json").exists()


def test_it_is_told_once_however_often_one_starts(died: Wfconsole, kept: Path) -> None:
    for _ in range(3):
        assert died.run("runs").code == 0
    assert kept.read_text() == "run_failed\n"
    assert told(died) == sorted(set(told(died)))


def test_a_hook_that_fails_then_keeps_no_start_from_its_work(tmp_path: Path, died: Wfconsole) -> None:
    configured(tmp_path, run_failed=["/no/such/hook"])
    listed = died.run("runs", "--json")
    assert (listed.code, len(listed.json["runs"])) == (0, 1), listed.err
