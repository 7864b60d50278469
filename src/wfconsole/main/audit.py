"""`audit verify`: every check of a run that can be made offline: the hash chain, the projections, every decision's signature."""

from __future__ import annotations

from collections.abc import Sequence

from wfconsole.cli.wiring import Audited
from wfconsole.config import Settings
from wfconsole.domain.codec import from_iso
from wfconsole.domain.decision import DECISION_NAMESPACE, signed_bytes
from wfconsole.domain.events import DecisionRecorded, Record
from wfconsole.main.signing import signer_of
from wfconsole.ports import RunFilter, Signer
from wfconsole.store.sqlite import SqliteStore


async def audit(settings: Settings, ref: str | None) -> Sequence[Audited]:
    """One result for each run asked about. Raises NOT_FOUND."""
    store = SqliteStore.open(settings.state)
    try:
        wanted = [await store.find_run(ref)] if ref else [row.run_id for row in await store.runs(RunFilter())]
        signer = signer_of(settings)
        return [await audit_run(store, signer, run_id) for run_id in wanted]
    finally:
        await store.close()


async def audit_run(store: SqliteStore, signer: Signer, run_id: str) -> Audited:
    """What does not hold in one run. A key that expired later counts as it did when it signed."""
    problems = [f"{finding.code}: {finding.message}" for finding in await store.verify_run(run_id)]
    records: Sequence[Record] = await store.load(run_id)
    decisions = [(record, record.event) for record in records if isinstance(record.event, DecisionRecorded)]
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


async def _problem(store: SqliteStore, signer: Signer, run_id: str, decision: DecisionRecorded) -> str | None:
    payload = decision.payload
    told = {"run_id": run_id, "gate_id": decision.gate_id, "reason": decision.reason, "nonce": decision.nonce}
    differing = [name for name, value in told.items() if payload.get(name) != value]
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
