"""Writing the copy: a commit's objects, or a folder's files as they lie, into an empty folder.

Knows neither branches nor pins. The decision that would surprise: nothing that cannot be copied stops the copy (pipes,
nested git folders, huge holes); it is left out and told. What cannot be read does stop it.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from wfconsole.workspace.beneath import (
    Entry,
    Sink,
    open_file,
    open_folder,
    open_root,
    opened,
    parts,
    read_chunks,
    shown,
    walk,
)
from wfconsole.workspace.git import Git, invalid
from wfconsole.workspace.notes import Notes, is_lfs_pointer, leads_out
from wfconsole.workspace.repository import EXECUTABLE, LINK, SUBMODULE, TreeEntry, blob_reader, list_commit

_DEPTH = 128
_POINTER = 1024
"""A Git LFS pointer is never larger."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copying:
    """Where a copy goes. `own` is the run's folder as (device, inode): it is left out when it lies in the source."""

    sink: Sink
    notes: Notes
    own: tuple[int, int]


def export_commit(git: Git, commit: str, job: Copying) -> None:
    """Write all files of a commit, byte by byte as they are stored."""
    entries = list_commit(git, commit)
    with blob_reader(git) as blobs:
        for entry in entries:
            if not _is_safe(entry.path):
                job.notes.add("unsafe", entry.path)
            elif entry.mode == SUBMODULE:
                job.notes.add("submodules", entry.path)
                job.sink.folder(entry.path)
            else:
                size = blobs.size(entry.object_id)
                _write_blob(entry, size, blobs.chunks(size), job)


def _is_safe(path: bytes) -> bool:
    """A tree that somebody forged may name ``..`` or ``.git``; no honest one does."""
    found = parts(path)
    return found is not None and b"/".join(found) == path and b".git" not in (part.lower() for part in found)


def _write_blob(entry: TreeEntry, size: int, chunks: Iterable[bytes], job: Copying) -> None:
    if entry.mode == LINK:
        _write_link(entry.path, b"".join(chunks), job)
        return
    if size <= _POINTER:
        data = b"".join(chunks)
        if is_lfs_pointer(data):
            job.notes.add("lfs", entry.path)
        chunks = (data,)
    job.sink.file(entry.path, chunks, executable=entry.mode == EXECUTABLE)


def _write_link(path: bytes, target: bytes, job: Copying) -> None:
    if leads_out(path, target):
        job.notes.add("links", path)
    job.sink.link(path, target)


def export_folder(source: Path, job: Copying) -> None:
    """Copy a plain folder as it lies, without anything named ``.git``."""
    with opened(open_root(source)) as root:
        _copy_below(root, b"", job)


def export_listed(source: Path, listed: list[bytes], modules: set[bytes], job: Copying) -> None:
    """Copy the listed paths beneath `source`; those that are gone by now are passed over."""
    with opened(open_root(source)) as root:
        for path in listed:
            found = parts(path)
            if found is None:
                job.notes.add("unsafe", path)
                continue
            clean = b"/".join(found)
            if clean in modules:
                job.notes.add("submodules", clean)
                job.sink.folder(clean)
            else:
                _copy_path(root, found, job)


def _copy_path(root: int, found: tuple[bytes, ...], job: Copying) -> None:
    try:
        folder = open_folder(root, found[:-1])
    except (FileNotFoundError, NotADirectoryError):
        return
    with opened(folder):
        try:
            info = os.stat(found[-1], dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return
        entry = Entry(path=b"/".join(found), name=found[-1], folder=folder, info=info)
        if not entry.is_folder:
            _copy_entry(entry, job)
        elif (info.st_dev, info.st_ino) != job.own:
            with opened(open_folder(folder, found[-1:])) as inner:
                _copy_below(inner, entry.path + b"/", job)


def _copy_below(root: int, prefix: bytes, job: Copying) -> None:
    def enter(entry: Entry) -> bool:
        return not entry.is_git and (entry.info.st_dev, entry.info.st_ino) != job.own

    def refuse(path: bytes, reason: str) -> None:
        raise invalid(
            f"The folder {shown(prefix + path)} {reason}.", "Make it readable, or leave it out of the repository."
        )

    for entry in walk(root, depth=_DEPTH, refuse=refuse, enter=enter):
        moved = Entry(path=prefix + entry.path, name=entry.name, folder=entry.folder, info=entry.info)
        if entry.is_folder and not enter(entry):
            job.notes.add("git" if entry.is_git else "own", moved.path)
        else:
            _copy_entry(moved, job)


def _copy_entry(entry: Entry, job: Copying) -> None:
    if entry.is_git:
        job.notes.add("git", entry.path)
    elif entry.is_folder:
        job.sink.folder(entry.path)
    elif entry.is_link:
        _write_link(entry.path, entry.target(), job)
    elif not entry.is_file:
        job.notes.add("special", entry.path)
    elif entry.is_sparse:
        job.notes.add("sparse", entry.path)
    else:
        _copy_file(entry, job)


def _copy_file(entry: Entry, job: Copying) -> None:
    try:
        descriptor = open_file(entry.folder, entry.name)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise invalid(f"{shown(entry.path)} cannot be read: {reason}.", "Make it readable, or leave it out.") from error
    with opened(descriptor):
        info = os.fstat(descriptor)
        chunks = read_chunks(descriptor, info.st_size)
        start = next(chunks, b"") if info.st_size <= _POINTER else b""
        if is_lfs_pointer(start):
            job.notes.add("lfs", entry.path)
        job.sink.file(entry.path, itertools.chain((start,), chunks), executable=bool(info.st_mode & 0o111))
