"""Hooks: the operator's own commands, called when a run needs somebody (desktop, mail, chat: whatever the script does).

Each gets the event as one JSON line on stdin, its type as the only argument and what a one-line script needs in WFCONSOLE_*
variables. It runs without a shell and with a time limit, and its failure is a failure of its event channel, never of the run.
Refuses to know what hooks do. The decision that would surprise: whoever lets go of a run waits for its hooks, because a run that
stops at a gate is when they are called.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress

from wfconsole.domain.codec import canonical, iso, wire
from wfconsole.domain.events import ApprovalExpired, ApprovalRequested, Record, RunFailed, wire_name
from wfconsole.domain.plan import RecipeRef

LIMIT_S = 10.0


class Hooks:
    """A subscriber that starts the configured command of an event. A command that cannot be started raises at once.

    A command that fails later is raised with the next event, because nobody waits for it. `journal` is what was recorded before:
    it has the titles of the gates that are open.
    """

    def __init__(
        self,
        commands: Mapping[str, tuple[str, ...]],
        recipe: RecipeRef,
        *,
        journal: Sequence[Record] = (),
        limit: float = LIMIT_S,
    ) -> None:
        self._gates: dict[str, ApprovalRequested] = {}
        for record in journal:
            self._note(record)
        self._commands = dict(commands)
        self._limit = limit
        self._recipe = recipe
        self._failures: list[tuple[int, str]] = []
        self._threads: list[threading.Thread] = []

    def __call__(self, run_id: str, record: Record) -> None:
        self._note(record)
        argv = None if is_told(record) else self._commands.get(wire_name(type(record.event)))
        if argv is not None:
            process, line = self._begin(argv, run_id, record)
            thread = threading.Thread(target=self._finish, args=(process, line, argv[0], record.seq), daemon=True)
            thread.start()
            self._threads.append(thread)
        if "approval_expired" not in self._commands:
            nobody_listens(run_id, record)
        if self._failures:
            raise RuntimeError(self._failures.pop(0)[1])

    def _note(self, record: Record) -> None:
        if isinstance(record.event, ApprovalRequested):
            self._gates[record.event.gate_id] = record.event

    def tell(self, run_id: str, record: Record) -> str | None:
        """Call the hook of this event and wait for its end; what went wrong, or None. Blocking."""
        kind = wire_name(type(record.event))
        argv = self._commands.get(kind)
        if argv is None:
            return f"no hook is set for {kind}"
        try:
            process, line = self._begin(argv, run_id, record)
        except OSError as error:
            return f"hook {argv[0]} could not be started: {error}"
        return _end(process, line, argv[0], self._limit)

    def close(self) -> Sequence[tuple[int, str]]:
        """Give every hook that is under way the rest of its time; the failures that nothing has raised yet, each with its seq."""
        end = time.monotonic() + self._limit + 1
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        return tuple(self._failures)

    def _begin(self, argv: tuple[str, ...], run_id: str, record: Record) -> tuple[subprocess.Popen[bytes], bytes]:
        line = canonical(wire(record, run_id=run_id, name=self._recipe.name, version=self._recipe.version)) + b"\n"
        process = subprocess.Popen(
            [*argv, wire_name(type(record.event))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **self._variables(run_id, record)},
            start_new_session=True,  # Ctrl-C is meant for the run
        )
        return process, line

    def _variables(self, run_id: str, record: Record) -> dict[str, str]:
        """What a one-line script needs, as WFCONSOLE_* variables; without those that this event has nothing for."""
        event = record.event
        found: dict[str, str | None] = {
            "EVENT": wire_name(type(event)),
            "RUN_ID": run_id,
            "RECIPE": self._recipe.name,
            "STEP_ID": getattr(event, "step_id", None),
        }
        gate = self._gates.get(str(getattr(event, "gate_id", None)))
        if gate is not None:
            found.update(GATE_ID=gate.gate_id, TITLE=gate.title, EXPIRES_AT=iso(gate.expires_at))
        if isinstance(event, ApprovalExpired):
            found.update(GATE_ID=event.gate_id, ACTION=event.action)
        if isinstance(event, RunFailed):
            found.update(STEP_ID=event.failure.step_id, TITLE=f"{event.failure.code}: {event.failure.message}")
        return {f"WFCONSOLE_{name}": text.replace("\0", "") for name, text in found.items() if text is not None}

    def _finish(self, process: subprocess.Popen[bytes], line: bytes, name: str, seq: int) -> None:
        problem = _end(process, line, name, self._limit)
        if problem is not None:
            self._failures.append((seq, problem))


def nobody_listens(_run_id: str, record: Record) -> None:
    """A subscriber for want of the hook approval_expired: says so as soon as a gate opens that relies on it."""
    event = record.event
    if isinstance(event, ApprovalRequested) and event.on_timeout == "cancel_and_notify":
        raise LookupError(f"nobody will be told when {event.gate_id} expires: config.toml has no hook approval_expired")


def is_told(record: Record) -> bool:
    """Is this the expiry of a gate whose hook the run itself waits for, and puts on record?"""
    return isinstance(record.event, ApprovalExpired) and record.event.action == "cancel_and_notify"


def _end(process: subprocess.Popen[bytes], line: bytes, name: str, limit: float) -> str | None:
    try:
        process.communicate(line, timeout=limit)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"hook {name} was ended after {limit:g} s"
    return None if process.returncode == 0 else f"hook {name} ended with {process.returncode}"
