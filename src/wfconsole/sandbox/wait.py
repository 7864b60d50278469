"""Waiting for a container's end, and the reasons to bring it about: the deadline, the output limit, a disk nearly full.

The engine's State alone says that it is over; the end of a wait, of a log or of a connection never does. Refuses to stop
anything when the one who waits is cancelled: a container outlives its orchestrator.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from wfconsole.ports import SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import marks, patience
from wfconsole.sandbox.engine import Engine, Missing
from wfconsole.sandbox.evidence import collect, output_bytes
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.hiding import Pump
from wfconsole.sandbox.stop import GRACE_S, ended, give_up, stop
from wfconsole.sandbox.times import Times

Say = Callable[[str], None] | None
TICK_S = 0.25
SLICE_S = 20.0
"""How long one question to the engine stays open; a cancelled wait leaves a thread behind for at most this long."""

FLOOR_BYTES = 256 * 1024**2
FLOOR_FILES = 10_000
"""What a step leaves of every disk that it writes to, or 2 % of a small one: the host has to go on."""


async def wait(
    engine: Engine, gate: Gate, handle: SandboxHandle, pump: Pump | None = None, say: Say = None
) -> SandboxEnd:
    """The evidence of the end, whoever brought it about; `pump` brings the output out of a container that knows secrets.

    `say` is told when the engine is waited for.
    """
    ending = asyncio.ensure_future(_not_running(engine, handle.container_id, say))
    times = Times(handle.spec) if pump is None else None  # what a pump lays out has other lengths
    try:
        while not ending.done():
            left = _left_s(handle)
            await asyncio.wait({ending}, timeout=TICK_S if left is None else max(0.01, min(TICK_S, left)))
            if times is not None:
                times.look(marks.now_ms())
            if pump is not None:
                await engine.offload(pump.step)
            reason = None if ending.done() else _overdue(handle)
            if reason is not None:
                await stop(engine, gate, handle, reason=reason, grace_s=GRACE_S if reason == "timeout" else 0)
                break
        state = await ending
    except WfconsoleError:
        if await handle.spec.mine():
            await engine.offload(lambda: give_up(handle))
        raise
    finally:
        ending.cancel()
    if times is not None:
        times.look(marks.now_ms())
        times.keep()
    end = await engine.offload(lambda: collect(handle, state))
    return end if pump is None else replace(end, redacted=await engine.offload(pump.finish))


async def inspect(engine: Engine, container_id: str, say: Say = None) -> dict[str, Any] | None:
    """The container's State; None when the engine does not know it. An engine that restarts is given time to."""
    try:
        state: dict[str, Any] = (await inspected(engine, container_id, say))["State"]
    except Missing:
        return None
    return state


async def inspected(engine: Engine, container: str, say: Say = None) -> dict[str, Any]:
    """What the engine knows of a container, by id or name; asked again while it is away. Raises Missing."""

    async def ask() -> dict[str, Any]:
        found: dict[str, Any] = await engine.call(lambda client: client.inspect_container(container))
        return found

    return await patience.patiently(engine, ask, lambda: patience.PATIENCE_S, say)


async def _not_running(engine: Engine, container_id: str, say: Say) -> dict[str, Any] | None:
    while True:
        try:
            over = await ended(engine, container_id, SLICE_S)
        except WfconsoleError:
            over = False  # inspect decides, with patience
        state = await inspect(engine, container_id, say)
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
    if output_bytes(handle.spec) > handle.spec.limits.output_bytes:
        return "output_limit"
    return "disk" if _is_filled(handle.spec) else None


def _is_filled(spec: SandboxSpec) -> bool:
    """Is hardly anything left of a disk that the step can write to? Engines of this kind can bound no folder."""
    places = {mount.source for mount in spec.mounts if not mount.read_only} | {spec.out_dir, spec.scratch}
    return any(map(_is_full, places))


def _is_full(place: Path) -> bool:
    try:
        room = os.statvfs(place)
    except OSError:
        return False
    bytes_floor = min(FLOOR_BYTES, room.f_blocks * room.f_frsize // 50)
    files_floor = min(FLOOR_FILES, room.f_files // 50)  # 0 where the file system counts none
    return room.f_bavail * room.f_frsize < bytes_floor or room.f_favail < files_floor
