"""A workspace of a step's own: a copy of the run's, and the way back of what the step made of it.

Owns the order of the work; trees are in `snapshot`, conflicts in `changes`, the change itself in `replace`. Refuses to know when
nothing runs in the run's workspace. What would surprise: a copy is complete when its base is written beside it, and the base
names what the copy was made from, so that what the step changed is known whatever became of the run's workspace since.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.ports.copies import Applied, Changed, Copy
from wfconsole.workspace import replace, snapshot
from wfconsole.workspace.beneath import Owner, Sink, open_root, opened, shown
from wfconsole.workspace.changes import difference, merge, obstacles
from wfconsole.workspace.copy import told
from wfconsole.workspace.export import Copying, export_commit
from wfconsole.workspace.git import Git, invalid
from wfconsole.workspace.notes import Notes
from wfconsole.workspace.replace import Record

_SHOWN = 20
"""How many files of a conflict the sentence names; all are in the details."""

_PATIENCE_S = 30.0
"""How long another process may hold the run's workspace: one that is stopped holds it until it is gone."""


class GitCopies:
    """`ports.Copies` with git and ordinary files. `owner` gets what is written; None leaves it with this process."""

    def __init__(
        self, *, git: str = "git", owner: Owner | None = None, limits: snapshot.SnapshotLimits | None = None
    ) -> None:
        self._git = git
        self._owner = owner
        self._limits = limits or snapshot.SnapshotLimits()
        self._making = threading.Lock()

    async def make(self, copy: Copy) -> None:
        """See `ports.Copies`."""
        await asyncio.to_thread(told(f"copying the workspace for {copy.name}", lambda: self._make(copy)))

    async def changed(self, copy: Copy) -> Changed:
        """See `ports.Copies`. What is named ``.git``, and pipes and sockets, are no part of a change."""
        return await asyncio.to_thread(told(f"comparing the copy of {copy.name}", lambda: self._changed(copy)))

    async def patch(self, copy: Copy, changed: Changed) -> bytes | None:
        """See `ports.Copies`. Empty folders are no part of a patch."""
        git = self._trusted(copy.folder)
        return await asyncio.to_thread(snapshot.difference, git, changed.base, changed.tree, self._limits)

    async def apply(
        self, copy: Copy, changed: Changed, outcome: bytes, permit: Callable[[], None] | None = None
    ) -> None:
        """See `ports.Copies`."""
        await asyncio.to_thread(told(f"applying {copy.name}", lambda: self._apply(copy, changed, outcome, permit)))

    async def pending(self, folder: RunFolder) -> Applied | None:
        """See `ports.Copies`."""
        found = await asyncio.to_thread(replace.pending, folder)
        return None if found is None else Applied(name=found.name, outcome=found.outcome)

    async def finish(self, folder: RunFolder) -> None:
        """See `ports.Copies`."""
        await asyncio.to_thread(told("finishing a change", lambda: self._again(folder, back=False)))

    async def undo(self, folder: RunFolder) -> None:
        """See `ports.Copies`."""
        await asyncio.to_thread(told("taking a change back", lambda: self._again(folder, back=True)))

    async def settled(self, folder: RunFolder) -> None:
        """See `ports.Copies`."""
        await asyncio.to_thread(replace.settle, folder)

    async def drop(self, copy: Copy) -> None:
        """See `ports.Copies`."""
        await asyncio.to_thread(_drop, copy)

    def _trusted(self, folder: RunFolder) -> Git:
        """The run's trusted git folder; a run without a repository has made none."""
        trusted = Git(program=self._git, git_dir=folder.git)
        with self._making:
            if not (folder.git / "HEAD").exists():
                shutil.rmtree(folder.git, ignore_errors=True)
                snapshot.make_trusted(trusted)
        return trusted

    def _make(self, copy: Copy) -> None:
        base = _base(copy)
        if base.exists():
            return
        git = self._trusted(copy.folder)
        copy.folder.workspace.mkdir(parents=True, exist_ok=True)
        tree = snapshot.take(git, copy.folder.workspace, self._limits)
        folders = snapshot.list_folders(copy.folder.workspace, self._limits)
        _discard(copy.workspace)
        copy.workspace.mkdir(parents=True)
        copy.workspace.chmod(0o755)
        with opened(open_root(copy.workspace)) as root, Sink(root, self._owner) as sink:
            export_commit(git, tree, Copying(sink=sink, notes=Notes(), own=(0, 0)))
            for path in folders:
                sink.folder(path)
        draft = base.with_name("base.draft")
        draft.write_text(json.dumps({"tree": tree, "folders": list(map(os.fsdecode, folders))}))
        draft.rename(base)

    def _changed(self, copy: Copy) -> Changed:
        base = json.loads(_base(copy).read_bytes())
        return Changed(
            base=base["tree"],
            tree=snapshot.take(self._trusted(copy.folder), copy.workspace, self._limits),
            base_folders=frozenset(map(os.fsencode, base["folders"])),
            folders=frozenset(snapshot.list_folders(copy.workspace, self._limits)),
        )

    def _apply(self, copy: Copy, changed: Changed, outcome: bytes, permit: Callable[[], None] | None) -> None:
        folder, git = copy.folder, self._trusted(copy.folder)
        with alone(folder):
            if permit is not None:
                permit()
            if replace.pending(folder) is not None:
                raise invalid(f"A change of {folder.workspace} is not recorded yet.", "Run it again.")
            now = snapshot.take(git, folder.workspace, self._limits)
            folders = frozenset(snapshot.list_folders(folder.workspace, self._limits))
            theirs, ours = difference(git, changed.base, changed.tree), difference(git, changed.base, now)
            work, conflicts = merge(changed, theirs, ours, folders)
            with opened(open_root(folder.workspace)) as root:
                conflicts |= obstacles(root, work)
            if conflicts:
                raise _conflict(copy, conflicts)
            replace.stage(folder, git, work, self._owner)
            replace.begin(folder, Record(name=copy.name, work=work, outcome=outcome))
            try:
                replace.carry_out(folder, work, self._owner)
            except OSError:
                self._take_back(folder, git, Record(name=copy.name, work=work))
                raise

    def _again(self, folder: RunFolder, *, back: bool) -> None:
        with alone(folder):
            record = replace.pending(folder)
            if record is None:
                return
            git = self._trusted(folder)
            if back:
                self._take_back(folder, git, record)
            else:
                replace.stage(folder, git, record.work, self._owner)
                replace.carry_out(folder, record.work, self._owner)

    def _take_back(self, folder: RunFolder, git: Git, record: Record) -> None:
        back = record.work.undone()
        replace.stage(folder, git, back, self._owner)
        replace.carry_out(folder, back, self._owner)
        replace.forget(folder)


def _conflict(copy: Copy, conflicts: set[bytes]) -> WfconsoleError:
    """Who else changed these files is in the history; what is not there was changed in the shared workspace itself."""
    names = sorted(map(shown, conflicts))
    others = [
        record.name.rpartition("#")[0]
        for record in replace.history(copy.folder)
        if any(_touches(path, other) for path in conflicts for other in record.work.paths)
    ]
    by = " and ".join(others[:3]) or "a step that works in the run's own workspace"
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return WfconsoleError(
        "PATCH_CONFLICT",
        f"{copy.step_id} and {by} both changed {', '.join(names[:_SHOWN])}{more}; the workspace is as it was",
        f"let {copy.step_id} need {others[0] if others else 'that step'}, or have them write to different files",
        {"files": list(names), "steps": [copy.step_id, *others]},
    )


def _touches(path: bytes, other: bytes) -> bool:
    return path == other or path.startswith(other + b"/") or other.startswith(path + b"/")


@contextmanager
def alone(folder: RunFolder) -> Iterator[None]:
    """An owner that hung and was replaced must not go on beside the one that replaced it."""
    place = replace.home(folder)
    place.mkdir(parents=True, exist_ok=True)
    with opened(os.open(place / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)) as held:
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise invalid(
                        f"Another process has been changing {folder.workspace} for {_PATIENCE_S:.0f} s.",
                        f"End it: `fuser {place / 'lock'}` names it.",
                    ) from None
                time.sleep(0.02)
        yield


def _base(copy: Copy) -> Path:
    return copy.workspace.with_name("base")


def _drop(copy: Copy) -> None:
    _discard(copy.workspace)
    _base(copy).unlink(missing_ok=True)


def _discard(top: Path) -> None:
    """Remove a folder that a sandbox wrote, closed folders in it, too; nothing runs in it any more."""
    if not top.exists():
        return
    for folder, _, _ in os.walk(top):  # from the top, so that what is within can be listed
        for name in os.scandir(folder):
            if name.is_dir(follow_symlinks=False):
                Path(name.path).chmod(0o700)
    shutil.rmtree(top)
