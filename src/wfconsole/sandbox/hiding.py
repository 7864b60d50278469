"""Output of a sandbox that knows secrets: it lies on the host's tmpfs, and only its redacted form reaches the attempt's folder.

Owns the way from the one folder to the other. Refuses to know where secrets come from. What would surprise: whoever takes an
attempt over begins at the first byte again; the result is the same, so it is written over what its dead owner has left.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from wfconsole.domain.redact import Redactor
from wfconsole.ports import SandboxHandle, SandboxSpec
from wfconsole.sandbox import folders

CHUNK = 1024**2
RECORD_BYTES = 64
RESULT = "output.json"
RESULT_BYTES = 16 * 1024**2
OVER = 16 * 1024**2
"""How much more than the output limit of one stream is taken, when a step writes faster than it is stopped."""


def is_hidden(spec: SandboxSpec) -> bool:
    return bool(spec.hide or spec.secrets) or spec.withheld is not None


def inner(spec: SandboxSpec, name: str) -> SandboxSpec:
    """The attempt as its container has it: what it writes must not reach a disk."""
    return replace(spec, out_dir=folders.raw_folder(name)) if is_hidden(spec) else spec


def inside(handle: SandboxHandle) -> SandboxHandle:
    return replace(handle, spec=inner(handle.spec, handle.name))


@dataclass(slots=True)
class _Stream:
    """One growing file: how much was read of it and how much written."""

    redactor: Redactor
    read: int = 0
    written: int = 0


class Pump:
    """Brings the output of one attempt from the tmpfs to its folder, as it grows. Blocking; one call at a time."""

    def __init__(self, spec: SandboxSpec, name: str) -> None:
        self._spec = spec
        self._raw = folders.raw_folder(name)
        self._values = (*spec.hide, *spec.secrets.values(), *_given(name))
        self._streams: dict[str, _Stream] = {}

    def step(self) -> None:
        """Everything that there is now, but for what could be the beginning of a secret."""
        if self._spec.withheld is None:
            for name in self._names():
                self._advance(name)

    def finish(self) -> int:
        """The rest, the runner's records and the step's result; how many places were hidden. Nothing may be written any more."""
        hidden = 0
        for index in range(len(self._spec.commands)):
            for record in ("start", "exit", "error"):
                self._copy(f"{index}.{record}", RECORD_BYTES)
        self._copy("started", RECORD_BYTES)
        if self._spec.withheld is None:
            self.step()
            hidden += self._copy(RESULT, RESULT_BYTES)
            for name, stream in self._streams.items():
                self._write(name, stream, stream.redactor.finish())
                with self._target(name) as target:
                    os.ftruncate(target, stream.written)
                hidden += stream.redactor.count
        return hidden

    def _names(self) -> Iterator[str]:
        for index in range(len(self._spec.commands)):
            yield from (f"{index}.stdout", f"{index}.stderr")

    def _advance(self, name: str) -> None:
        with _regular(self._raw, name) as source:
            if source is None:
                return
            stream = self._streams.get(name) or _Stream(Redactor(self._values))
            self._streams[name] = stream
            limit = self._spec.limits.output_bytes + OVER
            while stream.read < limit and (chunk := os.pread(source, CHUNK, stream.read)):
                stream.read += len(chunk)
                self._write(name, stream, stream.redactor.feed(chunk))
            if not stream.read:
                self._write(name, stream, b"")

    def _write(self, name: str, stream: _Stream, data: bytes) -> None:
        with self._target(name) as target:
            while data:
                data = data[(done := os.pwrite(target, data, stream.written)) :]
                stream.written += done

    def _copy(self, name: str, limit: int) -> int:
        with _regular(self._raw, name) as source:
            if source is None:
                return 0
            redactor, data, at = Redactor(self._values), b"", 0
            while at <= limit and (chunk := os.pread(source, min(CHUNK, limit + 1 - at), at)):
                data += redactor.feed(chunk)
                at += len(chunk)
            data += redactor.finish()
        with self._target(name) as target:
            os.ftruncate(target, 0)
            os.pwrite(target, data, 0)
        return redactor.count

    @contextmanager
    def _target(self, name: str) -> Iterator[int]:
        flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self._spec.out_dir / name, flags, 0o644)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


@contextmanager
def _regular(folder: Path, name: str) -> Iterator[int | None]:
    """A plain file of one name directly in `folder`, which the sandbox can write; None when there is none of that kind."""
    try:
        descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        found = os.fstat(descriptor)
        yield descriptor if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 else None
    finally:
        os.close(descriptor)


def _given(name: str) -> Iterator[bytes]:
    """The very values that the container has been given: they may have been changed at their source since."""
    folder = folders.secrets_folder(name)
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            yield path.read_bytes()
