"""Files beneath a folder, opened one component at a time without ever following a link.

Owns the only ways in which this package opens anything that a sandbox could have written, and the sink through which
copies are written. Paths are bytes, relative and without ``.`` or ``..``; names need not be UTF-8. The decision that
would surprise: files are opened non-blocking, so that a FIFO planted in place of a file cannot hang the host.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Self

CHUNK = 1024 * 1024
"""Bytes that are moved at a time."""

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

Owner = tuple[int, int]
"""User and group id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something that the walk met. `folder` is an open descriptor, good only until the next step of the walk."""

    path: bytes
    name: bytes
    folder: int
    info: os.stat_result

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.info.st_mode)

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_link(self) -> bool:
        return stat.S_ISLNK(self.info.st_mode)

    @property
    def is_sparse(self) -> bool:
        """Large and mostly holes: reading it would make bytes out of nothing."""
        return self.info.st_size > 256 * CHUNK and self.info.st_blocks * 512 * 16 < self.info.st_size

    @property
    def is_git(self) -> bool:
        """Named ``.git`` in any case: git itself refuses all of them."""
        return self.name.lower() == b".git"

    def target(self) -> bytes:
        """Where the link points, as written in it."""
        return os.readlink(self.name, dir_fd=self.folder)


def shown(path: bytes) -> str:
    """A path for people: what is not UTF-8 or not printable appears as an escape."""
    text = path.decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def parts(path: bytes) -> tuple[bytes, ...] | None:
    """The components of a relative path; None when it is absolute, empty, or goes up."""
    if path.startswith(b"/") or b"\0" in path:
        return None
    found = tuple(part for part in path.split(b"/") if part not in {b"", b"."})
    return None if not found or b".." in found else found


@contextmanager
def opened(descriptor: int) -> Iterator[int]:
    """Close `descriptor` in the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_root(path: str | bytes | os.PathLike[str]) -> int:
    """Open the folder that everything lies beneath; links in its own path are the caller's business."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def open_folder(root: int, path: Iterable[bytes]) -> int:
    """Open the folder at components `path` beneath `root`; OSError (ENOENT, ENOTDIR) when there is none."""
    here = os.dup(root)
    for name in path:
        with opened(here):
            here = os.open(name, _FOLDER, dir_fd=here)
    return here


def open_file(folder: int, name: bytes) -> int:
    """Open a file for reading; OSError (ELOOP) when it is a link. What it is, only fstat can say."""
    return os.open(name, _FILE, dir_fd=folder)


def read_chunks(descriptor: int, size: int) -> Iterator[bytes]:
    """Exactly `size` bytes in chunks; OSError when the file ends before."""
    left = size
    while left:
        chunk = os.read(descriptor, min(CHUNK, left))
        if not chunk:
            raise OSError(0, "the file became shorter while it was read")
        left -= len(chunk)
        yield chunk


Refuse = Callable[[bytes, str], None]
"""Told of a folder that is not entered: its path and why."""


def walk(
    root: int, *, depth: int, refuse: Refuse, enter: Callable[[Entry], bool] = lambda entry: not entry.is_git
) -> Iterator[Entry]:
    """Everything beneath `root` in the order of the names' bytes, a folder before its content.

    Folders deeper than `depth` levels, unreadable ones, and ones that `enter` says no to are met but not entered; the
    first two are told to `refuse`, which may raise.
    """
    stack: list[tuple[int, bytes, list[bytes]]] = []
    top = os.dup(root)
    try:
        stack.append((top, b"", _names(top)))
        while stack:
            folder, prefix, names = stack[-1]
            if not names:
                stack.pop()
                os.close(folder)
                continue
            entry = _look(folder, prefix, names.pop())
            if entry is None:
                continue
            yield entry
            if entry.is_folder and enter(entry):
                inner = _enter(entry, len(stack), depth, refuse)
                if inner is not None:
                    stack.append(inner)
    finally:
        for folder, _, _ in stack:
            os.close(folder)


def _names(folder: int) -> list[bytes]:
    """Names in a folder, last one first, so that `pop` hands them out in order."""
    return sorted((os.fsencode(name) for name in os.listdir(folder)), reverse=True)


def _look(folder: int, prefix: bytes, name: bytes) -> Entry | None:
    try:
        info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Entry(path=prefix + name, name=name, folder=folder, info=info)


def _enter(entry: Entry, level: int, depth: int, refuse: Refuse) -> tuple[int, bytes, list[bytes]] | None:
    if level > depth:
        refuse(entry.path, f"lies deeper than {depth} folders")
        return None
    try:
        inner = os.open(entry.name, _FOLDER, dir_fd=entry.folder)
    except OSError as error:
        refuse(entry.path, f"cannot be read ({os.strerror(error.errno or 0)})")
        return None
    try:
        return inner, entry.path + b"/", _names(inner)
    except OSError:
        os.close(inner)
        raise


@dataclass(slots=True)
class Sink:
    """Writes a copy beneath `root`, which was empty. Nothing that exists is ever replaced or followed.

    `owner` gets everything that is written; None leaves it with the caller. Use it as a context.
    """

    root: int
    owner: Owner | None = None
    _parent: tuple[bytes, ...] = ()
    _folder: int = field(default=-1)

    def __enter__(self) -> Self:
        self._folder = os.dup(self.root)
        if self.owner is not None:
            os.fchown(self.root, *self.owner)
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._folder)

    def file(self, path: bytes, chunks: Iterable[bytes], *, executable: bool) -> None:
        """Write a new file of mode 0644 or 0755."""
        folder, name = self._place(path)
        with opened(os.open(name, _NEW, 0o600, dir_fd=folder)) as out:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(out, view) :]
            os.fchmod(out, 0o755 if executable else 0o644)
            if self.owner is not None:
                os.fchown(out, *self.owner)

    def link(self, path: bytes, target: bytes) -> None:
        """Make a symbolic link with exactly this target."""
        folder, name = self._place(path)
        os.symlink(target, name, dir_fd=folder)
        if self.owner is not None:
            os.chown(name, *self.owner, dir_fd=folder, follow_symlinks=False)

    def folder(self, path: bytes) -> None:
        """Make a folder and those above it; fine when it is there."""
        self._place(path + b"/.")

    def _place(self, path: bytes) -> tuple[int, bytes]:
        """An open descriptor of the folder that `path` lies in, and its last component."""
        *above, name = path.split(b"/")
        parent = tuple(above)
        if any(part in {b"", b".", b".."} for part in parent) or name in {b"", b".."}:
            raise OSError(0, "the path is not a plain relative one")
        if parent != self._parent:
            os.close(self._folder)
            self._folder = os.dup(self.root)
            self._parent = ()
            for part in parent:
                self._descend(part)
            self._parent = parent
        return self._folder, name

    def _descend(self, part: bytes) -> None:
        made = True
        try:
            os.mkdir(part, 0o755, dir_fd=self._folder)
        except FileExistsError:
            made = False
        inner = os.open(part, _FOLDER, dir_fd=self._folder)
        os.close(self._folder)
        self._folder = inner
        if made:
            os.fchmod(inner, 0o755)
            if self.owner is not None:
                os.fchown(inner, *self.owner)
