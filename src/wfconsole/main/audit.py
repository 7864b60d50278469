"""`audit verify`: every check of a run that can be made offline.

The hash chain, the projections, every signature, and whether each gate ended as its decisions say.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from wfconsole.config import Settings
from wfconsole.control.wiring import Audited
from wfconsole.domain.backing import unbacked
from wfconsole.domain.codec import canonical, from_iso
from wfconsole.domain.decision import DECISION_NAMESPACE, START_NAMESPACE, mismatches, signed_bytes
from wfconsole.domain.events import DecisionRecorded, Record, RunCreated
from wfconsole.main.signing import signer_of
from wfconsole.ports import RunFilter, Signer, WfconsoleError
from wfconsole.store.sqlite import SqliteStore
from wfconsole.store.tombstones import SqliteRemains


async def audit(settings: Settings, ref: str | None) -> Sequence[Audited]:
    """One result for each run asked about. Raises NOT_FOUND."""
    store = SqliteStore.open(settings.state)
    try:
        stones = await _tombstones(store, ref)
        if ref and stones:
            return stones
        wanted = [await store.find_run(ref)] if ref else [row.run_id for row in await store.runs(RunFilter())]
        signer = signer_of(settings)
        return [*[await audit_run(store, signer, run_id) for run_id in wanted], *stones]
    finally:
        await store.close()


async def _tombstones(store: SqliteStore, ref: str | None) -> list[Audited]:
    """Of all deleted runs, or of the one that `ref` names and no run is."""
    remains = SqliteRemains(store)
    if ref is None:
        stones = list(await remains.tombstones())
    else:
        try:
            await store.find_run(ref)
        except WfconsoleError as error:
            named = await remains.tombstone(ref) if "tombstone" in error.details else None
            stones = [named] if named is not None else []
        else:
            return []
    left = {finding.run_id: finding for finding in await store.verify_tombstones()}
    return [
        Audited(
            run_id=stone.run_id,
            events=1,
            decisions=0,
            deleted=True,
            problems=(
                *stone.problems,
                *(f"{one.code}: {one.message}" for one in [left.get(stone.run_id)] if one and not stone.problems),
            ),
        )
        for stone in stones
    ]


async def audit_run(store: SqliteStore, signer: Signer, run_id: str) -> Audited:
    """What does not hold in one run. A key that expired later counts as it did when it signed."""
    problems = [f"{finding.code}: {finding.message}" for finding in await store.verify_run(run_id)]
    records: Sequence[Record] = await store.load(run_id)
    decisions = [(record, record.event) for record in records if isinstance(record.event, DecisionRecorded)]
    problems += [f"event {seq}: {problem}" for seq, problem in unbacked(records)]
    if records and isinstance(records[0].event, RunCreated) and (began := await _start(signer, records[0].event)):
        problems.append(f"event 1, the start: {began}")
    through: int | None = None
    for record, decision in decisions:
        problem = await _problem(store, signer, run_id, decision)
        if problem is not None:
            problems.append(f"event {record.seq}, the decision on {decision.gate_id}: {problem}")
        else:
            through = max(through or 0, int(decision.payload["seen"]["seq"]))
    return Audited(
        run_id=run_id,
        events=len(records),
        decisions=len(decisions),
        signed_through=through,
        problems=tuple(problems),
    )


async def _start(signer: Signer, created: RunCreated) -> str | None:
    """Did the author sign this start? Asked where a gate asks who the author is; a successor has the first run's."""
    if created.author is None and not created.start:
        return None
    payload, signature = created.start.get("payload"), created.start.get("signature")
    if not isinstance(payload, dict) or not isinstance(signature, str):
        return f"{created.author} is its author, and has signed nothing"
    expected = {"recipe_digest": created.plan.recipe.digest}
    if created.lineage is None:
        digest = hashlib.sha256(canonical(created.inputs)).hexdigest()
        expected |= {"inputs_sha256": digest, "workflow_id": created.workflow_id}
    if other := mismatches(payload, expected):
        return f"what was started is not what was signed ({', '.join(other)})"
    found = await signer.verify(
        signed_bytes(payload),
        signature,
        namespace=START_NAMESPACE,
        claimed=str(payload.get("actor")),
        at=from_iso(str(payload.get("at"))),
    )
    if not found.valid:
        return found.problem or "the signature does not hold"
    return None if found.principal == created.author else f"signed by {found.principal}, recorded as {created.author}"


async def _problem(store: SqliteStore, signer: Signer, run_id: str, decision: DecisionRecorded) -> str | None:
    payload = decision.payload
    told = {"run_id": run_id, "gate_id": decision.gate_id, "reason": decision.reason, "nonce": decision.nonce}
    differing = [name for name, value in told.items() if payload.get(name) != value]
    differing += ["answer"] if (payload.get("answer") or {}) != decision.answer else []
    if differing or (payload.get("choice") or "") != decision.choice:
        return f"what was recorded is not what was signed ({', '.join(differing) or 'choice'})"
    if decision.signature is None:
        return "it carries no signature"
    found = await signer.verify(
        signed_bytes(payload),
        decision.signature,
        namespace=DECISION_NAMESPACE,
        claimed=str(payload.get("actor")),
        at=from_iso(str(payload.get("at"))),
    )
    if not found.valid:
        return found.problem or "the signature does not hold"
    if found.principal != decision.principal:
        return f"signed by {found.principal}, recorded as {decision.principal}"
    seen = payload.get("seen") or {}
    seq, digest = await store.event_hash(run_id, int(seen.get("seq") or 0))
    return None if digest == seen.get("hash") else f"its signer saw another event {seq}"
