"""The interpreter of the runner: a static busybox of the host, copied once, mode 0111.

Unreadable on purpose: the kernel makes a process of an unreadable program undumpable, so no step code can trace PID 1 or
open its files. Refuses to fetch anything.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from wfconsole.ports import WfconsoleError

CANDIDATES = (
    Path("/bin/busybox"),
    Path("/usr/bin/busybox"),
    Path("/usr/bin/busybox.static"),
    Path("/bin/busybox.static"),
)
MODE = 0o111
_HINT = "install a static busybox (Debian, Ubuntu: apt-get install busybox-static)"


def interpreter(cache: Path, candidates: tuple[Path, ...] = CANDIDATES) -> Path:
    """The copy in `cache`, made when it is not there. Raises SANDBOX_UNAVAILABLE when the host has no static busybox."""
    content = static(candidates)
    copy = cache / f"busybox-{hashlib.sha256(content).hexdigest()[:16]}"
    if copy.is_file() and copy.stat().st_size == len(content):
        return copy
    cache.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(prefix=".busybox.", dir=cache)  # a name of its own: others may copy, too
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(descriptor, MODE)
    Path(draft).replace(copy)
    return copy


def static(candidates: tuple[Path, ...] = CANDIDATES) -> bytes:
    """The first of these programs that is static. Raises SANDBOX_UNAVAILABLE when none is."""
    for path in candidates:
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if content.startswith(b"\x7fELF") and b"/ld-" not in content[:4096]:  # names no dynamic loader
            return content
    raise WfconsoleError("SANDBOX_UNAVAILABLE", "there is no static busybox on this machine", _HINT)
