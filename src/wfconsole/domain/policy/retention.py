"""Which ended runs are kept no longer: by age, by number and by size, for each recipe.

Pure: the ages, the sizes and the policies come in. The decision that would surprise: what the newest run of a recipe says
holds for all its runs, so that a policy that was changed takes effect on what is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wfconsole.domain.plan import Json

_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """How long ended runs are kept: milliseconds since their end, runs of one recipe, bytes of one recipe. None: no bound."""

    age: int | None = None
    count: int | None = None
    bytes: int | None = None

    def under(self, said: Json) -> Retention:
        """These bounds where a recipe's own policy (``{age, count, bytes}``) is silent, else that policy's."""
        if not isinstance(said, Mapping):
            return self
        return Retention(
            age=_bound(said.get("age"), self.age),
            count=_bound(said.get("count"), self.count),
            bytes=_bound(said.get("bytes"), self.bytes),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """An ended run: when, in milliseconds since the epoch, and what it takes in bytes."""

    run_id: str
    finished_at: int
    bytes: int = 0


def expired(newest_first: Iterable[Ended], policy: Retention, *, now: int) -> Sequence[tuple[str, str]]:
    """The runs of one recipe that go, each with the reason; the newest one is kept by number and size."""
    found: list[tuple[str, str]] = []
    total = 0
    for place, run in enumerate(newest_first, start=1):
        total += run.bytes
        if policy.age is not None and now - run.finished_at > policy.age:
            found.append((run.run_id, f"it ended more than {policy.age / _DAY_MS:.4g} days ago"))
        elif policy.count is not None and place > max(1, policy.count):
            found.append((run.run_id, f"beyond the {policy.count} newest of its recipe"))
        elif policy.bytes is not None and place > 1 and total > policy.bytes:
            found.append((run.run_id, f"beyond the {policy.bytes} bytes of its recipe"))
    return found


def _bound(said: Json, otherwise: int | None) -> int | None:
    return said if isinstance(said, int) and not isinstance(said, bool) else otherwise
