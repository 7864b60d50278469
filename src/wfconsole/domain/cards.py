"""The question card of a gate: what is asked, between what, until when, as one artifact that exists before the gate is open.

Refuses to know where artifacts are kept. The decision that would surprise: the card of a blocked command is recorded by the
ruling that opens its gate, so its bytes follow from that event alone, and whoever commits the ruling stores them first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from wfconsole.domain.codec import canonical, iso
from wfconsole.domain.gate_events import ApprovalRequested
from wfconsole.domain.records import ArtifactRecord

NAME = "question_card.json"
MEDIA_TYPE = "application/json"


def question_card(*, prompt: str, choices: Iterable[str], gate_id: str, context_digest: str, expires_at: int) -> bytes:
    """The card's bytes; `expires_at` in ms since the epoch."""
    card = {
        "prompt": prompt,
        "choices": list(choices),
        "gate_id": gate_id,
        "context_digest": context_digest,
        "expires_at": iso(expires_at),
    }
    return canonical(card)


def blocked_cards(events: Iterable[object]) -> Sequence[tuple[ArtifactRecord, bytes]]:
    """What has to be stored before these events are: the cards of the blocked commands that they ask about."""
    return [
        (card_record(event), _card(event))
        for event in events
        if isinstance(event, ApprovalRequested) and event.kind == "blocked"
    ]


def card_record(asked: ApprovalRequested) -> ArtifactRecord:
    """The card of this gate as an artifact. A second command blocked in the same attempt has a card of its own."""
    data = _card(asked)
    nth = asked.gate_id.partition("#")[2].partition(".")[2]
    return ArtifactRecord(
        artifact_id=f"{asked.gate_id}/{NAME}",
        step_id=asked.step_id,
        attempt=asked.attempt,
        name=f"question_card-{nth}.json" if nth else NAME,
        kind="question_card",
        sha256=hashlib.sha256(data).hexdigest(),
        bytes=len(data),
        media_type=MEDIA_TYPE,
    )


def _card(asked: ApprovalRequested) -> bytes:
    return question_card(
        prompt=asked.title,
        choices=asked.choices,
        gate_id=asked.gate_id,
        context_digest=asked.context_digest,
        expires_at=asked.expires_at,
    )
