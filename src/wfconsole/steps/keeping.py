"""An artifact that an attempt leaves: stored by its digest, with a copy of its own in the run's bundle.

Owns the name of the artifact and its place in the bundle. Refuses to record it: that is for who asked.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wfconsole.domain.records import ArtifactKind, ArtifactRecord
from wfconsole.ports import Artifacts, RunFolder


class Place(Protocol):
    """Where an attempt keeps what it leaves."""

    @property
    def folder(self) -> RunFolder: ...

    @property
    def step_id(self) -> str: ...

    @property
    def attempt(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPlace:
    """A `Place` by itself, for who has no more of the attempt."""

    folder: RunFolder
    step_id: str
    attempt: int


async def keep(
    artifacts: Artifacts, place: Place, *, kind: ArtifactKind, name: str, media_type: str, data: bytes
) -> ArtifactRecord:
    """Store an artifact and lay it out in the bundle; not recorded yet. Raises OSError, DISK_FULL."""
    sha256, size = await artifacts.put_bytes(data)
    await asyncio.to_thread(_lay_out, place.folder.artifacts / place.step_id / name, data)
    return ArtifactRecord(
        artifact_id=f"{place.step_id}#{place.attempt}/{name}",
        step_id=place.step_id,
        attempt=place.attempt,
        name=name,
        kind=kind,
        sha256=sha256,
        bytes=size,
        media_type=media_type,
    )


def _lay_out(place: Path, content: bytes) -> None:
    """The bundle has its own copy; whole or not at all, also when an earlier attempt left one."""
    place.parent.mkdir(parents=True, exist_ok=True)
    partial = place.with_name(f".partial-{place.name}")
    partial.write_bytes(content)
    partial.replace(place)
