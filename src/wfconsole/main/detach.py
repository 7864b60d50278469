"""A worker that outlives this process: its own session, no terminal, its words in a file of the state folder.

The decision that would surprise: it begins when its starter has ended, or says that it has let go. Until then the starter may
hold the runs that it is to go on with, and a worker that finds nothing to do ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading

from wfconsole.config import Settings

_WAIT = """
import os, runpy, sys
os.read(0, 1)
sys.argv[1:] = ["worker", "--until-idle"]
runpy.run_module("wfconsole", run_name="__main__")
"""
"""The read ends when every descriptor of the pipe's other end is closed: with its starter, whatever ends that."""
_kept: list[int] = []


def start_worker(settings: Settings, *, at_once: bool = False) -> int:
    """Start ``worker --until-idle`` apart from this terminal, to begin when this process has ended; its process id.

    With `at_once` it begins now. It ends when nothing goes on without a person.
    """
    environ = {**settings.environ, "PYTHONUNBUFFERED": "1"}
    settings.state.mkdir(parents=True, exist_ok=True)
    starter_lives, mine = os.pipe()
    try:
        with (settings.state / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", _WAIT],
                stdin=starter_lives, stdout=log, stderr=log, cwd="/", env=environ, start_new_session=True,
            )  # fmt: skip
    finally:
        os.close(starter_lives)
    if at_once:
        os.close(mine)
        threading.Thread(target=process.wait, name="worker", daemon=True).start()  # it may end before this process does
    else:
        _kept.append(mine)
        process.returncode = 0  # it is nobody's child to wait for: this process ends before it does
    return process.pid
