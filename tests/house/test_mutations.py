"""The list of guards in scripts/mutations is that of the code: each can be found and taken away."""

from __future__ import annotations

import subprocess
import sys

from tests.house.tree import ROOT
from wfconsole.store.triggers import TRIGGERS


def test_every_guard_that_is_taken_away_is_there() -> None:
    argv = [sys.executable, str(ROOT / "scripts/mutations"), "--list"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert {f"trigger {name}" for name in TRIGGERS} < set(done.stdout.splitlines())
