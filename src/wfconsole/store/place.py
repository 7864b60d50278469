"""Where the store lies: the kind of file system, the reserve that is kept free there, the companions of the file.

Refuses to open the database. The decision that would surprise: the reserve is a file of real blocks which is given up when the
disk is full, so that what failed can still be recorded; it comes back when there is room.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

RESERVE = "wfconsole.reserve"
RESERVE_BYTES = 2 * 1024 * 1024
ROOM = 8
"""The reserve is made only where this many times its size is free."""

NETWORK = frozenset(
    {
        "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "lustre", "glusterfs", "fuse.glusterfs",
        "fuse.sshfs", "fuse.s3fs", "fuse.davfs", "davfs", "9p", "beegfs", "gpfs", "ocfs2", "gfs2", "coda",
    }
)  # fmt: skip
"""File systems whose locks or shared memory may not reach every host that mounts them."""

_OCTAL = re.compile(r"\\([0-7]{3})")


def filesystem(path: Path, mounts: Callable[[], str] | None = None) -> str:
    """The type of the file system that `path` lies on, as the kernel names it; empty when it cannot be told."""
    try:
        lines = (mounts or _mounts)().splitlines()
    except OSError:
        return ""
    target = os.path.realpath(path)
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        if "-" not in fields[6:]:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[4])
        beneath = target == point or target.startswith(point.rstrip("/") + "/")
        if beneath and len(point) >= len(best):  # of two mounts at one place the later one covers the other
            best, kind = point, fields[fields.index("-", 6) + 1]
    return kind


def _mounts() -> str:
    return Path("/proc/self/mountinfo").read_text(errors="surrogateescape")


class Reserve:
    """Real blocks in the state folder, to be given up once."""

    def __init__(self, folder: Path, size: int = RESERVE_BYTES) -> None:
        self._path = folder / RESERVE
        self._size = size

    def ensure(self) -> None:
        """Make it when it is not there and there is room enough; that it cannot be made is no failure."""
        if self._path.exists():
            return
        with suppress(OSError):
            if _free(self._path.parent) < ROOM * self._size:
                return
            draft = self._path.with_name(f"{self._path.name}.new-{os.getpid()}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(descriptor, 0, self._size)
                draft.rename(self._path)
            finally:
                os.close(descriptor)
                draft.unlink(missing_ok=True)

    def give_up(self) -> bool:
        """Free its blocks; whether there were any."""
        try:
            self._path.unlink()
        except OSError:
            return False
        return True


def companions(path: Path) -> tuple[Path, Path]:
    """The -wal and the -shm of a database file."""
    return path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")


def lost_its_wal(path: Path) -> bool:
    """Whether somebody took the -wal away that commits may have been in: SQLite makes it before the -shm and removes it after.

    Looked at several times, because others open and close the store meanwhile.
    """
    wal, shm = companions(path)
    return all(not wal.exists() and shm.exists() and not wal.exists() for _ in range(3))


def _free(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
