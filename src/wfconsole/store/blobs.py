"""`ports.Blobs`: the artifact contents as files that can be measured and removed.

Refuses to know who refers to what: it is told. The decision that would surprise: a content that was stored again lately is
spared, because its reference is written a while after it (see `artifacts`).
"""

from __future__ import annotations

import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from wfconsole.store.artifacts import held

BLOCK = 512
_FOLDER = re.compile(r"[0-9a-f]{2}")
_REST = re.compile(r"[0-9a-f]{62}")
_DRAFT = ".draft-"


class DiskBlobs:
    """Contents in `folder`, as `artifacts.DiskArtifacts` keeps them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def size(self, shas: Iterable[str]) -> int:
        return sum(_size(self._place(sha)) for sha in shas)

    def moment(self) -> int:
        if not self._folder.is_dir():
            return 0
        try:
            with tempfile.NamedTemporaryFile(prefix=_DRAFT, dir=self._folder) as touched:
                return os.fstat(touched.fileno()).st_mtime_ns // 1_000_000
        except OSError:  # no room for it: nothing counts as older, and what can be removed without it still is
            return 0

    def remove(self, shas: Iterable[str], *, spare_since: int | None) -> int:
        if not self._folder.is_dir():
            return 0
        gone = 0
        for sha in shas:
            place = self._place(sha)
            with held(self._folder, fcntl.LOCK_EX):
                if place.is_file() and (spare_since is None or _changed(place) < spare_since):
                    place.unlink()
                    gone += 1
            if place.parent.is_dir() and not any(place.parent.iterdir()):
                self._drop(place.parent)
        return gone

    def strays(self, referred: frozenset[str], *, before: int) -> Sequence[tuple[str, int]]:
        return [(name, _size(path)) for name, path in self._all() if name not in referred and _changed(path) < before]

    def drafts(self, *, before: int) -> Sequence[Path]:
        """What a process left that died while it stored something."""
        if not self._folder.is_dir():
            return []
        found = [path for path in self._folder.iterdir() if path.name.startswith(_DRAFT)]
        return [path for path in sorted(found) if _changed(path) < before]

    def _place(self, sha: str) -> Path:
        return self._folder / sha[:2] / sha[2:]

    def _all(self) -> Iterator[tuple[str, Path]]:
        if not self._folder.is_dir():
            return
        for folder in sorted(self._folder.iterdir()):
            if _FOLDER.fullmatch(folder.name) and folder.is_dir():
                for path in sorted(folder.iterdir()):
                    if _REST.fullmatch(path.name):
                        yield folder.name + path.name, path

    def _drop(self, folder: Path) -> None:
        """An empty folder; one that somebody fills meanwhile stays."""
        with held(self._folder, fcntl.LOCK_EX):
            if not any(folder.iterdir()):
                folder.rmdir()


def _size(path: Path) -> int:
    try:
        return path.stat().st_blocks * BLOCK
    except FileNotFoundError:
        return 0


def _changed(path: Path) -> int:
    """Milliseconds since the epoch; far in the future for a file that is gone."""
    try:
        return path.stat().st_mtime_ns // 1_000_000
    except FileNotFoundError:
        return 2**63
