"""The live view: what a frame holds at 80x24, and that nothing hostile gets through it."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from tests.fakes.desk import Desk
from tests.fakes.gates import decide, gated
from tests.fakes.journals import OK, RUN_ID, START, Journal, failed, plan, step
from wfconsole.cli.live import frame
from wfconsole.domain.plan import GroupBody, RetryPolicy, StepPlan
from wfconsole.views.run_view import RunViewBuilder


def view_of(journal: Journal) -> RunViewBuilder:
    builder = RunViewBuilder()
    for record in journal.records:
        builder.add(record)
    return builder


def lines(
    journal: Journal, *, now: int = START + 5000, width: int = 80, height: int = 24, ascii_only: bool = False
) -> list[str]:
    found = frame(view_of(journal), now=now, width=width, height=height, ascii_only=ascii_only)
    return [text.plain.rstrip() for text in found]


def test_a_frame_tells_for_each_step_how_long_and_what_it_waits_for() -> None:
    group = StepPlan(step_id="checks", kind="steps", body=GroupBody(members=("checks/unit", "checks/lint")))
    retried = step("checks/lint", parent="checks", retry=RetryPolicy(attempts=2, outcomes=("failed",), jitter=0))
    journal = Journal(plan(group, step("checks/unit", parent="checks"), retried, step("ship", "checks")))
    journal.take()
    journal.end(journal.open[1], failed())
    assert lines(journal, now=START + 2400) == [
        f"▸ running  1.4s  quality-gate@1.0.0  {RUN_ID}",
        "  ▸ checks  running        1.4s",
        "  ▸   unit  running        1.4s",
        "  ↻   lint  backing off    1.4s  next attempt in 0.6s: exit status 1",
        "  · ship    pending              waits for checks",
        "0/3 steps: 1 running, 1 backing off, 1 pending",
    ]


def test_a_frame_of_a_run_that_asks_says_how_to_decide() -> None:
    journal = gated()
    assert lines(journal)[-2:] == [
        "1/3 steps: 1 succeeded, 1 needs you, 1 pending",
        f"decide: wfconsole approvals {RUN_ID}",
    ]
    assert any("Ship it?" in line for line in lines(journal))
    decide(journal, "reject", reason="no")
    assert not [line for line in lines(journal) if line.startswith("decide")]


def test_ascii_glyphs() -> None:
    journal = Journal(plan(step("a")))
    journal.play()
    assert all(line.isascii() for line in lines(journal, ascii_only=True))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (40, 10), (20, 3)])
def test_a_frame_never_outgrows_the_terminal_and_keeps_what_is_urgent(width: int, height: int) -> None:
    journal = Journal(plan(*(step(f"step-{number}") for number in range(100))))
    journal.take()
    journal.end(journal.open[0], failed("x" * 500))
    found = lines(journal, width=width, height=height)
    assert len(found) <= max(height, 4)
    assert all(len(line) <= width for line in found)
    assert any("step-0 " in line for line in found)


def test_a_terminal_gets_the_live_view_and_keeps_its_last_state(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "24")
    monkeypatch.setenv("NO_COLOR", "1")
    desk.door.results = lambda s, _: failed("exit \x1b[31m1") if s == "unit" else OK
    ran = desk.run("run", "quality-gate", terminal=True)
    assert ran.code == 1
    screen = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", ran.text)
    assert "  ✗ unit  failed         1.0s  STEP_FAILED: exit ␛[31m1" in screen
    assert ran.lines[-1] == "  details    wfconsole show 01JZ8Q4V7M3K9T2B6W5X0YHR00"
    assert "\x1b[31m" not in ran.text
    assert ran.text.count("\x1b[?25l") == ran.text.count("\x1b[?25h")


@pytest.mark.parametrize("term", ["dumb", ""])
def test_a_dumb_terminal_gets_plain_lines(desk: Desk, monkeypatch: pytest.MonkeyPatch, term: str) -> None:
    monkeypatch.setenv("TERM", term)
    ran = desk.run("run", "quality-gate", terminal=True)
    assert "00:01.0  ▸ lint  started" in ran.lines
    assert "\x1b" not in ran.text


def test_markup_in_names_is_text() -> None:
    out = io.StringIO()
    console = Console(file=out, width=80, height=24, force_terminal=True, color_system="truecolor", markup=False)
    journal = Journal(plan(step("[red]x")))
    journal.play()
    for text in frame(view_of(journal), now=START, width=80, height=24, ascii_only=False):
        console.print(text)
    assert "[red]x" in re.sub(r"\x1b\[[0-9;]*m", "", out.getvalue())
