"""Is the sandbox that is about to run the one that the template's lock describes, and what follows when it is not.

Pure. Two fingerprints in (what the lock and the request say, what the engine says), the fields that differ out. Refuses to
know how either was obtained, and to call any difference harmless: what may differ is left out of a fingerprint by whoever
makes it. The decision that would surprise: an attempt whose container was changed while it ran keeps its result; it is
tainted, never trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from wfconsole.domain.plan import Json

Phase = Literal["lock", "probe", "create", "go", "exit"]
"""When it was found: reading the lock, probing the template, before the start, right before the first command, at the end."""
Policy = Literal["fallback", "fail"]
Decision = Literal["fallback", "fail", "taint"]

TAINTED = "tainted"
"""The fingerprint of an attempt whose sandbox was changed while it ran: its outputs are never reused."""

_SHOWN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field. `expected` and `observed` are JSON; null for a field that one side does not have."""

    field: str
    expected: Json = None
    observed: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """What was found. `fallback_template` is the template's own word, whatever `on_mismatch` says.

    `lock` and `observed` are the digests of the lock and of the fingerprint that was seen (empty when nothing could be seen).
    """

    template: str
    phase: Phase
    differences: tuple[Difference, ...]
    on_mismatch: Policy = "fail"
    fallback_template: str | None = None
    lock: str = ""
    observed: str = ""

    @property
    def command_started(self) -> bool:
        return self.phase == "exit"

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(difference.field for difference in self.differences)


def compare(expected: Mapping[str, Json], observed: Mapping[str, Json]) -> tuple[Difference, ...]:
    """Every field in which two fingerprints differ, by name; nested mappings are compared field by field (``host.Memory``)."""
    return tuple(
        Difference(field=field, expected=before, observed=after)
        for field, before, after in _walk("", expected, observed)
    )


def _walk(prefix: str, expected: Mapping[str, Json], observed: Mapping[str, Json]) -> Iterator[tuple[str, Json, Json]]:
    for name in sorted(expected.keys() | observed.keys()):
        before, after = expected.get(name), observed.get(name)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _walk(f"{prefix}{name}.", before, after)
        elif (name in expected) != (name in observed) or not same(before, after):
            yield f"{prefix}{name}", before, after


def same(left: Json, right: Json) -> bool:
    """Equal as JSON: true is not 1, and 1.0 is 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def verdict(drift: Drift, *, fell_back: bool) -> Decision:
    """What follows: `fallback` to the declared template, once a step; else `fail`. At the end only the trust is lost."""
    if drift.phase == "exit":
        return "taint"
    if fell_back or drift.on_mismatch != "fallback" or drift.fallback_template is None:
        return "fail"
    return "fallback"


def sentence(drift: Drift) -> str:
    """What differs, in one sentence; the first few fields by name."""
    names = list(drift.fields[:_SHOWN])
    more = len(drift.differences) - len(names)
    told = ", ".join(names) + (f" and {more} more" if more else "")
    when = {"exit": "was changed while it ran", "lock": "has a lock that was changed by hand"}
    return f"the sandbox of template {drift.template} {when.get(drift.phase, 'is not what its lock says')}: {told}"


def document(drift: Drift, *, run_id: str, step_id: str, attempt: int, decision: Decision) -> dict[str, Json]:
    """The `env_drift` artifact: expected and observed, field by field."""
    return {
        "kind": "env_drift",
        "schema_version": 1,
        "run_id": run_id,
        "step_id": step_id,
        "attempt": attempt,
        "template": drift.template,
        "phase": drift.phase,
        "command_started": drift.command_started,
        "decision": decision,
        "fallback_template": drift.fallback_template if decision == "fallback" else None,
        "lock": drift.lock,
        "observed": drift.observed,
        "differences": [
            {"field": each.field, "expected": each.expected, "observed": each.observed} for each in drift.differences
        ],
        "remedy": remedy(drift),
    }


def remedy(drift: Drift) -> str:
    """The commands that show the difference and mend it."""
    if drift.phase == "exit":
        return "find out who changed the container while it ran, then run the step again"
    name = drift.template
    return f"`wfconsole templates check {name}` shows it; `wfconsole templates build {name}` makes image and lock anew"
