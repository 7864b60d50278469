"""What the last snapshot saw of a workspace, so that the next one reads only files that were touched since.

Owns the marks by which a file is known again: size, times, inode, mode. Refuses to read content. The decision that would
surprise: a file that was changed within the last moments is never taken for known. The clock of a file system is coarse,
and a second change within the same tick would leave no trace (git calls such entries racy).
"""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

Marks = tuple[int, int, int, int, int]
"""Size, mtime and ctime (ns), inode, mode."""

RACY_NS = 50_000_000
_UNKNOWN: Marks = (-1, -1, -1, -1, -1)


@dataclass(slots=True, kw_only=True)
class Index:
    """A tree, the marks of the files and links in it by path, and the folders, those above before those within."""

    tree: str
    files: dict[bytes, Marks] = field(default_factory=dict)
    folders: list[bytes] = field(default_factory=list)

    @classmethod
    def read(cls, place: Path) -> Self | None:
        """What was written there; None when there is nothing, or nothing whole."""
        try:
            data = json.loads(place.read_bytes())
            files = {os.fsencode(path): _marks(marks) for path, marks in data["files"].items()}
            return cls(tree=data["tree"], files=files, folders=[os.fsencode(path) for path in data["folders"]])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def write(self, place: Path) -> None:
        """Put it in the place of an earlier one, whole or not at all."""
        data = {
            "tree": self.tree,
            "files": {os.fsdecode(path): marks for path, marks in self.files.items()},
            "folders": [os.fsdecode(path) for path in self.folders],
        }
        draft = place.with_name(f"{place.name}.{uuid.uuid4().hex}")
        draft.write_text(json.dumps(data))
        draft.replace(place)

    @property
    def empty_folders(self) -> list[bytes]:
        """The folders that a tree does not have: with nothing in them but such folders."""
        full = {above for path in self.files for above in _above(path)}
        return [path for path in self.folders if path not in full]


def marks_of(info: os.stat_result, now_ns: int) -> Marks:
    """By what the file is known again; nothing when it was changed just before `now_ns`."""
    if max(info.st_ctime_ns, info.st_mtime_ns) > now_ns - RACY_NS:
        return _UNKNOWN
    return (info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_mode)


def is_known(known: Marks | None, info: os.stat_result) -> bool:
    """Is the file certainly what it was?"""
    return known is not None and known == (
        info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino, info.st_mode
    )  # fmt: skip


def _marks(values: list[int]) -> Marks:
    size, changed, touched, inode, mode = values
    return (size, changed, touched, inode, mode)


def _above(path: bytes) -> list[bytes]:
    parts = path.split(b"/")
    return [b"/".join(parts[:count]) for count in range(1, len(parts))]
