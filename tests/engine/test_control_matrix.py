"""Pause, resume and cancel at every state of a driven run, each twice, from its own process and from another one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.engine.rig import ACTOR, Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain.events import (
    CommandRefused,
    Event,
    Record,
    RunAwaitingApproval,
    RunCancelling,
    RunPaused,
    RunPausing,
    RunResumed,
    StepBackingOff,
)
from wfconsole.domain.facts import AnyFact, CancelRun, PauseRun, ResumeRun
from wfconsole.domain.plan import RetryPolicy

COMMANDS: dict[str, tuple[type[PauseRun | ResumeRun | CancelRun], type[Event]]] = {
    "pause": (PauseRun, RunPausing),
    "resume": (ResumeRun, RunResumed),
    "cancel": (CancelRun, RunCancelling),
}
RETRY = RetryPolicy(attempts=2, backoff_ms=60_000, max_backoff_ms=60_000, jitter=0.0, outcomes=("failed",))

ANSWERS: dict[str, dict[str, tuple[bool, bool]]] = {
    "running": {"pause": (True, False), "resume": (False, False), "cancel": (True, False)},
    "pausing": {"pause": (False, False), "resume": (True, False), "cancel": (True, False)},
    "paused": {"pause": (False, False), "resume": (True, False), "cancel": (True, False)},
    "backing_off": {"pause": (True, False), "resume": (False, False), "cancel": (True, False)},
    "awaiting_approval": {"pause": (True, False), "resume": (False, False), "cancel": (True, False)},
    "paused_awaiting": {"pause": (False, False), "resume": (True, False), "cancel": (True, False)},
    "cancelling": {"pause": (False, False), "resume": (False, False), "cancel": (False, False)},
}
"""By state and command: is it applied the first time, and right after that the second time?"""

Way = Callable[["Driven", AnyFact], Awaitable[None]]


class Driven:
    """A run that is being driven, brought to a state. Its `finally` step is held, so that it is not over after a cancel."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.seen: list[Record] = []
        self._news = asyncio.Event()
        rig.subscribers["test"] = self._take

    def _take(self, _run: str, record: Record) -> None:
        self.seen.append(record)
        self._news.set()

    async def until(self, kind: type[Event], fact_id: str | None = None) -> Event:
        """The newest event of this kind, and of this command when one is given."""
        while True:
            for record in reversed(self.seen):
                if isinstance(record.event, kind) and fact_id in {None, record.correlation_id}:
                    return record.event
            self._news.clear()
            await self._news.wait()

    async def bring(self, state: str) -> None:
        rig, hold = self.rig, asyncio.Event()
        rig.sandbox.scripts.update({"a": Script(hold=hold), "end": Script(hold=asyncio.Event())})
        first = step("a", retry=RETRY)
        if "awaiting" in state:
            first = step("a", "rm", "/x")
        if state == "backing_off":
            rig.sandbox.scripts["a"] = Script(exits=(1,))
        await rig.create(plan(first, step("b", needs=["a"]), step("end", phase="finally")))
        self.driving = asyncio.create_task(rig.supervisor.drive("run-1"))
        if state == "backing_off":
            await self.until(StepBackingOff)
        elif "awaiting" in state:
            await self.until(RunAwaitingApproval)
        else:
            await rig.sandbox.begun("a")
        if state in {"pausing", "paused", "paused_awaiting"}:
            await rig.deliver("run-1", PauseRun(fact_id="setup", at=rig.clock.now, actor=ACTOR))
        if state == "paused":
            hold.set()
        if state.startswith("paused"):
            await self.until(RunPaused)
        if state == "cancelling":
            await rig.deliver("run-1", CancelRun(fact_id="setup", at=rig.clock.now, actor=ACTOR))

    async def leave(self) -> None:
        self.driving.cancel()
        await asyncio.gather(self.driving, return_exceptions=True)


async def same_process(driven: Driven, fact: AnyFact) -> None:
    await driven.rig.deliver("run-1", fact)


async def other_process(driven: Driven, fact: AnyFact) -> None:
    await driven.rig.store.post("run-1", fact)


WAYS: dict[str, Way] = {"same": same_process, "other": other_process}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("state", ANSWERS)
def test_st_wf_003_every_command_at_every_state_twice(tmp_path: Path, state: str, command: str, way: str) -> None:
    kind, applied = COMMANDS[command]

    async def scenario() -> None:
        driven = Driven(Rig(tmp_path))
        await driven.bring(state)
        for number, allowed in enumerate(ANSWERS[state][command]):
            fact = kind(fact_id=f"{command}-{number}", at=driven.rig.clock.now, actor=ACTOR)
            before = [record.event for record in driven.seen]
            await WAYS[way](driven, fact)
            if allowed:
                await driven.until(applied, fact.fact_id)
                continue
            refused = await driven.until(CommandRefused, fact.fact_id)
            assert isinstance(refused, CommandRefused)
            assert refused.code == "TRANSITION_REFUSED"
            assert "run-1" in refused.reason
            assert [r.event for r in driven.seen if r.correlation_id == fact.fact_id] == [refused]
            assert [r.event for r in driven.seen][: len(before)] == before
        await driven.leave()

    play(scenario)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMANDS)
def test_the_same_command_sent_twice_is_one_command(tmp_path: Path, command: str, way: str) -> None:
    kind, applied = COMMANDS[command]
    state = "paused" if command == "resume" else "running"

    async def scenario() -> None:
        driven = Driven(Rig(tmp_path))
        await driven.bring(state)
        fact = kind(fact_id="one-key", at=driven.rig.clock.now, actor=ACTOR)
        await WAYS[way](driven, fact)
        await driven.until(applied, "one-key")
        await WAYS[way](driven, fact)
        last = CancelRun(
            fact_id="last", at=driven.rig.clock.now, actor=ACTOR, force=True
        )  # after it both were looked at
        await WAYS[way](driven, last)
        assert (await driven.driving).status == "cancelled"
        mine = [record.event for record in driven.seen if record.correlation_id == "one-key"]
        assert [type(event) for event in mine].count(applied) == 1
        assert not [event for event in mine if isinstance(event, CommandRefused)]

    play(scenario)
