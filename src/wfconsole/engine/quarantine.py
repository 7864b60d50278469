"""Putting on record that a run is set aside, so that everybody who looks at it is told why and what to do.

Refuses to decide when: that counts the lease, see `supervisor`. The decision that would surprise: that this cannot be recorded is
passed over. What keeps a run from being driven may keep its journal from being read, and then the count alone sets it aside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from wfconsole.domain.decide import decide
from wfconsole.domain.evolve import fold
from wfconsole.domain.facts import SetAside
from wfconsole.domain.plan import Json
from wfconsole.ports import Clock, Commit, Store, WfconsoleError
from wfconsole.ports.owning import Hold

Inform = Callable[[str, int], Awaitable[None]]
"""Tells hooks and the like what was recorded of a run after this event."""
SettingAside = Callable[[str, Hold, int, WfconsoleError], Awaitable[None]]
"""Records that so many attempts to drive the run, which is held, have failed, and how the last one did."""


def quarantined(run_id: str, attempts: int, trouble: str | None) -> WfconsoleError:
    """What whoever wants to drive the run is told."""
    message = f"run {run_id} was set aside: {attempts} times it could not be driven; the last time: {trouble}"
    return WfconsoleError(
        "RUN_QUARANTINED", message, remedy(run_id), {"recovery_attempts": attempts, "reason": trouble}
    )


def remedy(run_id: str) -> str:
    return f"when the reason is gone: wfconsole resume {run_id}"


def setter_aside(store: Store, clock: Clock, inform: Inform | None = None) -> SettingAside:
    """A function that records with these ports."""

    async def set_aside(run_id: str, hold: Hold, attempts: int, error: WfconsoleError) -> None:
        state = fold(await store.load(run_id))
        if state is None:
            return
        fact = SetAside(
            fact_id=f"aside:{run_id}:{state.seq}",
            at=max(clock.now_ms(), state.at),
            attempts=attempts,
            code=error.code,
            message=error.message,
            hint=remedy(run_id),
        )
        ruling = decide(state, fact, _nothing_to_evaluate)
        if ruling.records:
            commit = Commit(run_id=run_id, expected_seq=state.seq, records=ruling.records, fact=fact, lease=hold.lease)
            await store.commit(commit)
            if inform is not None:
                await inform(run_id, state.seq)

    return set_aside


def _nothing_to_evaluate(source: str, _scope: Mapping[str, Json]) -> Json:
    raise RuntimeError(f"a run is set aside without evaluating {source}")
