"""Ports of keeping and removing: what is left of deleted runs, contents on disk, containers by label. Part of `ports`.

All sizes are bytes as they lie on disk (blocks), unless said; all times milliseconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wfconsole.domain.plan import Json
from wfconsole.ports.owning import Lease


@dataclass(frozen=True, slots=True, kw_only=True)
class Tombstone:
    """What is left of a deleted run. `counts` and `bytes` are what was shown before, `freed` what is really gone.

    `finished_at` is None while something of it is still to be removed; `problems` are sentences, empty when it holds.
    """

    run_id: str
    workflow_id: str
    deleted_at: int
    seq: int
    hash: str
    counts: Mapping[str, int]
    bytes: int
    actor: str
    reason: str | None
    freed: int | None
    finished_at: int | None
    problems: tuple[str, ...] = ()

    @property
    def told(self) -> str:
        """What it was, for a hint."""
        counted = ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items()) if count)
        return f"it had {counted or 'nothing'}; {self.bytes} bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A run as retention sees it. `policy` is what its recipe says: ``{age, count, bytes}`` in ms and bytes, or None."""

    run_id: str
    recipe: str
    status: str
    created_at: int
    finished_at: int | None
    policy: Json = None


class Remains(Protocol):
    """What the database knows of runs that are, or were, removed. Raises what the store raises."""

    async def tombstones(self) -> Sequence[Tombstone]:
        """Of all deleted runs, oldest first."""
        ...

    async def tombstone(self, ref: str) -> Tombstone | None:
        """The one that `ref` (an id, a part of it, a workflow_id) names."""
        ...

    async def unfinished(self) -> Sequence[str]:
        """Runs whose removal has begun and not ended, oldest first."""
        ...

    async def counts(self, run_id: str) -> Mapping[str, int]:
        """`steps` that began, `attempts`, and `artifacts` of a run."""
        ...

    async def reused_by(self) -> Mapping[str, frozenset[str]]:
        """The runs that reuse a run's steps, by that run."""
        ...

    async def exclusive(self, run_ids: Sequence[str]) -> Sequence[str]:
        """sha256 of the contents that these runs alone refer to."""
        ...

    async def doomed(self, run_id: str) -> Sequence[str]:
        """sha256 of the contents of a run under removal that nothing else refers to."""
        ...

    async def referred(self) -> frozenset[str]:
        """sha256 of every content that a run refers to."""
        ...

    async def ended_attempts(self, run_id: str) -> frozenset[tuple[str, int]]:
        """Steps with the numbers of their attempts whose end is recorded."""
        ...

    async def kept(self) -> Sequence[Kept]:
        """Every run, newest first."""
        ...

    async def measured(self, run_id: str, size: int) -> None:
        """Note what lies on disk before the removal; the first note stays."""
        ...

    async def finish(self, run_id: str, *, after: int, at: int, lease: Lease | None = None) -> None:
        """Drop journal and inbox of the run, close its tombstone; `after` bytes of it are still on disk. Idempotent.

        Raises OWNER_LOST, and changes nothing, when `lease` is the run's no more.
        """
        ...


class Blobs(Protocol):
    """The artifact contents, as files."""

    def size(self, shas: Iterable[str]) -> int:
        """What they take on disk; those that are gone take nothing."""
        ...

    def moment(self) -> int:
        """Now, by the clock that contents are dated with, which may be a few ms late: what is stored later is not older."""
        ...

    def remove(self, shas: Iterable[str], *, spare_since: int | None) -> int:
        """Remove them, all but those stored again at or after `spare_since`; how many went."""
        ...

    def strays(self, referred: frozenset[str], *, before: int) -> Sequence[tuple[str, int]]:
        """Contents that nothing refers to and that are older than `before`, with their sizes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A container that some wfconsole made; `ours`: from this state folder."""

    container_id: str
    name: str
    database_id: str
    run_id: str
    step_id: str
    attempt: int
    running: bool
    ours: bool


class Containers(Protocol):
    """Containers by label, of whatever run. Raises SANDBOX_UNAVAILABLE."""

    async def all(self) -> Sequence[Container]:
        """Every container that any wfconsole made on this engine."""
        ...

    async def of(self, run_id: str) -> Sequence[Container]:
        """The containers of one run of this state folder."""
        ...

    async def remove(self, container: Container) -> None:
        """Remove it with its secrets; idempotent. Refuses one that is not ours."""
        ...

    async def left(self) -> Sequence[str]:
        """Names of containers that are gone while their secrets or output still lie on the host's tmpfs."""
        ...

    async def wipe(self, name: str) -> None:
        """Remove what lies on the tmpfs for the container of that name; idempotent, asks no engine."""
        ...

    async def wipe_run(self, run_id: str) -> None:
        """The same for every container that the run ever had."""
        ...

    async def close(self) -> None: ...
