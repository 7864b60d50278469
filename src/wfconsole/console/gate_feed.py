"""One gate as the engine's loop sees it: what its card shows, and what the operator may decide about it.

Owns that a card is made anew whenever its run's journal grows. Refuses to know widgets, and to sign: `deciding` does.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from wfconsole.control.deciding import find_gate, goes_on, look, refuse_incomplete, said, sign_and_send
from wfconsole.control.door import Door
from wfconsole.control.wiring import Wiring
from wfconsole.domain.draft import Refusal
from wfconsole.domain.events import Record
from wfconsole.domain.evolve import evolve, fold
from wfconsole.domain.plan import Json
from wfconsole.domain.run import RunState
from wfconsole.ports import WfconsoleError
from wfconsole.views.decidable import ANSWER, APPROVE, REJECT, Decidable, decidable
from wfconsole.views.evidence import Part, evidence
from wfconsole.views.run_view import RunViewBuilder, run_view

_PICTURE_SECONDS = 0.1
ACTIONS = (APPROVE, REJECT, ANSWER)


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePicture:
    """A gate after event `seq` of its run. `gate` is an entry of ``approvals[]``; `parts` are what its card shows.

    `who` signs here, empty when no key can be used, and then everything is refused. `stuck`: the gate could not open.
    """

    run_id: str
    seq: int
    view: Mapping[str, Json]
    gate: Mapping[str, Json]
    parts: tuple[Part, ...] = ()
    who: str = ""
    decidable: Decidable = field(default_factory=Decidable)
    stuck: Refusal | None = None

    @property
    def digest(self) -> str | None:
        found: str | None = self.gate["context_digest"]
        return found

    @property
    def is_question(self) -> bool:
        return bool(self.gate["kind"] == "question")


async def gate_card(
    door: Door, run_id: str, ref: str, identity: Callable[[], Awaitable[str]], now_ms: Callable[[], int]
) -> AsyncIterator[GatePicture]:
    """The gate that `ref` (its id, or its step's) names, anew as the journal grows. Raises NOT_FOUND."""
    who, keyless = await _who(identity)
    _, batch = await door.records(run_id)
    changes = door.store.changes(run_id, len(batch))
    builder, state = await asyncio.to_thread(_read, batch)  # a long journal must not hold the engine up
    seq = len(batch)
    while True:
        view = builder.document()
        gate = find_gate(view, ref)
        found = decidable(state, gate["gate_id"], who, now_ms())
        if keyless is not None:
            found = replace(found, refused={action: found.refused.get(action, keyless) for action in ACTIONS})
        yield _picture(run_id, seq, view, gate, who, found)
        batch = await anext(changes)
        for record in batch:
            builder.add(record)
            evolve(state, record)
        seq += len(batch)
        await asyncio.sleep(_PICTURE_SECONDS)


def _read(records: Sequence[Record]) -> tuple[RunViewBuilder, RunState]:
    builder, state = RunViewBuilder(), fold(records)
    assert state is not None  # noqa: S101 - the run was found, so its journal begins with its creation
    for record in records:
        builder.add(record)
    return builder, state


def _picture(
    run_id: str, seq: int, view: Mapping[str, Json], gate: Mapping[str, Json], who: str, found: Decidable
) -> GatePicture:
    stuck = gate["status"] is None
    why = next(iter(found.refused.values()), None) if stuck else None
    return GatePicture(
        run_id=run_id, seq=seq, view=view, gate=gate, who=who, decidable=found, stuck=why,
        parts=() if stuck else evidence(view, gate),
    )  # fmt: skip


async def _who(identity: Callable[[], Awaitable[str]]) -> tuple[str, Refusal | None]:
    try:
        return await identity(), None
    except WfconsoleError as error:
        return "", Refusal(code=error.code, reason=error.message, hint=error.hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the operator has decided and not signed yet. `digest` is that of the context that was on the screen."""

    run_id: str
    gate_id: str
    choice: str
    reason: str | None
    answer: dict[str, Json] | None
    digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What became of it: `line` for people; `refused` when it did not count. `to_drive`: the run that nobody goes on with."""

    line: str
    refused: bool = False
    to_drive: str | None = None


async def decide_gate(wiring: Wiring, door: Door, verdict: Verdict) -> Decided:
    """Sign it and hand it over. Raises DECISION_STALE when the gate shows something else by now, and what signing raises."""
    seen = await look(door, verdict.run_id, verdict.gate_id)
    refuse_incomplete(seen)
    payload, reply = await sign_and_send(
        wiring, door, seen, choice=verdict.choice, reason=verdict.reason, answer=verdict.answer, match=verdict.digest
    )
    if reply.refusal is not None:
        why = reply.refusal
        return Decided(line=f"{why.code}: {why.reason}" + (f" - {why.hint}" if why.hint else ""), refused=True)
    _, records = await door.records(verdict.run_id)
    view = run_view(records)
    gate = next(item for item in view["approvals"] if item["gate_id"] == payload["gate_id"])
    to_drive = None if reply.owned else _to_drive(view)
    goes_on_here = to_drive == verdict.run_id and view["status"] == "running"
    then = "this console goes on with it" if goes_on_here else goes_on(view, owned=bool(to_drive) or reply.owned)
    return Decided(line=f"{said(gate, payload)}; {then}", to_drive=to_drive)


def _to_drive(view: Mapping[str, Json]) -> str | None:
    """The run that has to be gone on with: this one, or when it is over the one that it goes on as."""
    if view["finished_at"] is not None:
        found: str | None = next(reversed(view["lineage"]["successors"]), None)
        return found
    return None if view["status"] == "paused" else str(view["run_id"])
