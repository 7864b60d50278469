"""The difference of two trees path by path, and whether it can be made to a workspace that has changed since.

Owns what counts as a conflict: a path that both sides changed, each to something else, or a file where the other side has a
folder. The same change made twice is none. Refuses to merge within a file: what two steps wrote at once no rule can vouch for.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wfconsole.ports.copies import Changed
from wfconsole.workspace.beneath import open_folder, opened, walk
from wfconsole.workspace.git import Git

_NOTHING = "000000"
_DEPTH = 128

Leaf = tuple[str, str]
"""Mode and blob of a file or link, as git names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What becomes of one path; None: it is not there."""

    path: bytes
    before: Leaf | None
    after: Leaf | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Changes of files and links, folders to make and to remove when they are empty; `undone` is the way back."""

    changes: tuple[Change, ...]
    made: frozenset[bytes] = frozenset()
    gone: frozenset[bytes] = frozenset()

    @property
    def removed(self) -> frozenset[bytes]:
        return frozenset(change.path for change in self.changes if change.after is None)

    @property
    def written(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.after is not None)

    @property
    def paths(self) -> frozenset[bytes]:
        return frozenset(change.path for change in self.changes) | self.made | self.gone

    def undone(self) -> Work:
        back = tuple(Change(path=each.path, before=each.after, after=each.before) for each in self.changes)
        return Work(changes=back, made=self.gone, gone=self.made)


def difference(git: Git, before: str, after: str) -> dict[bytes, Change]:
    """Every file and link that differs between two trees."""
    if before == after:
        return {}
    words = git.run("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", before, after).split(b"\0")
    found = {}
    for told, path in zip(words[0:-1:2], words[1::2], strict=True):
        mode_before, mode_after, blob_before, blob_after, _ = told.removeprefix(b":").decode().split(" ")
        found[path] = Change(path=path, before=_leaf(mode_before, blob_before), after=_leaf(mode_after, blob_after))
    return found


def _leaf(mode: str, blob: str) -> Leaf | None:
    return None if mode == _NOTHING else (mode, blob)


def merge(
    changed: Changed, theirs: dict[bytes, Change], ours: dict[bytes, Change], folders: frozenset[bytes]
) -> tuple[Work, set[bytes]]:
    """What is to be done to a workspace that has become `ours` since, and the paths that both sides changed.

    `folders` are those that are there now.
    """
    conflicts = {path for path, change in theirs.items() if path in ours and ours[path].after != change.after}
    todo = tuple(change for path, change in sorted(theirs.items()) if path not in ours)
    made = (changed.folders - changed.base_folders) | set(_above(each.path for each in todo if each.after is not None))
    gone = changed.base_folders - changed.folders
    return Work(changes=todo, made=frozenset(made - folders), gone=frozenset(gone & folders)), conflicts


def _above(paths: Iterable[bytes]) -> Iterator[bytes]:
    for path in paths:
        parts = path.split(b"/")
        yield from (b"/".join(parts[:count]) for count in range(1, len(parts)))


def obstacles(root: int, work: Work) -> set[bytes]:
    """The paths that cannot be written in the workspace `root` because something else is, and stays, there."""
    removed = work.removed
    found = {each.path for each in work.written if _is_blocked(root, each.path, removed) or _is_full(root, each, work)}
    for path in work.made:
        if _is_blocked(root, path + b"/.", removed):
            found.add(path)
    return found


def _is_blocked(root: int, path: bytes, removed: frozenset[bytes]) -> bool:
    """Is there on the way to `path` anything but a folder?"""
    for above in _above([path]):
        info = _look(root, above)
        if info is None:
            return False
        if not stat.S_ISDIR(info.st_mode):
            return above not in removed
    return False


def _is_full(root: int, change: Change, work: Work) -> bool:
    """Is there a folder at a file's path, with more in it than goes?"""
    info = _look(root, change.path)
    if info is None or not stat.S_ISDIR(info.st_mode):
        return False
    if change.path not in work.gone:
        return True
    removed = work.removed
    with opened(open_folder(root, change.path.split(b"/"))) as folder:
        for entry in walk(folder, depth=_DEPTH, refuse=lambda _path, _why: None):
            path = change.path + b"/" + entry.path
            if path not in (work.gone if entry.is_folder and not entry.is_git else removed):
                return True
    return False


def _look(root: int, path: bytes) -> os.stat_result | None:
    *above, name = path.split(b"/")
    try:
        with opened(open_folder(root, above)) as folder:
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return None
