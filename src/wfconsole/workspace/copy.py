"""The workspace of a run: copied from the operator's repository, pinned, compared at the end.

Owns the order of the work; reading is in `repository`, writing in `export`, trees are in `snapshot`. Refuses to run git
where a sandbox could have written. The decision that would surprise: the pin is the tree of what was copied, not the
source's own tree, so that it also says what became of submodules and of files that could not be copied.
"""

from __future__ import annotations

import asyncio
import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from wfconsole.domain.facts import WorkspacePin
from wfconsole.ports import RunFolder, WfconsoleError, WorkspaceCopy
from wfconsole.workspace import snapshot
from wfconsole.workspace.beneath import Owner, Sink, open_root, opened
from wfconsole.workspace.export import Copying, export_commit, export_folder, export_listed
from wfconsole.workspace.git import Git, invalid
from wfconsole.workspace.notes import Notes
from wfconsole.workspace.repository import Repository, head, list_worktree, locate, resolve_commit, uncommitted

WORKTREE = "worktree"
"""The ref that means: the files as they lie."""

_PINNED = "pinned"

Result = TypeVar("Result")


class GitWorkspaces:
    """`ports.Workspaces` with git and ordinary files. `owner` gets the copied files; None leaves them with this process.

    Work is done in threads; calls for different runs may overlap.
    """

    def __init__(
        self, *, git: str = "git", owner: Owner | None = None, limits: snapshot.SnapshotLimits | None = None
    ) -> None:
        self._git = git
        self._owner = owner
        self._limits = limits or snapshot.SnapshotLimits()

    async def copy(self, source: Path, ref: str, folder: RunFolder) -> WorkspaceCopy:
        """See `ports.Workspaces`. A second copy into a folder whose first one was completed is refused."""
        return await asyncio.to_thread(told(f"copying {source}", lambda: self._copy(source, ref, folder)))

    async def diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
        """See `ports.Workspaces`. Files and folders named ``.git`` are no part of a difference, empty folders neither."""
        return await asyncio.to_thread(told("comparing the workspace", lambda: self._diff(folder, pin)))

    async def keep(self, folder: RunFolder) -> str:
        """See `ports.Workspaces`. Empty folders are noted beside the tree, which has none."""
        return await asyncio.to_thread(told("keeping the workspace", lambda: self._keep(folder)))

    async def restore(self, source: RunFolder, folder: RunFolder, tree: str | None) -> None:
        """See `ports.Workspaces`. What the source's trusted folder knows is copied, never shared."""
        await asyncio.to_thread(told("restoring the workspace", lambda: self._restore(source, folder, tree)))

    def _keep(self, folder: RunFolder) -> str:
        trusted = Git(program=self._git, git_dir=folder.git)
        if not (folder.git / "HEAD").exists():  # a run without a repository has made none
            shutil.rmtree(folder.git, ignore_errors=True)
            snapshot.make_trusted(trusted)
        tree = snapshot.take(trusted, folder.workspace, self._limits)
        snapshot.note_folders(folder.git, tree, folder.workspace, self._limits)
        return tree

    def _restore(self, source: RunFolder, folder: RunFolder, tree: str | None) -> None:
        if source.git.is_dir():
            shutil.copytree(source.git, folder.git)
        folder.workspace.mkdir(mode=0o755)
        folder.workspace.chmod(0o755)
        if tree is None:
            return
        with self._job(folder, Notes()) as job:
            export_commit(Git(program=self._git, git_dir=folder.git), tree, job)
            for path in snapshot.noted_folders(folder.git, tree):
                job.sink.folder(path)

    def _copy(self, source: Path, ref: str, folder: RunFolder) -> WorkspaceCopy:
        repository = locate(source, self._git)
        notes = Notes()
        with _fresh(folder):
            if repository is None:
                commit = None
                self._copy_plain(source, ref, folder, notes)
            elif ref == WORKTREE:
                commit = self._copy_worktree(repository, folder, notes)
            else:
                commit = self._copy_commit(repository, ref, folder, notes)
            trusted = Git(program=self._git, git_dir=folder.git)
            snapshot.make_trusted(trusted)
            tree = snapshot.take(trusted, folder.workspace, self._limits)
            (folder.git / _PINNED).write_text(tree)
        pin = WorkspacePin(source=str(source), ref=ref, commit=commit, tree=tree)
        return WorkspaceCopy(pin=pin, warnings=notes.sentences())

    def _copy_plain(self, source: Path, ref: str, folder: RunFolder, notes: Notes) -> None:
        if ref != WORKTREE:
            notes.first.append(f"{source} is no git repository; it is copied as it lies and ref {ref} is ignored.")
        with self._job(folder, notes) as job:
            export_folder(source, job)

    def _copy_worktree(self, repository: Repository, folder: RunFolder, notes: Notes) -> str | None:
        listed, modules = list_worktree(repository)
        with self._job(folder, notes) as job:
            export_listed(repository.folder, listed, modules, job)
        return head(repository)

    def _copy_commit(self, repository: Repository, ref: str, folder: RunFolder, notes: Notes) -> str:
        if repository.top is not None and repository.folder != repository.top:
            raise invalid(
                f"{repository.folder} is a folder inside the git repository {repository.top}.",
                f"Name {repository.top}, or set workspace.ref to worktree to take this folder alone.",
            )
        commit = resolve_commit(repository, ref)
        if commit == head(repository):
            missing = uncommitted(repository, commit)
            notes.add("changed", *missing.changed)
            notes.add("untracked", *missing.untracked)
        with self._job(folder, notes) as job:
            export_commit(repository.git, commit, job)
        return commit

    @contextmanager
    def _job(self, folder: RunFolder, notes: Notes) -> Iterator[Copying]:
        info = folder.root.stat()
        with opened(open_root(folder.workspace)) as root, Sink(root, self._owner) as sink:
            yield Copying(sink=sink, notes=notes, own=(info.st_dev, info.st_ino))

    def _diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
        trusted = Git(program=self._git, git_dir=folder.git)
        after = snapshot.take(trusted, folder.workspace, self._limits)
        return snapshot.difference(trusted, pin.tree, after, self._limits)


@contextmanager
def _fresh(folder: RunFolder) -> Iterator[None]:
    """Empty folders to copy into; nothing is left behind when the copy fails."""
    if (folder.git / _PINNED).exists():
        raise invalid(f"{folder.root} already has its workspace.", "Start a new run.")
    _discard(folder)
    folder.workspace.mkdir(parents=True, mode=0o755)
    folder.workspace.chmod(0o755)
    try:
        yield
    except BaseException:
        _discard(folder)
        raise


def _discard(folder: RunFolder) -> None:
    for path in (folder.workspace, folder.git):
        if path.exists():
            shutil.rmtree(path)


def told(doing: str, work: Callable[[], Result]) -> Callable[[], Result]:
    """Turn errors of the file system into the words of the catalogue."""

    def careful() -> Result:
        try:
            return work()
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise WfconsoleError("DISK_FULL", f"The disk is full ({doing}).", "Free space, or run gc.") from error
            raise invalid(f"{doing.capitalize()} failed: {error.strerror or error}.", "Check the folder.") from error

    return careful
