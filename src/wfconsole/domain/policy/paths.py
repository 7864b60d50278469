"""Paths of a command as text: where they lead inside the container, and whether that is a place recipes may write.

Knows nothing of any file system: symbolic links are not resolved, the container is the wall. The decision that would
surprise: a relative path that climbs out of the workspace is an escape even when it lands in a writable folder, since
nobody writes ``../tmp/x`` when ``/tmp/x`` is meant.
"""

from __future__ import annotations

WORKSPACE = "/workspace"
"""Where the workspace lies in every container."""

WRITABLE = (WORKSPACE, "/tmp", "/scratch", "/out", "/home")  # noqa: S108 (paths of the container)
"""Where a command may write: the workspace, temporary places, the step's output and the home folder."""

READABLE = (*WRITABLE, "/inputs", "/artifacts", "/recipe", "/failure")
"""Where links may point besides."""

STREAMS = ("/dev/null", "/dev/zero", "/dev/full", "/dev/tty", "/dev/stdin", "/dev/stdout", "/dev/stderr", "/dev/fd")
"""Devices that hold nothing; writing to them harms nobody."""

UNSEEN = "\0"
"""Stands for words that a wrapper reads elsewhere (xargs: standard input). No real argument can hold it."""


def resolve(workdir: str, path: str) -> str:
    """`path` as an absolute path without ``.`` and ``..``, read from the absolute folder `workdir`."""
    kept: list[str] = []
    for part in (path if path.startswith("/") else f"{workdir}/{path}").split("/"):
        if part == "..":
            del kept[-1:]
        elif part not in {"", "."}:
            kept.append(part)
    return "/" + "/".join(kept)


def within(path: str, *folders: str) -> bool:
    """Whether the resolved `path` is one of `folders` or lies beneath one."""
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


def climbs(path: str) -> bool:
    """Whether ``..`` is a part of the path. ``a/../b`` counts: when ``a`` is a link it does not lead to ``b``."""
    return ".." in path.split("/")


def leaves(path: str) -> bool:
    """Whether a relative path is above its starting point at any moment, also when it comes back: ``../workspace/x``."""
    depth = 0
    for part in path.split("/"):
        depth += -1 if part == ".." else part not in {"", "."}
        if depth < 0:
            return True
    return False


def escapes(workdir: str, path: str, folders: tuple[str, ...] = WRITABLE) -> bool:
    """Whether `path` leads out of the places that `folders` names; a relative one must stay in the workspace."""
    target = resolve(workdir, path)
    if not path.startswith("/") and within(workdir, WORKSPACE):
        return not within(target, WORKSPACE)
    return not within(target, *folders, *STREAMS)
