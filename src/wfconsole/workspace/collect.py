"""Artifacts out of a workspace that hostile code wrote, and small files that the engine reads from it.

Owns the limits and the sentences of refusal. Opens nothing by a whole path: see `beneath`. The decision that would
surprise: a file's bytes are taken into a private copy first and everything else is done with that copy, so that what
was checked is what is stored, whatever still runs in the sandbox.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wfconsole.domain.records import ArtifactKind, ArtifactRecord
from wfconsole.ports import Artifacts, Collected, RunFolder, Screen, WfconsoleError
from wfconsole.workspace.beneath import (
    CHUNK,
    Entry,
    open_file,
    open_folder,
    open_root,
    opened,
    parts,
    read_chunks,
    shown,
    walk,
)
from wfconsole.workspace.patterns import Pattern, parse

_TYPES = {
    ".csv": "text/csv", ".diff": "text/x-diff", ".html": "text/html", ".json": "application/json", ".log": "text/plain",
    ".md": "text/markdown", ".patch": "text/x-diff", ".png": "image/png", ".sarif": "application/sarif+json",
    ".svg": "image/svg+xml", ".txt": "text/plain", ".xml": "application/xml", ".yaml": "application/yaml",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectLimits:
    """How much one collection may take, in files, bytes and levels of folders. `entries` bounds what is looked at."""

    files: int = 1000
    total_bytes: int = 1024**3
    file_bytes: int = 256 * 1024**2
    depth: int = 32
    entries: int = 1_000_000


@dataclass(slots=True)
class _Taken:
    """What has been taken so far: (relative path, private copy), and what was refused."""

    files: list[tuple[bytes, Path]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    total: int = 0


class FileCollector:
    """`ports.Collector` over a content store. Host work is done in threads; collections may overlap."""

    def __init__(self, *, artifacts: Artifacts, limits: CollectLimits | None = None) -> None:
        self._artifacts = artifacts
        self._limits = limits or CollectLimits()

    async def collect(
        self,
        *,
        folder: RunFolder,
        step_id: str,
        attempt: int,
        patterns: Sequence[str],
        kind: ArtifactKind = "file",
        root: Path | None = None,
        screen: Screen | None = None,
    ) -> Collected:
        """See `ports.Collector`. A pattern that matches nothing is told among the refusals as well."""
        wanted: list[Pattern] = []
        refused: list[str] = []
        for text in patterns:
            found = parse(text)
            if isinstance(found, str):
                refused.append(found)
            else:
                wanted.extend(found)
        folder.root.mkdir(parents=True, exist_ok=True)
        records: dict[str, ArtifactRecord] = {}
        with tempfile.TemporaryDirectory(prefix="collect-", dir=folder.root) as private:
            taken = await asyncio.to_thread(_take, root or folder.workspace, wanted, Path(private), self._limits)
            if screen is not None:
                await asyncio.to_thread(_screen, taken, screen)
            for path, copy in taken.files:
                name = shown(path)
                if name in records:
                    taken.refused.append(f"A second file that reads as {name} was not taken.")
                    continue
                sha256, size = await self._artifacts.put_file(copy)
                where = folder.artifacts / step_id
                problem = await asyncio.to_thread(_lay_out, self._artifacts.path(sha256), where, path)
                if problem is not None:
                    taken.refused.append(problem)
                records[name] = ArtifactRecord(
                    artifact_id=f"{step_id}#{attempt}/{name}",
                    step_id=step_id,
                    attempt=attempt,
                    name=name,
                    kind=kind,
                    sha256=sha256,
                    bytes=size,
                    media_type=_TYPES.get(Path(name).suffix.lower()),
                )
        return Collected(artifacts=tuple(records.values()), refused=(*refused, *taken.refused))

    async def read(self, *, root: Path, path: str, limit: int) -> bytes | None:
        """See `ports.Collector`."""
        return await asyncio.to_thread(_read, root, path, limit)


def _screen(taken: _Taken, screen: Screen) -> None:
    """Leave of what was taken what may be stored."""
    kept = []
    for path, copy in taken.files:
        if screen.finds(path):
            taken.refused.append("A file whose name holds a secret, or may hold one, was not taken.")
            continue
        problem = screen.file(copy)
        if problem is None:
            kept.append((path, copy))
        else:
            taken.refused.append(f"{shown(path)} {problem} and was not taken.")
    taken.files = kept


def _take(workspace: Path, wanted: list[Pattern], private: Path, limits: CollectLimits) -> _Taken:
    taken = _Taken()
    matched: set[str] = set()
    if wanted and workspace.is_dir():
        with opened(open_root(workspace)) as root:
            for entry in _meant(root, wanted, matched, taken, limits):
                if not _take_one(entry, private, taken, limits):
                    break
    for text in dict.fromkeys(pattern.text for pattern in wanted):
        if text not in matched:
            taken.refused.append(f"No file matches the artifact pattern {text}.")
    return taken


def _meant(
    root: int, wanted: list[Pattern], matched: set[str], taken: _Taken, limits: CollectLimits
) -> Iterator[Entry]:
    """Entries that are no folders and that a pattern means; marks the patterns that matched."""

    def enter(entry: Entry) -> bool:
        return any(pattern.may_match_below(entry.path) for pattern in wanted)

    def refuse(path: bytes, reason: str) -> None:
        taken.refused.append(f"The folder {shown(path)} {reason}; nothing in it was taken.")

    for count, entry in enumerate(walk(root, depth=limits.depth, refuse=refuse, enter=enter), start=1):
        if count > limits.entries:
            taken.refused.append(f"Only the first {limits.entries} entries of the workspace were looked at.")
            return
        if entry.is_folder:
            continue
        found = [pattern.text for pattern in wanted if pattern.matches(entry.path)]
        if found:
            matched.update(found)
            yield entry


def _take_one(entry: Entry, private: Path, taken: _Taken, limits: CollectLimits) -> bool:
    """Copy one file into `private`, or refuse it; False when no further one may be taken."""
    if len(taken.files) >= limits.files:
        taken.refused.append(f"Only the first {limits.files} artifacts were taken, up to {shown(taken.files[-1][0])}.")
        return False
    if not entry.is_file:
        taken.refused.append(f"{shown(entry.path)} is {_sort(entry.info)} and was not taken.")
        return True
    try:
        with opened(open_file(entry.folder, entry.name)) as descriptor:
            info = os.fstat(descriptor)
            problem = _problem(info, limits.file_bytes)
            if problem is None and taken.total + info.st_size > limits.total_bytes:
                problem = f"would make the step's artifacts larger than {limits.total_bytes} bytes"
            if problem is not None:
                taken.refused.append(f"{shown(entry.path)} {problem} and was not taken.")
                return True
            copy = private / str(len(taken.files))
            _copy_out(descriptor, info.st_size, copy)
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise WfconsoleError(
                "DISK_FULL", "The disk is full (taking artifacts).", "Free space, or run gc."
            ) from error
        reason = error.strerror or str(error)
        taken.refused.append(f"{shown(entry.path)} could not be read ({reason}) and was not taken.")
        return True
    taken.files.append((entry.path, copy))
    taken.total += info.st_size
    return True


def _problem(info: os.stat_result, limit: int) -> str | None:
    """What is wrong with an opened file; None when it may be read."""
    if not stat.S_ISREG(info.st_mode):
        return f"is {_sort(info)}"
    if info.st_nlink != 1:
        return "has other names (hard links)"
    if info.st_size > limit or info.st_blocks * 512 > limit + CHUNK:
        return f"is larger than {limit} bytes"
    return None


def _sort(info: os.stat_result) -> str:
    sorts = {
        stat.S_IFLNK: "a link", stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket",
        stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    }  # fmt: skip
    return sorts.get(stat.S_IFMT(info.st_mode), "no regular file")


def _copy_out(descriptor: int, size: int, copy: Path) -> None:
    with copy.open("xb") as out:
        for chunk in read_chunks(descriptor, size):
            out.write(chunk)


def _lay_out(content: Path, folder: Path, path: bytes) -> str | None:
    """Put a read-only copy at `path` beneath the step's artifact folder; a sentence when the file system refuses.

    A copy and no hard link: a link would let a change of one change the content store.
    """
    target = folder / os.fsdecode(path)
    partial = target.with_name(f".partial-{os.urandom(8).hex()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(content, partial)
        partial.chmod(0o444)
        partial.replace(target)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise WfconsoleError(
                "DISK_FULL", "The disk is full (taking artifacts).", "Free space, or run gc."
            ) from error
        return f"{shown(path)} is stored, but could not be laid out in the bundle ({error.strerror})."
    return None


def _read(root: Path, path: str, limit: int) -> bytes | None:
    found = parts(os.fsencode(path))
    if found is None:
        raise _unusable(path, "is not a path inside the workspace")
    try:
        with opened(open_root(root)) as top, opened(open_folder(top, found[:-1])) as folder:
            return _read_file(folder, found[-1], path, limit)
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        raise _unusable(path, "lies below a link or a file") from error
    except OSError as error:
        raise _unusable(path, f"cannot be read ({error.strerror or error})") from error


def _read_file(folder: int, name: bytes, path: str, limit: int) -> bytes:
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if not stat.S_ISREG(info.st_mode):
        raise _unusable(path, f"is {_sort(info)}")
    with opened(open_file(folder, name)) as descriptor:
        info = os.fstat(descriptor)
        problem = _problem(info, limit)
        if problem is not None:
            raise _unusable(path, problem)
        return b"".join(read_chunks(descriptor, info.st_size))


def _unusable(path: str, reason: str) -> WfconsoleError:
    name = shown(os.fsencode(path))
    return WfconsoleError("OUTPUT_INVALID", f"{name} {reason}.", "Write it as an ordinary file inside the workspace.")
