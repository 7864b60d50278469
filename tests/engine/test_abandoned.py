"""A step whose sandbox is gone each time: tried anew at once, and given up at the third."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import FakeSandbox, Script
from wfconsole.domain.events import AttemptAbandoned, StepFailed
from wfconsole.ports import SandboxHandle, WfconsoleError

GONE = Script(refuses=WfconsoleError("SANDBOX_LOST", "it began and is gone"))


def test_exec_block_14_an_attempt_that_was_lost_is_tried_anew_twice_and_then_the_step_has_failed(
    tmp_path: Path,
) -> None:
    rig = Rig(tmp_path, {"a": GONE})
    assert play(lambda: rig.run(plan(step("a")))).status == "failed"
    events = [record.event for record in play(rig.records)]
    assert [each.attempt for each in events if isinstance(each, AttemptAbandoned)] == [1, 2, 3]
    (failed,) = [each for each in events if isinstance(each, StepFailed)]
    assert (failed.attempt, failed.outcome, failed.cause.code) == (3, "abandoned", "SANDBOX_LOST")


def test_a_step_that_was_lost_twice_can_succeed(tmp_path: Path) -> None:
    rig = Rig(tmp_path, {("a", 1): GONE, ("a", 2): GONE})
    assert play(lambda: rig.run(plan(step("a")))).status == "succeeded"


class Robbed(FakeSandbox):
    """The folder of the first attempt is taken away between its preparation and its beginning."""

    async def go(self, handle: SandboxHandle) -> bool:
        if handle.spec.attempt == 1:
            shutil.rmtree(handle.spec.in_dir)
        return await super().go(handle)


def test_a_sandbox_that_a_waking_owner_takes_away_before_it_began_is_no_failure(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.sandbox = Robbed()
    assert play(lambda: rig.run(plan(step("a")))).status == "succeeded"
    events = [record.event for record in play(rig.records)]
    assert [each.attempt for each in events if isinstance(each, AttemptAbandoned)] == [1]
