"""Ending a container: a word to the runner, TERM to the command, KILL after the grace.

Owns the order: the mark that says why is made before the first signal, so whoever reads the end later knows it was us. An
attempt that has not begun is given up for good first. Refuses to remove anything.
"""

from __future__ import annotations

from contextlib import suppress

from wfconsole.ports import SandboxHandle
from wfconsole.sandbox import marks
from wfconsole.sandbox.engine import CALL_S, Client, Conflict, Engine, Missing, wedged
from wfconsole.sandbox.gate import Gate

GRACE_S = 5.0


async def stop(engine: Engine, gate: Gate, handle: SandboxHandle, *, reason: str, grace_s: float) -> None:
    """Until the container is over; `grace_s` 0 kills at once. SANDBOX_UNAVAILABLE when KILL does not end it in 30 s."""
    with suppress(FileNotFoundError):  # removed already: only the kill below may still have something to do
        await engine.offload(lambda: _say(handle, reason))
    if grace_s > 0 and await ended(engine, handle.container_id, grace_s):
        return
    async with gate.slot(await engine.identity()):
        with suppress(Missing, Conflict):
            await engine.call(lambda client: client.kill(handle.container_id, "KILL"))
    if not await ended(engine, handle.container_id, CALL_S):
        raise wedged(CALL_S)


async def ended(engine: Engine, container_id: str, seconds: float) -> bool:
    """Wait for the container to be not running, or gone; False when it still runs, or the engine broke off the wait."""
    from requests.exceptions import RequestException

    def ask(client: Client) -> bool:
        try:
            client.wait(container_id, timeout=seconds, condition="not-running")
        except RequestException as error:
            if getattr(error, "response", None) is not None:
                raise  # an answer of the engine, no broken connection
            return False
        return True

    try:
        return await engine.call(ask, seconds=seconds + CALL_S, waiting=True)
    except Missing:
        return True


def give_up(handle: SandboxHandle) -> None:
    """A word to the runner alone, while the engine is away: what nobody waits for any more must not go on by itself."""
    with suppress(FileNotFoundError):
        _say(handle, "stop")


def _say(handle: SandboxHandle, reason: str) -> None:
    marks.make(handle.spec.in_dir, marks.STOP, reason)
    marks.make(handle.spec.in_dir, marks.GO, marks.VOID)
    marks.wake(handle.spec.in_dir)
