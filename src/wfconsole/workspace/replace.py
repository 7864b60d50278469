"""Making a change to a workspace so that a process that dies within leaves nothing that cannot be finished or taken back.

Owns the record of the change, which is on disk before the first file is touched, and its history. Refuses to know where the
change comes from. The decision that would surprise: files are written aside first and renamed into place, in an order
that gives the same result however often it is begun anew.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from wfconsole.domain.plan import Json
from wfconsole.ports import RunFolder
from wfconsole.workspace.beneath import Owner, Sink, open_folder, open_root, opened
from wfconsole.workspace.changes import Change, Work
from wfconsole.workspace.git import Git
from wfconsole.workspace.repository import EXECUTABLE, LINK, blob_reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One change of the run's workspace: by which attempt (``STEP#N``), and what was handed over with it."""

    name: str
    work: Work
    outcome: bytes = b""


def home(folder: RunFolder) -> Path:
    """Where the run keeps the changes that were made to its workspace."""
    return folder.root / "applied"


def history(folder: RunFolder) -> Iterator[Record]:
    """The settled changes, the newest first."""
    for path in sorted(home(folder).glob("*.done"), reverse=True):
        yield _read(path)


def pending(folder: RunFolder) -> Record | None:
    found = _pending(folder)
    return None if found is None else _read(found)


def begin(folder: RunFolder, record: Record) -> None:
    """Put the record on disk; from here on the change is finished or taken back, by whomever."""
    place = home(folder)
    count = len(list(place.glob("*.done")))
    draft = place / "draft"
    with draft.open("wb") as out:
        out.write(json.dumps(_to_json(record)).encode())
        out.flush()
        os.fsync(out.fileno())
    draft.rename(place / f"{count + 1:06}.pending")
    _sync(place)


def settle(folder: RunFolder) -> None:
    """The pending change, if there is one, is history."""
    found = _pending(folder)
    if found is not None:
        found.rename(found.with_suffix(".done"))
        _sync(found.parent)


def forget(folder: RunFolder) -> None:
    """The pending change, if there is one, never was."""
    found = _pending(folder)
    if found is not None:
        found.unlink()
        _sync(found.parent)


def stage(folder: RunFolder, git: Git, work: Work, owner: Owner | None) -> None:
    """Write all that is to be written beside the workspace, named by its place in the list."""
    aside = home(folder) / "aside"
    if aside.exists():
        shutil.rmtree(aside)
    aside.mkdir(parents=True)
    with opened(open_root(aside)) as root, Sink(root, owner) as sink, blob_reader(git) as blobs:
        for number, change in enumerate(work.written):
            mode, blob = change.after or ("", "")
            chunks = blobs.chunks(blobs.size(blob))
            name = b"%d" % number
            if mode == LINK:
                sink.link(name, b"".join(chunks))
            else:
                sink.file(name, chunks, executable=mode == EXECUTABLE)


def _nothing(_point: str) -> None: ...


def carry_out(folder: RunFolder, work: Work, owner: Owner | None, at: Callable[[str], None] = _nothing) -> None:
    """Make the change, of which everything was staged. What is done already is done again to no effect.

    `at` is told "changing" before each file that goes or comes.
    """
    aside = home(folder) / "aside"
    with opened(open_root(folder.workspace)) as root, opened(open_root(aside)) as source:
        for path in sorted(work.removed):
            at("changing")
            with (
                suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
                _place(root, path) as (above, name),
            ):
                os.unlink(name, dir_fd=above)
        for path in sorted(work.gone, reverse=True):
            _remove_folder(root, path)
        with Sink(root, owner) as sink:
            for path in sorted(work.made):
                sink.folder(path)
        for number, change in enumerate(work.written):
            at("changing")
            _put(root, source, b"%d" % number, change)
    shutil.rmtree(aside)


def _put(root: int, source: int, staged: bytes, change: Change) -> None:
    with _place(root, change.path) as (above, name):
        os.rename(staged, name, src_dir_fd=source, dst_dir_fd=above)


def _remove_folder(root: int, path: bytes) -> None:
    with suppress(FileNotFoundError, NotADirectoryError), _place(root, path) as (above, name):
        try:
            os.rmdir(name, dir_fd=above)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:  # what others put there keeps the folder
                raise


@contextmanager
def _place(root: int, path: bytes) -> Iterator[tuple[int, bytes]]:
    *above, name = path.split(b"/")
    with opened(open_folder(root, above)) as folder:
        yield folder, name


def _pending(folder: RunFolder) -> Path | None:
    return next(iter(home(folder).glob("*.pending")), None)


def _read(path: Path) -> Record:
    data = json.loads(path.read_bytes())
    return Record(
        name=data["name"],
        work=Work(
            changes=tuple(
                Change(path=os.fsencode(name), before=_leaf(before), after=_leaf(after))
                for name, before, after in data["changes"]
            ),
            made=frozenset(map(os.fsencode, data["made"])),
            gone=frozenset(map(os.fsencode, data["gone"])),
        ),
        outcome=data["outcome"].encode(),
    )


def _leaf(data: Json) -> tuple[str, str] | None:
    return None if data is None else (data[0], data[1])


def _to_json(record: Record) -> Json:
    work = record.work
    return {
        "name": record.name,
        "changes": [[os.fsdecode(each.path), each.before, each.after] for each in work.changes],
        "made": sorted(map(os.fsdecode, work.made)),
        "gone": sorted(map(os.fsdecode, work.gone)),
        "outcome": record.outcome.decode(),
    }


def _sync(path: Path) -> None:
    with opened(os.open(path, os.O_RDONLY | os.O_CLOEXEC)) as folder:
        os.fsync(folder)
