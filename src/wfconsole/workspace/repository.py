"""The operator's repository, read and never written: what a revision holds, what is not committed, what is ignored.

Only plumbing that starts no other program is called (see `git`). The decision that would surprise: whether a file
differs from the index is found by hashing it here: even ``git diff-files`` runs the repository's filters to find out.
"""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wfconsole.workspace.beneath import open_file, open_folder, open_root, opened, parts, read_chunks
from wfconsole.workspace.git import Git, GitError, invalid

LINK = "120000"
SUBMODULE = "160000"
EXECUTABLE = "100755"

_HASH_BUDGET = 1024**3
"""Bytes that are read to find out whether touched files differ; beyond it they count as changed."""

_NOT_LOOKED_AT = 0x4000_8000
"""Index flags: skip-worktree (sparse checkouts) and assume-unchanged."""

_CLOSED = re.compile(r"^warning: could not open directory '(.+)': (.+)$", re.MULTILINE)
"""Git goes on without what it could not open, and the copy would be a part of what was asked for."""

_INDEX_ENTRY = re.compile(
    rb"(?P<mode>\d{6}) (?P<id>[0-9a-f]+) \d\t(?P<path>[^\0]*)\0  ctime: \d+:\d+\n"
    rb"  mtime: (?P<seconds>\d+):(?P<nanoseconds>\d+)\n  dev: \d+\tino: \d+\n  uid: \d+\tgid: \d+\n"
    rb"  size: (?P<size>\d+)\tflags: (?P<flags>[0-9a-f]+)\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeEntry:
    """One entry of a commit. `mode` is git's, as text; `path` is as the tree says and may be hostile."""

    mode: str
    object_id: str
    path: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A git repository and the folder that was asked for: `top` itself or one inside it. `top` is None when it is bare."""

    git: Git
    top: Path | None
    folder: Path


def locate(source: Path, program: str) -> Repository | None:
    """The repository that `source` is, or lies in; None for a plain folder. Raises WORKSPACE_INVALID for anything else."""
    _check_folder(source)
    if _is_git_folder(source):
        return Repository(git=Git(program=program, git_dir=source.resolve()), top=None, folder=source)
    here = source.resolve()
    for top in (here, *here.parents):
        git_dir = _git_dir(top)
        if git_dir is not None:
            return Repository(git=Git(program=program, git_dir=git_dir, work_tree=top), top=top, folder=here)
    return None


def _check_folder(source: Path) -> None:
    try:
        mode = source.stat().st_mode
    except FileNotFoundError as error:
        raise invalid(f"{source} does not exist.", "Name a folder that does.") from error
    except OSError as error:
        raise invalid(f"{source} cannot be read: {error.strerror}.", "Check its permissions.") from error
    if not stat.S_ISDIR(mode):
        raise invalid(f"{source} is a file, not a folder.", "Name the folder that it lies in.")
    if not os.access(source, os.R_OK | os.X_OK, effective_ids=True):
        raise invalid(f"{source} cannot be read: Permission denied.", "Check its permissions.")


def _is_git_folder(folder: Path) -> bool:
    return (folder / "HEAD").is_file() and (folder / "objects").is_dir() and (folder / "refs").is_dir()


def _git_dir(top: Path) -> Path | None:
    """The git folder of a working tree: ``.git`` itself, or where the file ``.git`` points (linked working trees)."""
    entry = top / ".git"
    try:
        if entry.is_dir():
            return entry if (entry / "HEAD").exists() else None
        if not entry.is_file():
            return None
        with entry.open("rb") as file:
            word, _, path = file.read(8192).partition(b": ")
    except OSError as error:
        raise invalid(f"{entry} cannot be read: {error.strerror}.", "Check its permissions.") from error
    target = (top / os.fsdecode(path.strip())).resolve() if word == b"gitdir" else top
    return target if (target / "HEAD").exists() else None


def resolve_commit(repository: Repository, ref: str) -> str:
    """The id of the commit that `ref` names. Raises WORKSPACE_INVALID with names that are near."""
    commit = head(repository) if ref == "HEAD" else _commit(repository.git, ref)
    if commit is not None:
        return commit
    if ref == "HEAD" and not _names(repository.git):
        raise invalid(f"{repository.folder} has no commit yet.", "Commit something, or set workspace.ref to worktree.")
    raise invalid(f"{repository.folder} has no revision {ref!r}.", _near(ref, _names(repository.git)))


def head(repository: Repository) -> str | None:
    """The commit that is checked out; None when there is none yet."""
    return _commit(repository.git, "HEAD")


def _commit(git: Git, ref: str) -> str | None:
    if not ref or ref.startswith("-") or "\0" in ref:
        return None
    found = git.ask("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}")
    return found.decode().strip() if found is not None else None


def _names(git: Git) -> list[str]:
    listed = git.run("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags", "refs/remotes")
    return listed.decode("utf-8", "backslashreplace").split()


def _near(ref: str, names: list[str]) -> str:
    near = difflib.get_close_matches(ref, names, n=3, cutoff=0.5)
    if near:
        return f"Did you mean {', '.join(near)}?"
    return f"There are: {', '.join(names[:5])}." if names else "It has no branch with a commit yet."


def list_commit(git: Git, commit: str) -> list[TreeEntry]:
    """All files, links and submodules of a commit, in the order of its trees."""
    entries = []
    for line in git.run("ls-tree", "-r", "-z", "--full-tree", commit).split(b"\0")[:-1]:
        told, _, path = line.partition(b"\t")
        mode, _, object_id = told.decode().split(" ")
        entries.append(TreeEntry(mode=mode, object_id=object_id, path=path))
    return entries


@contextmanager
def blob_reader(git: Git) -> Iterator[BlobReader]:
    """Contents of objects from one running ``git cat-file``, one at a time, streamed; good within the context."""
    with git.started("cat-file", "--batch", settings=("core.bigFileThreshold=1m",)) as process:
        assert process.stdin is not None  # noqa: S101 (started with pipes)
        assert process.stdout is not None  # noqa: S101
        yield BlobReader(process.stdin, process.stdout)


class BlobReader:
    """Asks for one object after the other."""

    def __init__(self, ask: IO[bytes], answer: IO[bytes]) -> None:
        self._ask = ask
        self._answer = answer

    def size(self, object_id: str) -> int:
        """Ask for an object; its length. Its content must be read with `chunks` before the next question."""
        self._ask.write(f"{object_id}\n".encode())
        self._ask.flush()
        words = self._answer.readline().split()
        if len(words) != 3 or words[1] != b"blob":
            raise invalid(
                f"The repository lacks the object {object_id}.",
                "Fetch it fully (it may be a partial clone), or run git fsck.",
            )
        return int(words[2])

    def chunks(self, size: int) -> Iterator[bytes]:
        """The content of the object asked for last."""
        left = size
        while left:
            chunk = self._answer.read(min(1024 * 1024, left))
            if not chunk:
                raise invalid("git ended while an object was read.", "Run git fsck in the repository.")
            left -= len(chunk)
            yield chunk
        self._answer.read(1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncommitted:
    """What a copy of the checked out commit does not have: changed and untracked paths."""

    changed: tuple[bytes, ...] = ()
    untracked: tuple[bytes, ...] = ()


def uncommitted(repository: Repository, commit: str) -> Uncommitted:
    """Compare commit, index and files. A folder without a readable index counts as clean."""
    if repository.top is None:
        return Uncommitted()
    git = repository.git
    staged = git.ask("diff-index", "--cached", "--name-only", "-z", "--ignore-submodules=all", commit) or b""
    others = git.ask("ls-files", "--others", "--exclude-standard", "--directory", "-z", cwd=repository.top) or b""
    changed = {*staged.split(b"\0")[:-1], *_changed_files(repository)}
    return Uncommitted(changed=tuple(sorted(changed)), untracked=tuple(others.split(b"\0")[:-1]))


def _changed_files(repository: Repository) -> Iterator[bytes]:
    """Tracked files that differ from the index. One that only looks touched is hashed, up to a budget."""
    assert repository.top is not None  # noqa: S101 (the caller looked)
    git = repository.git
    listed = git.ask("ls-files", "--stage", "--debug", "-z", cwd=repository.top) or b""
    modes_count = (git.ask("config", "--type=bool", "--get", "core.fileMode") or b"true").strip() == b"true"
    index = git.git_dir / "index"
    written = index.stat().st_mtime_ns if index.exists() else 0
    budget = _HASH_BUDGET
    with opened(open_root(repository.top)) as root:
        for found in _INDEX_ENTRY.finditer(listed):
            mode, path, flags = found["mode"].decode(), found["path"], int(found["flags"], 16)
            if mode == SUBMODULE or flags & _NOT_LOOKED_AT:
                continue
            info = _look(root, path)
            if (
                info is None
                or _kind(info) != mode[:2]
                or (modes_count and _is_executable(info) != (mode == EXECUTABLE))
            ):
                yield path
                continue
            recorded = int(found["seconds"]) * 10**9 + int(found["nanoseconds"])
            if info.st_mtime_ns == recorded < written and info.st_size == int(found["size"]):
                continue
            budget -= info.st_size
            if budget < 0 or _hash_of(root, path, len(found["id"])) != found["id"].decode():
                yield path


def _kind(info: os.stat_result) -> str:
    """The first two figures of git's mode: a file, a link, or something that git does not keep."""
    if stat.S_ISREG(info.st_mode):
        return "10"
    return LINK[:2] if stat.S_ISLNK(info.st_mode) else ""


def _is_executable(info: os.stat_result) -> bool:
    return stat.S_ISREG(info.st_mode) and bool(info.st_mode & 0o100)


def _look(root: int, path: bytes) -> os.stat_result | None:
    """What lies at `path` beneath `root`; None when nothing does, or a link is on the way."""
    *above, name = parts(path) or (b"",)
    try:
        with opened(open_folder(root, above)) as folder:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return None


def _hash_of(root: int, path: bytes, length: int) -> str | None:
    """Git's object id of a file or link as it lies; None when it cannot be read."""
    *above, name = parts(path) or (b"",)
    digest = hashlib.new("sha1" if length == 40 else "sha256", usedforsecurity=False)
    try:
        with opened(open_folder(root, above)) as folder:
            if stat.S_ISLNK(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode):
                target = os.readlink(name, dir_fd=folder)
                digest.update(b"blob %d\0%b" % (len(target), target))
                return digest.hexdigest()
            with opened(open_file(folder, name)) as file:
                size = os.fstat(file).st_size
                digest.update(b"blob %d\0" % size)
                for chunk in read_chunks(file, size):
                    digest.update(chunk)
                return digest.hexdigest()
    except OSError:
        return None


def list_worktree(repository: Repository) -> tuple[list[bytes], set[bytes]]:
    """Tracked and untracked, not ignored paths beneath `folder`, sorted; and those of them that are submodules.

    A path that ends with a slash is a nested repository.
    """
    if repository.top is None:
        raise invalid(f"{repository.folder} is a bare repository and has no files.", "Set workspace.ref to a branch.")
    git, here = repository.git, repository.folder
    try:
        listed, said = git.told("ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=here)
        staged = git.run("ls-files", "--stage", "-z", cwd=here)
    except GitError as error:
        raise invalid(error.message, "Run git status there.") from error
    closed = _CLOSED.search(said)
    if closed:
        raise invalid(
            f"{closed[1].rstrip('/')} cannot be read: {closed[2]}.", "Make it readable, or let git ignore it."
        )
    modules = {line.partition(b"\t")[2] for line in staged.split(b"\0") if line.startswith(SUBMODULE.encode())}
    return sorted(set(listed.split(b"\0")) - {b""}), modules
