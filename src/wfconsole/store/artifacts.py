"""`ports.Artifacts` on disk: each content once, under its sha256, read-only, complete or absent.

Refuses to know runs and names. The decision that would surprise: a file is written under a temporary name in its final
folder and then renamed, so that two processes that store the same content at once both succeed and none is ever half there.
A content that is there already is marked as stored anew, under a lock shared with `blobs`: a removal spares what somebody is
about to refer to.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import io
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from wfconsole.ports import WfconsoleError

CHUNK = 1024 * 1024
_SHA256 = re.compile(r"[0-9a-f]{64}")


class DiskArtifacts:
    """Content lies at ``folder/ab/cdef...``. Each put is durable when it returns."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put_file(self, path: Path) -> tuple[str, int]:
        return await asyncio.to_thread(self._put_file, path)

    async def put_bytes(self, data: bytes) -> tuple[str, int]:
        return await asyncio.to_thread(self._put, io.BytesIO(data))

    def path(self, sha256: str) -> Path:
        place = self._place(sha256)
        if not place.is_file():
            raise FileNotFoundError(f"no artifact {sha256}")
        return place

    def _place(self, sha256: str) -> Path:
        if not _SHA256.fullmatch(sha256):
            raise FileNotFoundError(f"no artifact {sha256!r}: not a sha256 in hex")
        return self._folder / sha256[:2] / sha256[2:]

    def _put_file(self, path: Path) -> tuple[str, int]:
        with path.open("rb") as source:
            return self._put(source)

    def _put(self, source: BinaryIO) -> tuple[str, int]:
        """Copy into a draft while hashing; keep it only when the content is new."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".draft-", dir=self._folder)
        draft = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as target:
                digest, size = _copy(source, target)
                place = self._place(digest)
                with held(self._folder, fcntl.LOCK_SH):
                    if place.exists():
                        os.utime(place)
                    else:
                        target.flush()
                        os.fchmod(target.fileno(), 0o444)
                        os.fsync(target.fileno())
                        self._publish(draft, place)
        except OSError as error:
            raise _shown(error) from error
        finally:
            draft.unlink(missing_ok=True)
        return digest, size

    def _publish(self, draft: Path, place: Path) -> None:
        if not place.parent.exists():
            place.parent.mkdir(mode=0o700, exist_ok=True)
            _sync(self._folder)
        draft.rename(place)
        _sync(place.parent)


@contextmanager
def held(folder: Path, kind: int) -> Iterator[None]:
    """The lock between storing (`LOCK_SH`) and removing (`LOCK_EX`) contents."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, kind)
        yield
    finally:
        os.close(descriptor)


def _copy(source: BinaryIO, target: BinaryIO) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    while chunk := source.read(CHUNK):
        digest.update(chunk)
        target.write(chunk)
        size += len(chunk)
    return digest.hexdigest(), size


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _shown(error: OSError) -> Exception:
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return WfconsoleError(
            "DISK_FULL", "no space is left for an artifact", "free space in the state folder, then go on"
        )
    return error
