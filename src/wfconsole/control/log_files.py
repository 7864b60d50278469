"""Opening files that a sandbox could write: beneath one folder, through no link, regular files only.

Owns that a link or a named pipe planted by hostile code is refused instead of followed. Refuses to know what is in the files.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

from wfconsole.ports import WfconsoleError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_beneath(root: Path, relative: str) -> BinaryIO | None:
    """The file at `relative` beneath `root`, unbuffered; None when there is none (yet).

    Raises WORKSPACE_INVALID for what is no plain file, or lies behind a link.
    """
    parts = relative.split("/")
    if any(part in {"", ".", ".."} for part in parts):
        raise _refused(relative)
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        found = os.open(parts[-1], _FILE, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _refused(relative) from error
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise _refused(relative)
    return os.fdopen(found, "rb", buffering=0)


def _refused(relative: str) -> WfconsoleError:
    return WfconsoleError("WORKSPACE_INVALID", f"{relative} is no plain file of the run; it is not read", "")
