"""A few seconds of `scripts/crash_soak`: three owners, killed and stopped at random, and nothing is there twice or missing."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.crash.test_kill import ROOT

SECONDS = 5.0


def test_fault_2_owners_that_are_killed_and_stopped_at_random_lose_and_repeat_nothing() -> None:
    argv = [sys.executable, str(ROOT / "scripts/crash_soak"), "--minutes", str(SECONDS / 60), "--seed", "11"]
    environment = {**os.environ, "WFCONSOLE_SOAK": "1", "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    counts = {line[:22].strip(): int(line[22:].split()[0]) for line in done.stdout.splitlines()[1:]}
    assert counts["runs"] >= 12
    assert counts["marks"] == counts["steps"] == 4 * counts["runs"]
    for never in ("runs not succeeded", "duplicate marks", "gaps", "findings", "executed twice", "orphans"):
        assert counts[never] == 0, done.stdout
    assert counts["kill -9"] >= 3
    assert counts["changes of owner"] > 0
