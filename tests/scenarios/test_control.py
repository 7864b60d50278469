"""Live runs commanded from other processes, interrupted, killed and taken up again."""

from __future__ import annotations

import os
import signal
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.scenarios.cli import Live, Wfconsole, containers, let_go, recipe, step, until

pytestmark = pytest.mark.engine

TWO = """
steps:
  first: {run: [[python, hold.py, first]]}
  second: {needs: [first], run: [[python, hold.py, second]]}
finally:
  tidy: {run: [[echo, tidy]]}
"""
STUBBORN = """
steps:
  deaf: {run: [[python, -c, "import signal; signal.signal(15, signal.SIG_IGN); exec(open('hold.py').read())", deaf]]}
"""


@pytest.fixture(scope="module")
def two(wf: Wfconsole, repo: Path) -> list[str]:
    return ["run", str(recipe(repo.parent, "two", TWO)), "-i", f"repo={repo}", "--json"]


def gone(run_id: str) -> None:
    until(lambda: not containers(run_id), lambda: f"still there: {containers(run_id)}")


def test_rw_pause_resume_goes_on_after_the_last_completed_step(wf: Wfconsole, two: list[str]) -> None:
    with wf.live(*two) as live:
        live.here("first")
        paused = wf.run("pause", live.run_id, "--reason", "lunch", "--json")
        assert paused.code == 0, paused.err
        assert live.event("run_pausing")["reason"] == "lunch"
        assert wf.run("pause", live.run_id, "--json").error["code"] == "TRANSITION_REFUSED"
        let_go(wf, live.run_id, "first")
        live.event("run_paused")
        view = wf.show(live.run_id)
        assert (view["status"], step(view, "first")["status"], step(view, "second")["status"]) == (
            "paused",
            "succeeded",
            "pending",
        )
        resumed = wf.run("resume", live.run_id, "--json")
        assert resumed.code == 0, resumed.err
        live.here("second")
        let_go(wf, live.run_id, "second")
        ended = live.end()
    assert (ended.code, ended.view["status"]) == (0, "succeeded"), ended.err
    assert [len(each["attempts"]) for each in ended.view["steps"]] == [1, 1, 1]
    kinds = [event["type"] for event in ended.objects]
    assert kinds.index("run_pausing") < kinds.index("run_paused") < kinds.index("run_resumed")


def test_rw_pause_resume_persists_when_nobody_drives_the_run(wf: Wfconsole, two: list[str]) -> None:
    with wf.live(*two, "--id", "laid-aside") as live:
        live.here("first")
        assert wf.run("pause", live.run_id).code == 0
        let_go(wf, live.run_id, "first")
        live.event("run_paused")
        live.process.kill()
        run_id = live.run_id
    assert wf.run("resume", run_id).code == 0
    assert wf.run("pause", run_id).code == 0
    assert wf.run("resume", run_id).code == 0
    assert not containers(run_id)  # what follows starts with the next owner
    with wf.live(*two, "--id", "laid-aside") as again:
        assert again.run_id == run_id
        again.here("second")
        let_go(wf, run_id, "second")
        ended = again.end()
    assert (ended.code, ended.view["status"]) == (0, "succeeded"), ended.err
    assert [len(each["attempts"]) for each in ended.view["steps"]] == [1, 1, 1]


def test_rw_pause_resume_cancel_from_another_process_stops_the_containers(wf: Wfconsole, two: list[str]) -> None:
    with wf.live(*two) as live:
        live.here("first")
        cancelled = wf.run("cancel", live.run_id, "--reason", "not needed", "--json")
        assert cancelled.code == 0, cancelled.err
        ended = live.end()
    assert (ended.code, ended.view["status"]) == (4, "cancelled"), ended.err
    assert {each["step_id"]: each["status"] for each in ended.view["steps"]} == {
        "first": "cancelled",
        "second": "cancelled",
        "tidy": "succeeded",
    }
    assert (wf.home / ended.view["bundle"] / "manifest.json").exists()
    gone(live.run_id)


def test_a_run_that_nobody_has_started_can_be_cancelled(wf: Wfconsole, two: list[str]) -> None:
    detached = wf.run(*two, "--detach").json
    os.kill(detached["worker_pid"], signal.SIGKILL)  # before it has looked
    run_id = detached["run_id"]
    assert wf.show(run_id)["status"] == "pending"
    assert wf.run("cancel", run_id).code == 0
    view = wf.show(run_id)
    assert view["status"] == "cancelled"
    assert {each["status"] for each in view["steps"]} == {"cancelled"}
    assert (wf.home / view["bundle"] / "manifest.json").exists()


def test_a_run_that_only_waits_for_a_person_is_cancelled_to_its_end(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "waits", "steps: {bad: {run: [[rm, /x]]}}\nfinally: {tidy: {run: [[echo, tidy]]}}\n")
    waiting = wf.run("run", path, "-i", f"repo={repo}", "--json", "--until-waiting")
    assert (waiting.code, waiting.view["waiting_for"]) == (3, ["bad"])
    assert wf.run("cancel", waiting.view["run_id"]).code == 0
    view = wf.show(waiting.view["run_id"])
    assert [(each["step_id"], each["status"]) for each in view["steps"]] == [
        ("bad", "cancelled"),
        ("tidy", "succeeded"),
    ]
    assert view["status"] == "cancelled"
    assert (wf.home / view["bundle"] / "manifest.json").exists()


def test_ctrl_c_once_cancels_cleanly(wf: Wfconsole, two: list[str]) -> None:
    with wf.live(*two) as live:
        live.here("first")
        live.interrupt()
        ended = live.end()
    assert (ended.code, ended.view["status"]) == (130, "cancelled"), ended.err
    assert step(ended.view, "tidy")["status"] == "succeeded"
    assert step(ended.view, "first")["attempts"][0]["outcome"] == "cancelled"
    gone(live.run_id)


def test_ctrl_c_twice_stops_at_once(wf: Wfconsole, repo: Path) -> None:
    with wf.live("run", recipe(repo.parent, "stubborn", STUBBORN), "-i", f"repo={repo}", "--json") as live:
        live.here("deaf")
        live.interrupt()
        live.event("run_cancelling")
        live.interrupt()
        ended = live.end()
    assert (ended.code, ended.view["status"]) == (130, "cancelled"), ended.err
    gone(live.run_id)


def test_exec_block_14_a_driver_killed_in_the_middle_of_a_step_is_followed_by_one_that_adopts(
    wf: Wfconsole, two: list[str]
) -> None:
    with wf.live(*two, "--id", "killed") as live:
        live.here("first")
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        run_id = live.run_id
    (left,) = containers(run_id)
    with wf.live(*two, "--id", "killed") as again:
        taken(again)
        assert containers(run_id) == [left]
        for name in ("first", "second"):
            let_go(wf, run_id, name)
        ended = again.end()
    assert (ended.code, ended.view["status"], ended.view["run_id"]) == (0, "succeeded", run_id), ended.err
    assert [attempt["outcome"] for attempt in step(ended.view, "first")["attempts"]] == ["succeeded"]
    log = wf.folder(run_id) / step(ended.view, "first")["attempts"][0]["commands"][0]["stdout"]["path"]
    assert log.read_bytes() == b"let go first\n"
    marks = wf.rows(f"SELECT step, count(*) AS n FROM marks WHERE run_id = '{run_id}' GROUP BY step ORDER BY step")
    assert marks == [{"n": 1, "step": "first"}, {"n": 1, "step": "second"}, {"n": 1, "step": "tidy"}]


def taken(live: Live) -> None:
    """Wait until the second process owns the run."""
    live.event("owner_changed")


def test_followers_see_a_live_run_to_its_end(wf: Wfconsole, two: list[str]) -> None:
    with wf.live(*two) as live:
        live.here("first")
        run_id = live.run_id
        with wf.live("events", run_id, "--follow", "--json") as events, wf.live("logs", run_id, "--follow") as logs:
            with wf.live("watch", run_id, "--json") as watching:
                for follower in (events, watching):
                    follower.event("step_started", step_id="first")
                watching.interrupt()
                watched = watching.end()
            for name in ("first", "second"):
                let_go(wf, run_id, name)
            ended, told, logged = live.end(), events.end(), logs.end()
    assert watched.code == 130
    assert (ended.code, told.code, logged.code) == (0, 0, 0), told.err + logged.err
    assert told.objects == ended.objects[:-1]
    assert [line for line in ("let go first", "let go second", "tidy") if line in logged.out] == [
        "let go first",
        "let go second",
        "tidy",
    ]


def test_runs_side_by_side_on_one_store_do_not_disturb_each_other(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "beside", "steps: {a: {run: [[cp, data.txt, b]]}, c: {needs: [a], run: [[cat, b]]}}\n")
    with ExitStack() as stack:
        lives = [stack.enter_context(wf.live("run", path, "-i", f"repo={repo}", "--json")) for _ in range(3)]
        ends = [live.end() for live in lives]
    assert [(end.code, end.view["status"]) for end in ends] == [(0, "succeeded")] * 3, [end.err for end in ends]
    for end in ends:
        assert wf.show(end.view["run_id"]) == end.view
        assert containers(end.view["run_id"]) == []


def test_exec_block_08_a_second_run_of_a_live_key_watches_it(wf: Wfconsole, two: list[str]) -> None:
    with wf.live(*two, "--id", "shared") as live:
        live.here("first")
        with wf.live(*two, "--id", "shared") as other:
            assert other.run_id == live.run_id
            other.event("step_started", step_id="first")
            for name in ("first", "second"):
                let_go(wf, live.run_id, name)
            ends = [each.end() for each in (live, other)]
    assert [(end.code, end.view["status"]) for end in ends] == [(0, "succeeded")] * 2, ends[1].err
    assert ends[0].stdout == ends[1].stdout
    assert [len(each["attempts"]) for each in ends[0].view["steps"]] == [1, 1, 1]
