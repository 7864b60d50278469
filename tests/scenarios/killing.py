"""The program itself, killed by the kernel at a named point of its engine: the same code as its users have, up to there."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.scenarios import locks
from tests.scenarios.cli import DEADLINE_S, Wfconsole

_KILLED = """
import os, signal, sys
from wfconsole.engine.signals import Signals
from wfconsole.main import main

point, _, subject = sys.argv.pop(1).partition(" ")

def emit(self, at, of):
    if at == point and subject in {"", of}:
        os.kill(os.getpid(), signal.SIGKILL)

Signals.emit = emit
sys.exit(main())
"""


def killed(wf: Wfconsole, at: str, *argv: str) -> None:
    """Run a command that does not live beyond the first place ``POINT`` or ``POINT SUBJECT``."""
    locks.put(wf.home, argv, wf.environment)
    line = [sys.executable, "-c", _KILLED, at, *argv]
    done = subprocess.run(line, env=wf.environment, cwd=wf.cwd, capture_output=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
