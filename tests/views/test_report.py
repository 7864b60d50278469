"""The failure panel: where it sends people to read on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.journals import RUN_ID, Journal, command, failed, plan, step
from wfconsole.domain.plan import CheckBody, CheckRule
from wfconsole.domain.records import StreamRef
from wfconsole.views.report import failure_lines
from wfconsole.views.run_view import run_view


def panel(journal: Journal) -> dict[str, str]:
    lines = failure_lines(run_view(journal.records))
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in lines}


def fails(**more: Any) -> Journal:
    journal = Journal(plan(step("a")))
    journal.play(lambda *_: failed(**more))
    return journal


@pytest.mark.parametrize(("spoken", "options"), [(0, ""), (9, " --stderr")])
def test_the_panel_points_to_where_the_step_spoke(spoken: int, options: str) -> None:
    spoke = command(0, ("true",), "a", 1, stderr=StreamRef(path="bundle/logs/a/1/0.stderr", bytes=spoken))
    assert panel(fails(commands=(spoke,)))["logs"] == f"wfconsole logs {RUN_ID} a{options}"


def a_check() -> Journal:
    rules = (CheckRule(that="nothing", message="too little", hint="do more"),)
    journal = Journal(plan(step("a", kind="check", body=CheckBody(rules=rules))))
    journal.play()
    return journal


def no_engine() -> Journal:
    return fails(code="SANDBOX_UNAVAILABLE", commands=())


@pytest.mark.parametrize("made", [a_check, no_engine])
def test_the_panel_points_to_no_log_where_no_command_began(made: Callable[[], Journal]) -> None:
    found = panel(made())
    assert found["step"] == "a"
    assert "logs" not in found


def test_a_command_that_the_engine_lost_under_way_still_has_its_log() -> None:
    began = command(0, ("true",), "a", 1)
    assert "logs" in panel(fails(code="SANDBOX_LOST", commands=(began,)))
