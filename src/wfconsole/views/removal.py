"""What a deletion takes with it, as lines: the runs, how much of each kind, the bytes on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import plural, size


def removal_lines(run_ids: Sequence[str], counts: Mapping[str, int], bytes_: int, *, verb: str) -> Iterator[str]:
    """``would go: RUN`` for each run, then the counts."""
    yield from (f"{verb}: {safe_text(run_id)}" for run_id in run_ids)
    told = ", ".join(plural(counts[name], name.removesuffix("s")) for name in counts)
    yield f"{told}; {size(bytes_)} on disk"
