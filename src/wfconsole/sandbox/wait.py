"""Waiting for a container's end, and the two reasons to bring it about: the deadline and the output limit.

The engine's State alone says that it is over; the end of a wait, of a log or of a connection never does. Refuses to stop
anything when the one who waits is cancelled: a container outlives its orchestrator.
"""

from __future__ import annotations

import asyncio
from typing import Any

from wfconsole.ports import SandboxEnd, SandboxHandle, WfconsoleError
from wfconsole.sandbox import marks
from wfconsole.sandbox.engine import CALL_S, Engine, Missing
from wfconsole.sandbox.evidence import collect, output_bytes
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.stop import GRACE_S, ended, stop

TICK_S = 0.25
SLICE_S = 20.0
"""How long one question to the engine stays open; a cancelled wait leaves a thread behind for at most this long."""

PATIENCE_S = CALL_S
"""How long an engine may be away before a running step is given up: it may only be restarting."""


async def wait(engine: Engine, gate: Gate, handle: SandboxHandle) -> SandboxEnd:
    """The evidence of the end, whoever brought it about."""
    ending = asyncio.ensure_future(_not_running(engine, handle.container_id))
    try:
        while not ending.done():
            left = _left_s(handle)
            await asyncio.wait({ending}, timeout=TICK_S if left is None else max(0.01, min(TICK_S, left)))
            reason = None if ending.done() else _overdue(handle)
            if reason is not None:
                await stop(engine, gate, handle, reason=reason, grace_s=GRACE_S if reason == "timeout" else 0)
                break
        state = await ending
    finally:
        ending.cancel()
    return await engine.offload(lambda: collect(handle, state))


async def inspect(engine: Engine, container_id: str) -> dict[str, Any] | None:
    """The container's State; None when the engine does not know it. An engine that restarts is given time to."""
    until = marks.ticks_ms() + PATIENCE_S * 1000
    while True:
        try:
            found: dict[str, Any] = await engine.call(lambda client: client.inspect_container(container_id))
        except Missing:
            return None
        except WfconsoleError:
            if marks.ticks_ms() > until:
                raise
            await asyncio.sleep(0.5)
        else:
            state: dict[str, Any] = found["State"]
            return state


async def _not_running(engine: Engine, container_id: str) -> dict[str, Any] | None:
    while True:
        try:
            over = await ended(engine, container_id, SLICE_S)
        except WfconsoleError:
            over = False  # inspect decides, with patience
        state = await inspect(engine, container_id)
        if state is None or not (state["Running"] or state.get("Restarting")):
            return state
        if over:
            await asyncio.sleep(0.05)  # between the two answers somebody started it again


def _left_s(handle: SandboxHandle) -> float | None:
    """Seconds until the deadline; None when there is none, or the attempt has not begun."""
    go = marks.read(handle.spec.in_dir, marks.GO)
    if handle.spec.timeout_ms is None or go is None or go.word != marks.BEGIN:
        return None
    return (go.ticks + handle.spec.timeout_ms - marks.ticks_ms()) / 1000


def _overdue(handle: SandboxHandle) -> str | None:
    left = _left_s(handle)
    if left is not None and left <= 0:
        return "timeout"
    return "output_limit" if output_bytes(handle.spec) > handle.spec.limits.output_bytes else None
