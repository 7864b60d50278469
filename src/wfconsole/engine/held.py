"""A sandbox in the hands of one owner: asks whose the run is before anything is started, stopped or removed.

Refuses to know where leases are kept. The decision that would surprise: waiting is not asked about. Whoever lost the run may look
on, and its commit is refused; only an act could harm the new owner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from wfconsole.engine.signals import Signals
from wfconsole.ports import Sandbox, SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.ports.owning import Hold


def owner_lost(run_id: str) -> WfconsoleError:
    return WfconsoleError("OWNER_LOST", f"another process drives run {run_id}", f"wfconsole watch {run_id}")


def asking(run_id: str, hold: Hold | None) -> Callable[[], None]:
    """A question for a thread: whether the run is still this owner's. Raises OWNER_LOST there. Made on the owner's loop."""
    loop = asyncio.get_running_loop()

    async def mine() -> None:
        if hold is not None and not await hold.is_mine():
            raise owner_lost(run_id)

    return lambda: asyncio.run_coroutine_threadsafe(mine(), loop).result()


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSandbox:
    """`ports.Sandbox` for the attempts of a run that is held by `hold`; None: nobody else can have it."""

    sandbox: Sandbox
    hold: Hold | None = None
    signals: Signals = field(default_factory=Signals)

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        await self._mine("preparing", spec)
        handle = await self.sandbox.prepare(spec if self.hold is None else replace(spec, mine=self.hold.is_mine))
        self._emit("prepared", spec)
        return handle

    async def go(self, handle: SandboxHandle) -> bool:
        await self._mine("going", handle.spec)
        gone = await self.sandbox.go(handle)
        self._emit("gone", handle.spec)
        return gone

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        end = await self.sandbox.wait(handle)
        self._emit("waited", handle.spec)
        return end

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None:
        await self._mine("stopping", handle.spec)
        await self.sandbox.stop(handle, force=force)
        self._emit("stopped", handle.spec)

    async def remove(self, handle: SandboxHandle) -> None:
        await self._mine("removing", handle.spec)
        await self.sandbox.remove(handle)
        self._emit("removed", handle.spec)

    async def close(self) -> None:
        await self.sandbox.close()

    async def _mine(self, point: str, spec: SandboxSpec) -> None:
        self._emit(point, spec)
        if self.hold is not None and not await self.hold.is_mine():
            raise owner_lost(spec.run_id)

    def _emit(self, point: str, spec: SandboxSpec) -> None:
        self.signals.emit(point, f"{spec.step_id}#{spec.attempt}")
