"""What a container left: the engine's word on how it ended, and the runner's records, read with suspicion.

The sandbox can write every file of `out_dir`, so a record only explains; the verdict is the exit code of PID 1, which no
step code can touch. Files are opened without following a link, must be regular with one name, and are read to a limit.
Refuses to say what an end means: that is `domain.policy.classify`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from wfconsole.ports import CommandEnd, SandboxEnd, SandboxHandle, SandboxSpec
from wfconsole.sandbox import marks, runner

_RECORD = re.compile(rb"(\d{1,3}) (\d{1,15}) (\d{1,15})\n")
_START = re.compile(rb"(\d{1,15})\n")
_ERRORS = frozenset({b"COMMAND_NOT_FOUND", b"POLICY_BLOCKED", b"SPAWN_ERROR"})
_FULL = 1024**2
_OUTSIDE = (137, 255)
"""What the engine says of a container that was killed, and of one that was gone when the engine came back."""


def read_regular(folder: Path, name: str, limit: int) -> bytes | None:
    """At most `limit` bytes of a plain file directly in `folder`; None when there is none of that kind."""
    if "/" in name:
        raise ValueError(name)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        top = os.open(folder, flags | os.O_DIRECTORY)
    except OSError:
        return None
    try:
        descriptor = os.open(name, flags | os.O_NONBLOCK, dir_fd=top)
    except OSError:
        return None
    finally:
        os.close(top)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            return None
        return os.read(descriptor, limit)
    finally:
        os.close(descriptor)


def output_bytes(spec: SandboxSpec) -> int:
    """How much the commands have written to stdout and stderr so far."""
    total = 0
    for index in range(len(spec.commands)):
        for stream in ("stdout", "stderr"):
            try:
                found = (spec.out_dir / f"{index}.{stream}").lstat()
            except OSError:
                continue
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total


def collect(handle: SandboxHandle, state: Mapping[str, Any] | None) -> SandboxEnd:
    """The end of a container; `state` is the engine's State, None when the container is gone."""
    spec = handle.spec
    go = marks.read(spec.in_dir, marks.GO)
    begun = go is not None and go.word == marks.BEGIN
    commands = tuple(filter(None, (_command(spec, index) for index in range(len(spec.commands)))))
    started = begun and (read_regular(spec.out_dir, "started", 1) is not None or bool(commands))
    finished_at = _when(state.get("FinishedAt")) if state else None
    exit_code = int(state["ExitCode"]) if state and finished_at is not None else None
    oom = bool(state and state.get("OOMKilled"))
    ended_by = _ended_by(spec, finished_at)
    return SandboxEnd(
        started=started,
        exit_code=exit_code,
        commands=commands,
        oom_killed=oom,
        ended_by=ended_by,
        lost=ended_by is None and _lost(exit_code, commands, begun=begun, started=started, oom=oom),
        error=_error(spec, exit_code, state),
        started_at=go.at if begun and go else None,
        finished_at=finished_at,
    )


def _command(spec: SandboxSpec, index: int) -> CommandEnd | None:
    start = _START.fullmatch(read_regular(spec.out_dir, f"{index}.start", 64) or b"")
    record = _RECORD.fullmatch(read_regular(spec.out_dir, f"{index}.exit", 64) or b"")
    if not start and not record:
        return None
    error = (read_regular(spec.out_dir, f"{index}.error", 64) or b"").strip()
    return CommandEnd(
        index=index,
        exit_code=int(record[1]) if record else None,
        started_at=int(record[2]) if record else int(start[1]) if start else None,
        finished_at=int(record[3]) if record else None,
        error=error.decode() if error in _ERRORS and record and int(record[1]) != 0 else None,
    )


def _ended_by(spec: SandboxSpec, finished_at: int | None) -> Any:
    """Ours, unless the container had ended by itself before we meant to end it."""
    mark = marks.read(spec.in_dir, marks.STOP)
    if mark is not None and (finished_at is None or mark.at <= finished_at):
        return mark.word
    return "output_limit" if output_bytes(spec) > spec.limits.output_bytes else None


def _lost(exit_code: int | None, commands: tuple[CommandEnd, ...], *, begun: bool, started: bool, oom: bool) -> bool:
    if exit_code is None or not begun or (exit_code == 0 and not started):
        return True
    recorded = {command.exit_code for command in commands}
    if exit_code == runner.RESTARTED:
        return exit_code not in recorded
    return exit_code in _OUTSIDE and not oom and exit_code not in recorded


def _error(spec: SandboxSpec, exit_code: int | None, state: Mapping[str, Any] | None) -> str | None:
    if exit_code:
        try:
            room = os.statvfs(spec.out_dir)
        except OSError:
            return None
        if room.f_bavail * room.f_frsize < _FULL:
            return "DISK_FULL"
    return str(state.get("Error") or "") or None if state else None


def _when(text: object) -> int | None:
    """The engine's timestamp in milliseconds since the epoch; it writes the year 1 for never."""
    if not isinstance(text, str) or text.startswith("0001"):
        return None
    return int(datetime.fromisoformat(text).timestamp() * 1000)
