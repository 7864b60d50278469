"""Ports of workspaces of a step's own: copied, compared, and brought back as a patch. Part of `ports`, whose conventions hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wfconsole.ports import RunFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """The copy that one attempt works in. `name` is ``STEP#N``."""

    folder: RunFolder
    step_id: str
    attempt: int

    @property
    def name(self) -> str:
        return f"{self.step_id}#{self.attempt}"

    @property
    def workspace(self) -> Path:
        return self.folder.attempt(self.step_id, self.attempt) / "workspace"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """What an attempt made of its copy: trees in the run's trusted git folder, and all folders, which trees leave out."""

    base: str
    tree: str
    base_folders: frozenset[bytes]
    folders: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """A change whose application was begun; `outcome` is what was handed to `apply` with it."""

    name: str
    outcome: bytes


class Copies(Protocol):
    """Copies of one run's workspace. Raise WfconsoleError with WORKSPACE_INVALID or DISK_FULL.

    Nothing may run in the run's workspace during `make`, and neither run in nor read it during `apply`, `finish` and `undo`: that
    is the caller's to see to. All are idempotent, and may be repeated by another process when the first one died within.
    """

    async def make(self, copy: Copy) -> None:
        """Copy the run's workspace as it is now. A copy that was completed before is left as it lies."""
        ...

    async def changed(self, copy: Copy) -> Changed:
        """What became of the copy. Nothing may run in it any more."""
        ...

    async def patch(self, copy: Copy, changed: Changed) -> bytes | None:
        """The change as `git apply --binary` takes it; None when no file changed."""
        ...

    async def apply(
        self, copy: Copy, changed: Changed, outcome: bytes, permit: Callable[[], None] | None = None
    ) -> None:
        """Make the same change to the run's workspace, all of it or nothing, and keep `outcome` with it.

        Raises PATCH_CONFLICT when a file that changed here has changed there since, to something else. No change may be pending.
        `permit` is asked in a thread when nobody else can change the workspace any more; with what it raises nothing is changed.
        """
        ...

    async def pending(self, folder: RunFolder) -> Applied | None:
        """The change that was begun and not `settled`; there is at most one."""
        ...

    async def finish(self, folder: RunFolder) -> None:
        """Carry the pending change out to its end."""
        ...

    async def undo(self, folder: RunFolder) -> None:
        """Take the pending change back."""
        ...

    async def settled(self, folder: RunFolder) -> None:
        """The outcome of the pending change is recorded elsewhere: it is history."""
        ...

    async def drop(self, copy: Copy) -> None:
        """Remove the copy."""
        ...
