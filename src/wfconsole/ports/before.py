"""The workspace as it was before an attempt: kept, and put back. Part of `ports`, whose conventions hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from wfconsole.ports import RunFolder

At = Callable[[str], None]
"""Told of points within a change, in a thread: `alone` (nobody else changes the workspace now, and nothing has changed yet),
`staged`, `changing` (each file), `changed`. What it raises ends the change there; it can be begun anew."""


class Before(Protocol):
    """Keeps the workspace of a run as it is before attempts. Attempts are named ``STEP#N``; what is noted of one stays.

    The caller sees to it that nothing runs in the workspace during `keep` and `put_back`, or that what comes of it is never used.
    """

    async def knows(self, folder: RunFolder, name: str) -> bool:
        """Was something noted of this attempt? Then it may have begun."""
        ...

    async def keep(self, folder: RunFolder, name: str, pristine: str | None) -> None:
        """Keep the workspace as it is now. `pristine`: nothing has changed it yet, and it is this tree.

        A workspace that cannot be kept (too large, unreadable) is noted as such, and is no error.
        """
        ...

    async def pass_over(self, folder: RunFolder, name: str) -> None:
        """Note that the workspace was not kept before this attempt."""
        ...

    async def put_back(self, folder: RunFolder, earlier: str, name: str, at: At | None = None) -> bool:
        """Make the workspace what it was before `earlier`, and note it for `name`; False when it was not kept then.

        May be repeated after a crash within. Raises WORKSPACE_INVALID, DISK_FULL.
        """
        ...
