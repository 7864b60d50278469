"""The operator's secrets by the names that recipes use, and what keeps them from being stored. Part of `ports`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol


class Secrets(Protocol):
    """Where secrets come from. Values are bytes; whoever gets them writes them to no disk and puts them into no event."""

    async def read(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """The values as they are now, all or none. Raises SECRET_MISSING, or INPUT_INVALID for one too short to be hidden."""
        ...

    async def to_hide(self, names: Sequence[str]) -> Sequence[bytes]:
        """`read`, and every earlier value of the same names that this process was given."""
        ...


class Screen(Protocol):
    """Keeps secrets out of what is about to be stored. Safe to use from threads, one call at a time."""

    def text(self, data: bytes) -> bytes:
        """`data` with every secret hidden. Raises SECRET_MISSING when it is not known what to hide."""
        ...

    def finds(self, data: bytes) -> bool:
        """Is a secret in `data`, or can nobody tell?"""
        ...

    def file(self, path: Path) -> str | None:
        """Hide every secret in a file of ours, in place; the end of a sentence when it must not be kept at all."""
        ...
