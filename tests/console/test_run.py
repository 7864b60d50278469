"""The run screen: what it says, where its keys lead, and what it says when they are refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.console.rig import Rig, screen_text, until
from tests.fakes.gates import approval, gated
from tests.fakes.journals import OK, RUN_ID, Journal, failed, plan, step
from wfconsole.console.app import Console
from wfconsole.console.screens.dialog import ConfirmDialog
from wfconsole.console.screens.run import RunScreen
from wfconsole.console.timeline import Timeline
from wfconsole.domain.facts import CancelRun, PauseRun, ResumeRun
from wfconsole.domain.plan import RetryPolicy
from wfconsole.views.run_view import run_view

RETRY = RetryPolicy(attempts=3, outcomes=("failed", "errored"))


def running() -> Journal:
    """lint is done, unit runs, ship waits."""
    journal = Journal(plan(step("lint"), step("unit", "lint", timeout_ms=600_000), step("ship", "unit")))
    journal.take()
    journal.end(journal.open[0], OK)
    return journal


def broken(**rule: Any) -> Journal:
    made = plan(step("lint"), step("unit", "lint", retry=RETRY), step("ship", "unit"), manual_retry=rule or None)
    journal = Journal(made)
    journal.play(lambda name, _n: OK if name == "lint" else failed("2 tests failed"))
    return journal


async def opened(app: Console, pilot: Any, step_id: str | None = None) -> RunScreen:
    app.open_run(RUN_ID, step_id)
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.picture is not None)
    await pilot.pause()
    assert isinstance(app.screen, RunScreen)
    return app.screen


def see(app: Console, text: str) -> bool:
    return any(text in line for line in screen_text(app))


def statuses(screen: RunScreen) -> list[str]:
    assert screen.chart is not None
    return [item["status"] for item in screen.chart.view["steps"]]


def play(rig: Rig, scenario: Callable[[Console, Any], Any], **settings: Any) -> None:
    async def main() -> None:
        async with rig.open(**settings) as (app, pilot):
            await scenario(app, pilot)

    asyncio.run(main())


def test_header_timeline_and_what_is_waited_for(rig: Rig) -> None:
    rig.desk.door.add(running())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        lines = screen_text(app)
        assert lines[0].startswith(f" wfconsole  RUN {RUN_ID}")
        assert "running" in lines[0]
        assert "quality-gate@1.0.0  d1d1d1d1d1d1  built-in" in lines[1]
        assert "manual by ann@build-7 (cli)" in lines[2]
        assert lines[3].startswith("[timeline] steps  artifacts  events  state  lineage")
        assert "1 col = " in lines[3]
        assert any("✓ succeeded" in line and "lint" in line and "━" in line for line in lines)
        assert any("▸ running" in line and "unit" in line and "▸" in line for line in lines)
        assert any("unit runs since 58s, times out in 9m02s" in line for line in lines)
        assert screen.query_one(Timeline).key == "unit"
        await pilot.press("j")
        await until(pilot, lambda: see(app, "ship: waits for unit"))

    play(rig, scenario)


def test_the_clock_goes_on_while_it_runs_and_only_then(rig: Rig) -> None:
    rig.desk.door.add(running())

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        rig.desk.now += 125_000
        await until(pilot, lambda: see(app, "unit runs since 3m03s"))

    play(rig, scenario)


def test_st_wf_010_a_failed_run_opens_on_its_failure(rig: Rig) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        for text in (
            "code       STEP_FAILED",
            "2 tests failed",
            "last good  lint",
            "hint       read the log",
            "retry      r, or wfconsole run quality-gate",
            "one step   the recipe does not allow a retry of a step",
        ):
            assert see(app, text), text
        await pilot.press("w")
        await until(pilot, lambda: not see(app, "last good  lint"))
        await pilot.press("w")
        await until(pilot, lambda: see(app, "last good  lint"))

    play(rig, scenario)


def test_a_retry_that_is_not_declared_says_so_in_the_recipes_words(rig: Rig) -> None:
    rig.desk.door.add(broken(run="deny", reason="it charges cards"))

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        sentence = "the recipe does not allow a retry of the run: it charges cards"
        assert see(app, f"retry      {sentence}")
        await pilot.press("r")
        await until(pilot, lambda: see(app, sentence))
        assert app.screen is screen
        assert screen.refusals()["retry"] == sentence

    play(rig, scenario)


def test_retries_are_counted_and_the_next_failure_is_found(rig: Rig) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        assert any("✗ failed" in line and " 3 unit" in line and "✗" in line[40:] for line in screen_text(app))
        await pilot.press("g", "e")
        await until(pilot, lambda: screen.query_one(Timeline).key == "unit")
        await pilot.press("enter")
        await until(pilot, lambda: see(app, "attempt 3  failed  exit 1"))
        assert see(app, "true")
        await pilot.press("escape")
        await until(pilot, lambda: see(app, "STEP"))
        assert app.screen is screen

    play(rig, scenario)


def test_an_open_gate_is_named_with_its_deadline_and_reviewed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.desk.door.add(gated(step("build"), approval("gate", "build", timeout_ms=3_600_000), step("ship", "gate")))
    cards: list[tuple[str, str]] = []
    monkeypatch.setattr(Console, "open_card", lambda _app, run, gate: cards.append((run, gate)))

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        assert see(app, "gate waits for a person until 2026-07-01 11:00Z (59m03s left), then cancel")
        assert any("! " in line and "?" in line[40:] for line in screen_text(app))
        await pilot.press("a")
        await until(pilot, lambda: bool(cards))
        assert cards == [(RUN_ID, "gate#1")]

    play(rig, scenario)


def test_the_scrubber_shows_the_run_as_it_was_at_every_event(rig: Rig) -> None:
    journal = broken()
    rig.desk.door.add(journal)
    last = len(journal.records)

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        for seq in range(last - 1, 0, -1):
            await pilot.press("comma")
            await until(pilot, lambda seq=seq: see(app, f"at event {seq}/{last}"))  # type: ignore[misc]
            await until(pilot, lambda: screen.chart is not None and screen.chart.live is False)
            want = [item["status"] for item in run_view(journal.records[:seq])["steps"]]
            await until(pilot, lambda want=want: statuses(screen) == want)  # type: ignore[misc]
        await pilot.press("comma")
        await until(pilot, lambda: see(app, f"at event 1/{last}"))
        await pilot.press("full_stop")
        await until(pilot, lambda: see(app, f"at event 2/{last}"))
        await pilot.press("escape")
        await until(pilot, lambda: see(app, "✗ failed in"))
        assert app.screen is screen
        await pilot.press("less_than_sign")
        await until(pilot, lambda: see(app, f"at event 1/{last}"))
        await pilot.press("greater_than_sign")
        await until(pilot, lambda: see(app, "✗ failed in"))

    play(rig, scenario)


def test_a_run_that_goes_on_is_seen_going_on(rig: Rig) -> None:
    journal = running()
    rig.desk.door.add(journal)

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        journal.end(journal.open[0], OK)
        await app.engine.call(lambda _door: rig.desk.door._sync(RUN_ID))
        await until(pilot, lambda: any("✓ succeeded" in line and " unit" in line for line in screen_text(app)))

    play(rig, scenario)


def test_pause_resume_and_cancel_reach_the_run_and_refusals_are_its_own_words(rig: Rig) -> None:
    rig.desk.door.add(running())
    sent = rig.desk.door.sent

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        await pilot.press("R")
        await pilot.pause()
        assert sent == []
        assert see(app, screen.refusals()["resume"])
        await pilot.press("p")
        await until(pilot, lambda: len(sent) == 1)
        assert isinstance(sent[0], PauseRun)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert len(sent) == 1
        await pilot.press("w", "h", "y", "enter")
        await until(pilot, lambda: len(sent) == 2)
        fact = sent[1]
        assert isinstance(fact, CancelRun)
        assert (fact.reason, fact.force) == ("why", False)
        assert not any(isinstance(one, ResumeRun) for one in sent)

    play(rig, scenario)


def test_cancelling_once_more_asks_to_stop_at_once(rig: Rig) -> None:
    journal = running()
    journal.open.clear()  # the attempt does not answer: the run stays in its cancel
    journal.give(CancelRun(fact_id="c", at=journal.now, reason="no"))
    rig.desk.door.add(journal)

    async def scenario(app: Console, pilot: Any) -> None:
        await opened(app, pilot)
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, ConfirmDialog))
        assert see(app, "at once?")
        await pilot.press("enter")
        await until(pilot, lambda: bool(rig.desk.door.sent))
        fact = rig.desk.door.sent[0]
        assert isinstance(fact, CancelRun)
        assert fact.force

    play(rig, scenario)


def test_nothing_that_changes_is_there_when_read_only(rig: Rig) -> None:
    rig.desk.door.add(running())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        assert not any(action.changes for action in screen.offered())
        await pilot.press("p", "x", "r")
        await pilot.pause()
        assert rig.desk.door.sent == []
        assert app.screen is screen

    play(rig, scenario, read_only=True)


def test_what_can_be_copied(rig: Rig) -> None:
    rig.desk.door.add(broken())

    async def scenario(app: Console, pilot: Any) -> None:
        screen = await opened(app, pilot)
        screen.query_one(Timeline).move_to("unit")
        found = dict(screen.copies())
        assert found["run id"] == RUN_ID
        assert found["command"] == f"wfconsole show {RUN_ID}"
        assert found["log command"].startswith(f"wfconsole logs {RUN_ID} unit")
        assert found["path"].endswith(f"runs/{RUN_ID}")
        assert found["step as JSON"].startswith("{")

    play(rig, scenario)
