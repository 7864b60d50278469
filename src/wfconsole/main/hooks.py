"""Hooks: the operator's own commands, called when a run needs somebody (desktop, mail, chat: whatever the script does).

Each gets the event as one JSON line on stdin and its type as the only argument, runs without a shell and with a time
limit, and its failure is a failure of its event channel, never of the run. Refuses to know what hooks do. The decision that
would surprise: whoever lets go of a run waits for its hooks, because a run that stops at a gate is when they are called.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from wfconsole.domain.codec import canonical, wire
from wfconsole.domain.events import Record, wire_name
from wfconsole.domain.plan import RecipeRef

LIMIT_S = 10.0


class Hooks:
    """A subscriber that starts the configured command of an event. A command that cannot be started raises at once.

    A command that fails later is raised with the next event, because nobody waits for it.
    """

    def __init__(self, commands: Mapping[str, tuple[str, ...]], recipe: RecipeRef, *, limit: float = LIMIT_S) -> None:
        self._commands = dict(commands)
        self._limit = limit
        self._recipe = recipe
        self._failures: list[tuple[int, str]] = []
        self._threads: list[threading.Thread] = []

    def __call__(self, run_id: str, record: Record) -> None:
        kind = wire_name(type(record.event))
        argv = self._commands.get(kind)
        if argv is not None:
            line = canonical(wire(record, run_id=run_id, name=self._recipe.name, version=self._recipe.version)) + b"\n"
            process = subprocess.Popen(
                [*argv, kind],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is meant for the run
            )
            thread = threading.Thread(target=self._finish, args=(process, line, argv[0], record.seq), daemon=True)
            thread.start()
            self._threads.append(thread)
        if self._failures:
            raise RuntimeError(self._failures.pop(0)[1])

    def close(self) -> Sequence[tuple[int, str]]:
        """Give every hook that is under way the rest of its time; the failures that nothing has raised yet, each with its seq."""
        end = time.monotonic() + self._limit + 1
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return tuple(self._failures)

    def _finish(self, process: subprocess.Popen[bytes], line: bytes, name: str, seq: int) -> None:
        try:
            process.communicate(line, timeout=self._limit)
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._failures.append((seq, f"hook {name} was ended after {self._limit:g} s"))
            return
        if process.returncode != 0:
            self._failures.append((seq, f"hook {name} ended with {process.returncode}"))
