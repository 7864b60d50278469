"""A console that the kernel ends: it can do nothing for its runs, and nothing has to be done for them."""

from __future__ import annotations

import signal

import pytest

from tests.scenarios.cli import Wfconsole, containers, let_go
from tests.terminal.terminal import console
from tests.terminal.test_leaving import MARKS, ONCE, holding

pytestmark = pytest.mark.engine


def test_fault_41_kill_9_of_the_console_leaves_its_run_to_the_next_worker(wf: Wfconsole) -> None:
    with console(wf) as on:
        run_id = holding(on, wf)
        on.process.kill()
        assert on.process.wait(10) == -signal.SIGKILL
    (left,) = containers(run_id)
    assert wf.show(run_id)["status"] == "running"
    let_go(wf, run_id, "one")
    assert wf.run("worker", "--until-idle").code == 0
    view = wf.show(run_id)
    assert view["status"] == "succeeded"
    assert [len(each["attempts"]) for each in view["steps"]] == [1, 1]
    assert wf.rows(MARKS.format(run_id)) == ONCE
    assert left not in containers(run_id)
