"""A root file system of one program: the host's static busybox, with a link for each applet.

Needs no network, no root and no second. Refuses a busybox that is not static. The same program gives the same tar.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from wfconsole.sandbox.busybox import CANDIDATES, static

APPLETS = (
    "awk", "base64", "basename", "cat", "chmod", "cksum", "cmp", "cp", "cut", "date", "dd", "df", "diff", "dirname", "du", "echo",
    "env", "expr", "false", "find", "fold", "grep", "gunzip", "gzip", "head", "hexdump", "id", "kill", "ln", "ls", "md5sum",
    "mkdir", "mkfifo", "mktemp", "mv", "nc", "nl", "nproc", "od", "paste", "printenv", "printf", "ps", "pwd", "readlink",
    "realpath", "rm", "rmdir", "sed", "seq", "sh", "sha1sum", "sha256sum", "sha512sum", "sleep", "sort", "stat", "strings", "tac",
    "tail", "tar", "tee", "test", "time", "timeout", "touch", "tr", "true", "truncate", "uname", "uniq", "unzip", "wc", "wget",
    "which", "xargs", "yes",
)  # fmt: skip
_FOLDERS = ("bin", "etc", "home", "tmp", "usr", "usr/bin", "var")


def program() -> bytes:
    """The host's static busybox. Raises SANDBOX_UNAVAILABLE when there is none."""
    return static(CANDIDATES)


def write(target: Path) -> None:
    """Write the tar."""
    content = program()
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        for name in _FOLDERS:
            tar.addfile(_entry(f"./{name}", tarfile.DIRTYPE, 0o755))
        busybox = _entry("./bin/busybox", tarfile.REGTYPE, 0o755)
        busybox.size = len(content)
        tar.addfile(busybox, io.BytesIO(content))
        for name in APPLETS:
            link = _entry(f"./bin/{name}", tarfile.SYMTYPE, 0o777)
            link.linkname = "busybox"
            tar.addfile(link)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime, entry.uid, entry.gid = kind, mode, 0, 0, 0
    return entry
