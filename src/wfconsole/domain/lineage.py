"""Where a run comes from when it goes on from another: its parent, what it takes over, and what it was told.

Owns the values that a successor is made with and the id it gets. Refuses to know how they are found out (`succession`). The
decision that would surprise: the id is derived from the parent and the gate, so that the same ruling, committed twice, is
one successor.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Literal

from wfconsole.domain.plan import Json
from wfconsole.domain.records import ArtifactRecord

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """How a gate of an earlier run closed. `choice` and `actor` are None when it was the deadline; `at` in milliseconds."""

    step_id: str
    gate_id: str
    run_id: str
    choice: str | None
    reason: str | None
    actor: str | None
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """The parent of a successor and what the run needs of it.

    `tree`: the workspace before `retried_from` first ran, in the parent's trusted git folder; None when no step of the plan
    can change one. `kept`: such trees for other steps that are taken over. `asks`: gates that were granted and ask
    again (and the groups around them), though what needed them is taken over. `rejections`: the newest last, one a gate.
    `by_timer`: it was a deadline that made this run, and nobody's decision.
    """

    root: str
    parent: str
    retried_from: str
    tree: str | None = None
    kept: dict[str, str] = field(default_factory=dict)
    asks: tuple[str, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    by_timer: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A step that is not run again. `reused_from` is the run that executed it; `cause` and `reason` are of a skipped one."""

    step_id: str
    status: Literal["succeeded", "skipped"] = "succeeded"
    reused_from: str = ""
    outputs: dict[str, Json] = field(default_factory=dict)
    artifacts: tuple[ArtifactRecord, ...] = ()
    cause: Literal["when", "upstream", "group"] = "when"
    reason: str = ""


def successor_id(parent: str, gate_id: str, opened_at: int) -> str:
    """The id of the run that goes on after this gate (its name holds the attempt): sortable by time like every run's."""
    chance = int.from_bytes(hashlib.sha256(f"{parent}/{gate_id}".encode()).digest()[:4]) >> 2
    value = (opened_at << 30) | chance
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(75, -1, -5))


def successor_key(parent: str, workflow_id: str, successor: str) -> str:
    """Its workflow_id: its own id, or when the parent was given a key, that key with the id behind it."""
    return successor if workflow_id == parent else f"{workflow_id.partition('+retry.')[0][:170]}+retry.{successor}"
