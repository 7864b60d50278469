"""Trees of a workspace in its trusted git folder, and the difference of two.

Refuses to run git over the files themselves: the host opens each file beneath the workspace and streams it to ``git
fast-import``. The decision that would surprise: there is no index and no ``git add``. That command stops at a nested
repository without a commit, records one with a commit as a mere link, and would read settings from the workspace.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wfconsole.workspace.beneath import Entry, open_file, open_root, opened, read_chunks, shown, walk
from wfconsole.workspace.git import Git, invalid

_ATTRIBUTES = b"* -text -eol -ident -filter -working-tree-encoding !diff !merge\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotLimits:
    """How much a workspace may hold; beyond it a snapshot is refused with a sentence."""

    files: int = 500_000
    total_bytes: int = 16 * 1024**3
    depth: int = 128
    diff_bytes: int = 512 * 1024**2


def make_trusted(git: Git) -> None:
    """Make the trusted git folder, empty and bare, with bytes kept exactly."""
    git.git_dir.mkdir(parents=True)
    git.run("init", "--quiet", "--bare", "--template=", "--initial-branch=none")
    info = git.git_dir / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_bytes(_ATTRIBUTES)


def take(git: Git, workspace: Path, limits: SnapshotLimits) -> str:
    """Write what lies in `workspace` as a tree and return its id. Files named ``.git`` are left out."""
    ref = f"refs/snapshots/{uuid.uuid4().hex}"
    words = ("fast-import", "--quiet", "--force", "--depth=0", "--date-format=raw")
    with git.started(*words, settings=("core.bigFileThreshold=1m",)) as process:
        assert process.stdin is not None  # noqa: S101 (started with a pipe)
        process.stdin.write(f"commit {ref}\ncommitter wfconsole <> 0 +0000\ndata 0\n".encode())
        _stream(process.stdin, workspace, limits)
        process.stdin.write(b"done\n")
    return git.run("rev-parse", "--verify", f"{ref}^{{tree}}").decode().strip()


def difference(git: Git, before: str, after: str, limits: SnapshotLimits) -> bytes | None:
    """The patch from tree `before` to tree `after` as ``git apply`` takes it; None when they are equal."""
    if before == after:
        return None
    words = ("diff-tree", "-r", "-p", "--binary", "--full-index", "--no-ext-diff", "--no-textconv", "--no-renames",
             "--no-color", "--src-prefix=a/", "--dst-prefix=b/", before, after)  # fmt: skip
    with git.started(*words) as process:
        assert process.stdout is not None  # noqa: S101 (started with a pipe)
        patch = process.stdout.read(limits.diff_bytes + 1)
        if len(patch) > limits.diff_bytes:
            raise invalid(
                f"The run's change is larger than {limits.diff_bytes} bytes and is not recorded as a diff.",
                "Keep large generated files out of the workspace, for instance in /scratch.",
            )
    return patch


def _stream(out: IO[bytes], workspace: Path, limits: SnapshotLimits) -> None:
    count = total = 0
    with opened(open_root(workspace)) as root:
        for entry in walk(root, depth=limits.depth, refuse=_refuse):
            if entry.is_git:
                continue
            if entry.is_link:
                _put(out, b"120000", entry.path, entry.target())
            elif entry.is_file:
                total += _stream_file(out, entry)
            count += 1
            if count > limits.files or total > limits.total_bytes:
                raise invalid(
                    f"The workspace holds more than {limits.files} files or {limits.total_bytes} bytes.",
                    "Let the commands clean up after themselves, or write to /scratch.",
                )


def _stream_file(out: IO[bytes], entry: Entry) -> int:
    if entry.is_sparse:
        raise invalid(f"{shown(entry.path)} in the workspace is a huge file full of holes.", "Remove it.")
    try:
        descriptor = open_file(entry.folder, entry.name)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise invalid(f"{shown(entry.path)} in the workspace cannot be read: {reason}.", "Make it readable.") from error
    with opened(descriptor):
        info = os.fstat(descriptor)
        mode = b"100755" if info.st_mode & 0o111 else b"100644"
        out.write(b"M %b inline %b\ndata %d\n" % (mode, _quoted(entry.path), info.st_size))
        for chunk in read_chunks(descriptor, info.st_size):
            out.write(chunk)
        out.write(b"\n")
    return info.st_size


def _put(out: IO[bytes], mode: bytes, path: bytes, data: bytes) -> None:
    out.write(b"M %b inline %b\ndata %d\n%b\n" % (mode, _quoted(path), len(data), data))


def _quoted(path: bytes) -> bytes:
    """A path as fast-import reads it back byte by byte."""
    plain = all(byte >= 0x20 and byte not in b'"\\\x7f' for byte in path)
    return b'"%b"' % (path if plain else b"".join(b"\\%03o" % byte for byte in path))


def _refuse(path: bytes, reason: str) -> None:
    raise invalid(f"The folder {shown(path)} in the workspace {reason}.", "Remove it or make it readable.")
