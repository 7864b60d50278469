"""The whole diff of a card as a file on disk: what changed in it, and the lines of one change at a time.

Owns that what is shown is what the card's digest covers: a file of another sum is refused. Refuses to draw. The decision that
would surprise: the patch is read once to find its files and let go; lines are read from disk when they come on the screen.
"""

from __future__ import annotations

import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wfconsole.domain.plan import Json
from wfconsole.ports import WfconsoleError
from wfconsole.views.diff import DiffLimits, parse
from wfconsole.views.patch_lines import CHUNK, PatchLines, index_lines
from wfconsole.views.secrets import masked

Fetch = Callable[[int, int], bytes]
"""``fetch(offset, length)``: that piece of the patch."""

SMALL = 512 * 1024
"""Up to so many bytes of one file are indexed at once, without a thread."""
_MARKS = {"added": "A", "deleted": "D", "modified": "M", "renamed": "R", "mode": "M"}
_KEPT = 32
_BEFORE = 80
"""Lines that are looked at before those wanted: a private key that began there is hidden here, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One file of the patch: its name, what became of it, and where its hunks lie. `note`: why there is nothing to show."""

    name: str
    status: str
    added: int = 0
    removed: int = 0
    spans: tuple[tuple[int, int], ...] = ()
    note: str = ""
    cut: bool = False

    @property
    def mark(self) -> str:
        return _MARKS.get(self.status, "?")

    @property
    def bytes(self) -> int:
        return sum(end - start for start, end in self.spans)


class FileText:
    """The lines of one change. Masked: what looks like a secret is never drawn."""

    def __init__(self, index: PatchLines, fetch: Fetch) -> None:
        self.index = index
        self._fetch = fetch
        self._chunks: OrderedDict[int, list[str]] = OrderedDict()

    def line(self, number: int) -> str:
        """The line with its sign, without its end; what is no UTF-8 as lone surrogates. At most 16 KiB of it."""
        first, offset, length = self.index.chunk(number)
        if first not in self._chunks:
            self._chunks[first] = self._read(first, offset, length)
            if len(self._chunks) > _KEPT:
                self._chunks.popitem(last=False)
        self._chunks.move_to_end(first)
        lines = self._chunks[first]
        return lines[number - first] if number - first < len(lines) else ""

    def _read(self, first: int, offset: int, length: int) -> list[str]:
        before: list[str] = []
        at = first
        while at > 0 and len(before) < _BEFORE:
            at, start, size = self.index.chunk(at - 1)
            before = [*self._raw(start, size), *before]
        mine = self._raw(offset, length)
        return masked([*before, *mine])[len(before) :]

    def _raw(self, offset: int, length: int) -> list[str]:
        data = self._fetch(offset, min(length, CHUNK))
        lines = [line.decode("utf-8", "surrogateescape") for line in data.removesuffix(b"\n").split(b"\n")]
        if length > CHUNK:
            lines[-1] += f" ... {length - CHUNK} bytes more"
        return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """All changes, and how their bytes are read. `whole`: nothing was left out of it."""

    files: tuple[Changed, ...]
    fetch: Fetch
    whole: bool = True

    def open(self, place: int) -> FileText:
        """The lines of one file. Takes as long as the file is large: above SMALL call it in a thread."""
        changed = self.files[place]
        if not changed.spans:
            return FileText(index_lines(b"", ()), self.fetch)
        start, end = changed.spans[0][0], changed.spans[-1][1]
        data = self.fetch(start, end - start)
        near = [(low - start, high - start) for low, high in changed.spans]
        return FileText(index_lines(data, near), lambda offset, length: self.fetch(start + offset, length))


def sampled(diff: Mapping[str, Json]) -> Patch:
    """What the context itself repeats of the diff."""
    data = bytearray()
    files = []
    for change in diff.get("files") or ():
        start = len(data)
        data += _encoded("".join(f"{line}\n" for line in change.get("sample") or ()))
        spans = ((start, len(data)),) if len(data) > start else ()
        files.append(_changed(change, spans))
    content = bytes(data)
    return Patch(
        files=tuple(files), fetch=lambda at, length: content[at : at + length], whole=not diff.get("truncated"),
    )  # fmt: skip


def _encoded(text: str) -> bytes:
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _changed(change: Mapping[str, Json], spans: tuple[tuple[int, int], ...]) -> Changed:
    name = f"{change['old_path']} -> {change['path']}" if change.get("old_path") else str(change["path"])
    note = "binary: its content is not shown" if change.get("binary") else "" if spans else "no line of it differs"
    if not spans and change.get("cut"):
        note = "its lines are in the artifact only"
    return Changed(
        name=name, status=str(change.get("status")), added=int(change.get("added") or 0),
        removed=int(change.get("removed") or 0), spans=spans, note=note, cut=bool(change.get("cut")),
    )  # fmt: skip


def load(path: Path, sha256: str) -> Patch:
    """Read and check the artifact; takes as long as it is large: call it in a thread. Raises CONTEXT_INCOMPLETE."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WfconsoleError(
            "CONTEXT_INCOMPLETE", f"the diff cannot be read: {error.strerror}", "see doctor"
        ) from error
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WfconsoleError(
            "CONTEXT_INCOMPLETE", "the stored diff is not the one that this card is about", "see audit"
        )
    summary, hunks = parse(data, DiffLimits(lines=0))
    left = list(reversed(hunks))
    files = []
    for change in summary.files:
        spans: list[tuple[int, int]] = []
        while left and left[-1].path == change.path:
            found = left.pop()
            spans.append((found.start, found.end))
        told = {"path": change.path, "old_path": change.old_path, "status": change.status, "binary": change.binary,
                "added": change.added, "removed": change.removed}  # fmt: skip
        files.append(_changed(told, _ordered(spans)))
    return Patch(files=tuple(files), fetch=lambda at, length: _pread(path, at, length))


def _ordered(spans: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    return tuple(sorted(spans))


def _pread(path: Path, at: int, length: int) -> bytes:
    with path.open("rb", buffering=0) as file:
        return os.pread(file.fileno(), length, at)
