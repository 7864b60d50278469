"""Tars that come out the same twice: sorted, times zero, owner root.

Owns the files that are in every image beside packages and wheels. Refuses to know where the root file system came from.
"""

from __future__ import annotations

import io
import shutil
import tarfile
from pathlib import Path

MOUNT_POINTS = ("artifacts", "inputs", "recipe", "scratch", "workspace")
"""Folders that the sandbox mounts over: with a read-only root they have to be there."""

_GIT = b"[safe]\n\tdirectory = *\n[advice]\n\tdetachedHead = false\n[init]\n\tdefaultBranch = main\n"


def overlay(tar: tarfile.TarFile, tools: Path | None, *, python: bool = True) -> None:
    """Add mount points, git's settings, everything below `tools` and, where there is a ``python3``, ``python`` to an open tar."""
    there = {name.rstrip("/") for name in tar.getnames()}  # the engine refuses a path that comes twice, folders too
    for name in MOUNT_POINTS:
        tar.addfile(_entry(f"./{name}", tarfile.DIRTYPE, 0o755))
    if python:
        link = _entry("./usr/bin/python", tarfile.SYMTYPE, 0o777)
        link.linkname = "python3"
        tar.addfile(link)
    settings = _entry("./etc/gitconfig", tarfile.REGTYPE, 0o644)
    settings.size = len(_GIT)
    tar.addfile(settings, io.BytesIO(_GIT))
    if tools is not None:
        _tree(tar, tools, there)


def joined(base: Path, tools: Path | None, target: Path) -> None:
    """Write `target`: the tar `base` followed by the overlay."""
    shutil.copyfile(base, target)
    with tarfile.open(target, "a", format=tarfile.GNU_FORMAT) as tar:
        overlay(tar, tools, python="./usr/bin/python3" in tar.getnames())


def alone(dockerfile: bytes, target: Path) -> None:
    """Write `target`: a build context with nothing but a Dockerfile."""
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        entry = _entry("Dockerfile", tarfile.REGTYPE, 0o644)
        entry.size = len(dockerfile)
        tar.addfile(entry, io.BytesIO(dockerfile))


def context(dockerfile: str, tools: Path | None, target: Path) -> None:
    """Write `target`: a build context with a Dockerfile and the overlay as ``overlay.tar``."""
    layer = target.with_suffix(".layer")
    with tarfile.open(layer, "w", format=tarfile.GNU_FORMAT) as tar:
        overlay(tar, tools)
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        text = dockerfile.encode()
        entry = _entry("Dockerfile", tarfile.REGTYPE, 0o644)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
        tar.add(layer, "overlay.tar")
    layer.unlink()


def _tree(tar: tarfile.TarFile, folder: Path, there: set[str]) -> None:
    for path in sorted(folder.rglob("*")):
        name = f"./{path.relative_to(folder).as_posix()}"
        if path.is_dir() and name in there:
            continue
        if path.is_dir():
            tar.addfile(_entry(name, tarfile.DIRTYPE, 0o755))
            continue
        entry = _entry(name, tarfile.REGTYPE, 0o755 if path.stat().st_mode & 0o100 else 0o644)
        entry.size = path.stat().st_size
        with path.open("rb") as content:
            tar.addfile(entry, content)


def _entry(name: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.mtime, entry.uid, entry.gid = kind, mode, 0, 0, 0
    return entry
