"""What folders really take on disk: blocks, each file once however many names it has.

A file that has further names elsewhere counts nothing: removing what is measured would not free it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

BLOCK = 512


def disk_bytes(*roots: Path) -> int:
    """Bytes that would be free without these folders and files; what is not there takes nothing. Follows no link."""
    files: dict[tuple[int, int], tuple[int, int, int]] = {}
    total = 0
    for found in (one for root in roots for one in _walk(root)):
        if stat.S_ISDIR(found.st_mode):
            total += found.st_blocks * BLOCK
            continue
        key = (found.st_dev, found.st_ino)
        _, _, seen = files.get(key, (0, 0, 0))
        files[key] = (found.st_blocks * BLOCK, found.st_nlink, seen + 1)
    return total + sum(size for size, links, seen in files.values() if seen >= links)


def log_count(root: Path) -> int:
    """Output streams of commands that lie beneath `root`, as the runner names them."""
    return sum(name.endswith((".stdout", ".stderr")) for _, _, names in os.walk(root) for name in names)


def _walk(root: Path) -> Iterator[os.stat_result]:
    try:
        yield root.lstat()
    except OSError:
        return
    if root.is_symlink() or not root.is_dir():
        return
    for folder, names, files in os.walk(root, followlinks=False):
        for name in (*names, *files):
            try:
                yield (Path(folder) / name).lstat()
            except OSError:
                continue
