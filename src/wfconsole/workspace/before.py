"""The workspace before each attempt that may change it, and the way back to it when the attempt is lost.

Owns the notes of attempts and the index between snapshots; refuses to know when the way back is taken. The decision that would
surprise: a workspace that cannot be kept is only noted. Keeping is insurance; the step it is for may well make do without it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace as replace_in
from pathlib import Path

from wfconsole.domain.plan import Json
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.ports.before import At
from wfconsole.workspace import replace, snapshot
from wfconsole.workspace.apart import alone
from wfconsole.workspace.beneath import Entry, Owner, open_root, opened, walk
from wfconsole.workspace.changes import Work, difference
from wfconsole.workspace.copy import told
from wfconsole.workspace.git import Git, invalid
from wfconsole.workspace.index import Index, is_known, marks_of

_KEPT = b"~kept"
_GIT = re.compile(rb"\.git(~kept)*", re.IGNORECASE)
_EMPTY = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
"""The tree with nothing in it, which git knows without having it."""


class GitBefore:
    """`ports.Before` with git and ordinary files. `owner` gets what is put back; None leaves it with this process."""

    def __init__(
        self, *, git: str = "git", owner: Owner | None = None, limits: snapshot.SnapshotLimits | None = None
    ) -> None:
        self._git = git
        self._owner = owner
        self._limits = limits or snapshot.SnapshotLimits()
        self._making = threading.Lock()

    async def knows(self, folder: RunFolder, name: str) -> bool:
        """See `ports.Before`."""
        return _note(folder, name).exists()

    async def pass_over(self, folder: RunFolder, name: str) -> None:
        """See `ports.Before`."""
        _write(_note(folder, name), {"tree": None})

    async def keep(self, folder: RunFolder, name: str, pristine: str | None) -> None:
        """See `ports.Before`. Repositories that steps made are kept as well, as files like any other."""
        try:
            await asyncio.to_thread(told(f"keeping {name}", lambda: self._keep(folder, name, pristine)))
        except WfconsoleError as error:
            await asyncio.to_thread(_write, _note(folder, name), {"tree": None, "why": error.message})

    async def put_back(self, folder: RunFolder, earlier: str, name: str, at: At | None = None) -> bool:
        """See `ports.Before`."""
        work = told(f"undoing {earlier}", lambda: self._put_back(folder, earlier, name, at or _nowhere))
        return await asyncio.to_thread(work)

    def _keep(self, folder: RunFolder, name: str, pristine: str | None) -> None:
        seen = self._take(folder, pristine)
        _write(_note(folder, name), {"tree": seen.tree, "empty": list(map(os.fsdecode, seen.empty_folders))})

    def _put_back(self, folder: RunFolder, earlier: str, name: str, at: At) -> bool:
        noted = _read(_note(folder, earlier))
        if noted["tree"] is None:
            return False
        with alone(folder):
            at("alone")
            now = self._take(folder, None)
            git, tree = self._trusted(folder), noted["tree"]
            found = difference(git, now.tree, tree).values()
            changes = {path: replace_in(each, path=path) for each in found for path in [in_folder(each.path)]}
            wanted = _folders(git, tree, [os.fsencode(path) for path in noted["empty"]])
            there = frozenset(now.folders)
            work = Work(
                changes=tuple(changes[path] for path in sorted(changes)), made=wanted - there, gone=there - wanted
            )
            if work.paths:
                replace.stage(folder, git, work, self._owner)
                at("staged")
                replace.carry_out(folder, work, self._owner, at)
            at("changed")
        _write(_note(folder, name), noted)
        return True

    def _trusted(self, folder: RunFolder) -> Git:
        """The run's trusted git folder; a run without a repository has made none."""
        trusted = Git(program=self._git, git_dir=folder.git)
        with self._making:
            if not (folder.git / "HEAD").exists():
                shutil.rmtree(folder.git, ignore_errors=True)
                snapshot.make_trusted(trusted)
        return trusted

    def _take(self, folder: RunFolder, pristine: str | None) -> Index:
        """The workspace as it is now. What the last look knows is not read again, and when that is all git is not called."""
        place = _home(folder) / "index"
        known = Index.read(place)
        seen = _look(folder.workspace, known, self._limits)
        if known is not None and not seen.touched and not seen.gone:
            seen.index.tree = known.tree
        elif known is None and pristine is not None:
            seen.index.tree = pristine
        elif seen.index.files:
            seen.index.tree = self._record(folder, seen, None if known is None else known.tree)
        place.parent.mkdir(parents=True, exist_ok=True)
        seen.index.write(place)
        return seen.index

    def _record(self, folder: RunFolder, seen: _Seen, before: str | None) -> str:
        """The tree of what was seen, made from the one before."""
        git, ref = self._trusted(folder), f"refs/snapshots/{uuid.uuid4().hex}"
        words = ("fast-import", "--quiet", "--force", "--depth=0", "--date-format=raw")
        with git.started(*words, settings=("core.bigFileThreshold=1m",)) as process:
            out = process.stdin
            assert out is not None  # noqa: S101 (started with a pipe)
            out.write(f"commit {ref}\ncommitter wfconsole <> 0 +0000\ndata 0\n".encode())
            if before not in {None, _EMPTY}:
                out.write(f'M 040000 {before} ""\n'.encode())
            out.writelines(b"D %b\n" % snapshot.quoted(in_tree(path)) for path in sorted(seen.gone))

            def put(entry: Entry) -> None:
                if entry.is_link:
                    snapshot.put_link(out, in_tree(entry.path), entry.target())
                else:
                    snapshot.put_file(out, replace_in(entry, path=in_tree(entry.path)))

            _each(folder.workspace, self._limits, lambda entry: put(entry) if entry.path in seen.touched else None)
            out.write(b"done\n")
        return git.run("rev-parse", "--verify", f"{ref}^{{tree}}").decode().strip()


@dataclass(slots=True, kw_only=True)
class _Seen:
    """One look at a workspace: `touched` has to be read, `gone` was there the time before and is no file now."""

    index: Index
    touched: set[bytes]
    gone: set[bytes]


def _look(workspace: Path, known: Index | None, limits: snapshot.SnapshotLimits) -> _Seen:
    index, touched, now = Index(tree=_EMPTY), set[bytes](), time.time_ns()
    before = {} if known is None else known.files
    total = 0

    def look(entry: Entry) -> None:
        nonlocal total
        if entry.is_folder:
            index.folders.append(entry.path)
        elif entry.is_file or entry.is_link:
            index.files[entry.path] = marks_of(entry.info, now)
            total += entry.info.st_size
            if not is_known(before.get(entry.path), entry.info):
                touched.add(entry.path)
            if len(index.files) > limits.files or total > limits.total_bytes:
                raise invalid(f"The workspace holds more than {limits.files} files or {limits.total_bytes} bytes.")

    _each(workspace, limits, look)
    gone = before.keys() - index.files.keys()
    return _Seen(index=index, touched=touched, gone=gone)


def _each(workspace: Path, limits: snapshot.SnapshotLimits, look: Callable[[Entry], None]) -> None:
    """Everything in the workspace, also in repositories that steps made there."""
    with opened(open_root(workspace)) as root:
        for entry in walk(root, depth=limits.depth, refuse=snapshot.refuse, enter=lambda _: True):
            look(entry)


def _folders(git: Git, tree: str, empty: list[bytes]) -> frozenset[bytes]:
    """Every folder of a tree, and the empty ones that it cannot have."""
    found = set(empty)
    if tree != _EMPTY:
        told = git.run("ls-tree", "-r", "-d", "-z", "--name-only", tree).split(b"\0")
        found |= {in_folder(path) for path in told if path}
    return frozenset(found)


def in_tree(path: bytes) -> bytes:
    """The path by which a tree has it: git takes nothing that is named ``.git``, so such names are made longer there."""
    return b"/".join(part + _KEPT if _GIT.fullmatch(part) else part for part in path.split(b"/"))


def in_folder(path: bytes) -> bytes:
    """The way back of `in_tree`."""
    return b"/".join(
        part.removesuffix(_KEPT) if part.endswith(_KEPT) and _GIT.fullmatch(part) else part for part in path.split(b"/")
    )


def _nowhere(_point: str) -> None: ...


def _home(folder: RunFolder) -> Path:
    return folder.root / "before"


def _note(folder: RunFolder, name: str) -> Path:
    return _home(folder) / f"{name.replace('/', '.')}.json"


def _write(place: Path, noted: Json) -> None:
    """On disk before the attempt begins, whatever becomes of the host. Who comes late, from a long sleep, changes nothing."""
    place.parent.mkdir(parents=True, exist_ok=True)
    draft = place.with_suffix(f".{uuid.uuid4().hex}")
    with draft.open("w", encoding="utf-8") as out:
        json.dump(noted, out)
        out.flush()
        os.fsync(out.fileno())
    try:
        with suppress(FileExistsError):
            os.link(draft, place)
    finally:
        draft.unlink()


def _read(place: Path) -> dict[str, Json]:
    try:
        found: dict[str, Json] = json.loads(place.read_bytes())
    except (FileNotFoundError, ValueError):
        return {"tree": None}
    return found
