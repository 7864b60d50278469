"""Trees of a workspace in its trusted git folder, and the difference of two.

Refuses to run git over the files themselves: the host opens each file beneath the workspace and streams it to ``git
fast-import``. The decision that would surprise: there is no index and no ``git add``. That command stops at a nested
repository without a commit, records one with a commit as a mere link, and would read settings from the workspace.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
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
    with _alone(git), git.started(*words, settings=("core.bigFileThreshold=1m",)) as process:
        assert process.stdin is not None  # noqa: S101 (started with a pipe)
        process.stdin.write(f"commit {ref}\ncommitter wfconsole <> 0 +0000\ndata 0\n".encode())
        _stream(process.stdin, workspace, limits)
        process.stdin.write(b"done\n")
    return git.run("rev-parse", "--verify", f"{ref}^{{tree}}").decode().strip()


@contextmanager
def _alone(git: Git) -> Iterator[None]:
    """Two of git's importers that write the same objects at once would meet in one pack's name, and one of them fails."""
    with opened(os.open(git.git_dir / "taking", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield


def note_folders(git_dir: Path, tree: str, workspace: Path, limits: SnapshotLimits) -> None:
    """Write down the folders of `workspace`, beside its tree: the tree leaves out the empty ones."""
    place = _folders(git_dir, tree)
    place.parent.mkdir(exist_ok=True)
    draft = place.with_suffix(f".{uuid.uuid4().hex}")
    draft.write_bytes(b"\0".join(list_folders(workspace, limits)))
    draft.replace(place)


def list_folders(workspace: Path, limits: SnapshotLimits) -> list[bytes]:
    """Every folder beneath `workspace`, those above before those within; none that is named ``.git``."""
    with opened(open_root(workspace)) as root:
        return [
            entry.path
            for entry in walk(root, depth=limits.depth, refuse=refuse)
            if entry.is_folder and not entry.is_git
        ]


def noted_folders(git_dir: Path, tree: str) -> list[bytes]:
    """What `note_folders` wrote of this tree."""
    place = _folders(git_dir, tree)
    return [path for path in place.read_bytes().split(b"\0") if path] if place.exists() else []


def _folders(git_dir: Path, tree: str) -> Path:
    return git_dir / "folders" / tree


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
        for entry in walk(root, depth=limits.depth, refuse=refuse):
            if entry.is_git:
                continue
            if entry.is_link:
                put_link(out, entry.path, entry.target())
            elif entry.is_file:
                total += put_file(out, entry)
            count += 1
            if count > limits.files or total > limits.total_bytes:
                raise invalid(
                    f"The workspace holds more than {limits.files} files or {limits.total_bytes} bytes.",
                    "Let the commands clean up after themselves, or write to /scratch.",
                )


def put_file(out: IO[bytes], entry: Entry) -> int:
    """Write a file into the stream of `git fast-import`; its size. Raises WORKSPACE_INVALID for one that cannot be read."""
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
        out.write(b"M %b inline %b\ndata %d\n" % (mode, quoted(entry.path), info.st_size))
        for chunk in read_chunks(descriptor, info.st_size):
            out.write(chunk)
        out.write(b"\n")
    return info.st_size


def put_link(out: IO[bytes], path: bytes, target: bytes) -> None:
    """Write a link into the stream."""
    out.write(b"M 120000 inline %b\ndata %d\n%b\n" % (quoted(path), len(target), target))


def quoted(path: bytes) -> bytes:
    """A path as fast-import reads it back byte by byte."""
    plain = all(byte >= 0x20 and byte not in b'"\\\x7f' for byte in path)
    return b'"%b"' % (path if plain else b"".join(b"\\%03o" % byte for byte in path))


def refuse(path: bytes, reason: str) -> None:
    """A folder that cannot be looked into: there is no snapshot without it."""
    raise invalid(f"The folder {shown(path)} in the workspace {reason}.", "Remove it or make it readable.")
