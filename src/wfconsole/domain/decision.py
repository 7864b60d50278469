"""What a person signs: the payload of a decision and of a start, and where a payload differs from what is so.

Owns the fields that a signature covers. Refuses to know keys, and whether a decision may be made. The decision that would
surprise: fields are compared by their canonical bytes, so that 1, true and 1.0 are three different answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from wfconsole.domain.codec import canonical, iso
from wfconsole.domain.plan import Json

VERSION = 1
DECISION_NAMESPACE = "decision@wfconsole"
START_NAMESPACE = "start@wfconsole"


def decision_payload(
    *,
    run_id: str,
    gate_id: str,
    choice: str,
    reason: str | None,
    answer: Json,
    context_digest: str | None,
    plan_digest: str,
    actor: str,
    at: int,
    nonce: str,
    seen_seq: int,
    seen_hash: str,
) -> dict[str, Json]:
    """What the signature of a decision covers. `at` is milliseconds; `seen_*` is the last event that its signer saw."""
    return {
        "version": VERSION,
        "kind": "decision",
        "run_id": run_id,
        "gate_id": gate_id,
        "choice": choice,
        "reason": reason,
        "answer": answer,
        "context_digest": context_digest,
        "plan_digest": plan_digest,
        "actor": actor,
        "at": iso(at),
        "nonce": nonce,
        "seen": {"seq": seen_seq, "hash": seen_hash},
    }


def start_payload(
    *, recipe_digest: str, inputs_sha256: str, workflow_id: str, actor: str, at: int, nonce: str
) -> dict[str, Json]:
    """What the signature of a run's start covers."""
    return {
        "version": VERSION,
        "kind": "start",
        "recipe_digest": recipe_digest,
        "inputs_sha256": inputs_sha256,
        "workflow_id": workflow_id,
        "actor": actor,
        "at": iso(at),
        "nonce": nonce,
    }


def signed_bytes(payload: Mapping[str, Json]) -> bytes:
    """The bytes that are signed and verified: one payload has one form."""
    return canonical(dict(payload))


def mismatches(payload: Mapping[str, Json], expected: Mapping[str, Json]) -> tuple[str, ...]:
    """Names of the expected fields that the payload lacks or has otherwise, in the order of `expected`.

    Fields that `expected` does not name (a time, a nonce) are not looked at.
    """
    return tuple(name for name, value in expected.items() if name not in payload or not _same(payload[name], value))


def seen_seq(payload: Mapping[str, Json]) -> int:
    """The last event that the signer of this decision says to have seen; 0 when the payload names none."""
    seen = payload.get("seen")
    seq = seen.get("seq") if isinstance(seen, dict) else None
    return seq if isinstance(seq, int) else 0


def _same(one: Json, other: Json) -> bool:
    try:
        return canonical(one) == canonical(other)
    except (ValueError, RecursionError):  # not a number, or too deep: foreign JSON that no payload of ours equals
        return False
