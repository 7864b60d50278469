"""Pause, resume, cancel and delete at every state of a run, each twice, all from other processes than the run's own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests.scenarios.cli import Wfconsole, containers, let_go, recipe, step, until
from tests.scenarios.killing import killed

pytestmark = pytest.mark.engine

CHAIN = """
steps:
  first: {run: [[python, hold.py, first]]}
  second: {needs: [first], run: [[python, hold.py, second]]}
finally:
  tidy: {run: [[python, hold.py, tidy]]}
"""
WAITS = """
steps:
  bad: {run: [[rm, /x]]}
"""
BACKS_OFF = """
steps:
  weak: {run: [[python, -c, "raise SystemExit(1)"]], retry: {attempts: 2, backoff: 10m, outcomes: [failed]}}
"""
BESIDE = """
steps:
  a: {run: [[python, hold.py, a]]}
  b: {run: [[python, hold.py, b]]}
  c: {run: [[python, hold.py, c]]}
  after: {needs: [a, b, c], run: [[echo, after]]}
"""
DEAF = (
    "import signal; signal.signal(15, signal.SIG_IGN); signal.signal(2, signal.SIG_IGN); "
    "open('part.txt', 'w').write('half'); print('begun', flush=True); exec(open('hold.py').read())"
)
PARTIAL = f"""
steps:
  deaf:
    run: [[python, -c, "{DEAF}", deaf]]
    artifacts: [part.txt]
"""
HALF = """
steps:
  whole: {run: [[python, -c, "open('log.txt', 'a').write('whole '); open('keep.txt', 'w').write('kept')"]]}
  half:
    needs: [whole]
    run:
      - [python, -c, "open('log.txt', 'a').write('half '); open('stray.txt', 'w').write('x'); open('keep.txt', 'w').write('y')"]
      - [python, hold.py, half]
    artifacts: [log.txt]
"""


class Hands:
    """Commands at one run, each a process of its own."""

    def __init__(self, wf: Wfconsole, run_id: str) -> None:
        self.wf = wf
        self.run_id = run_id

    def sends(self, *argv: str) -> dict[str, Any]:
        """A command that is legal now; its answer."""
        done = self.wf.run(argv[0], self.run_id, *argv[1:], "--json")
        assert done.code == 0, (argv, done.err)
        answer: dict[str, Any] = done.json
        return answer

    def refused(self, *commands: str, said: str = "") -> None:
        """Commands that are not legal now: each says why, with exit status 6, and leaves nothing but the refusal."""
        for command in commands:
            more = ("--yes",) if command == "delete" else ()
            done = self.wf.run(command, self.run_id, *more, "--json")
            assert done.code == 6, (command, done.stdout, done.err)
            assert done.error["code"] == "TRANSITION_REFUSED"
            assert self.run_id in done.error["message"]
            assert said in done.error["message"]


def marks(wf: Wfconsole, run_id: str) -> dict[str, int]:
    rows = wf.rows(f"SELECT step, count(*) AS n FROM marks WHERE run_id = '{run_id}' GROUP BY step")
    return {row["step"]: row["n"] for row in rows}


def test_rw_pause_resume_and_delete_st_wf_003_every_command_at_every_state(wf: Wfconsole, repo: Path) -> None:
    argv = ("run", str(recipe(repo.parent, "chain", CHAIN)), "-i", f"repo={repo}", "--id", "chain", "--json")
    with wf.live(*argv) as live:
        live.here("first")
        hands = Hands(wf, live.run_id)
        hands.refused("resume", "resume", "delete")  # running
        assert hands.sends("pause") == {"run_id": hands.run_id, "status": "running", "pausing": {"draining": 1}}
        hands.refused("pause", "delete", said=hands.run_id)  # pausing
        assert wf.show(hands.run_id)["pausing"] == {"draining": 1}
        assert hands.sends("resume")["pausing"] is None
        hands.refused("resume", said="not paused")
        hands.sends("pause")
        let_go(wf, hands.run_id, "first")
        live.event("run_paused")
        hands.refused("pause", "delete", said="pause")  # paused
        assert wf.show(hands.run_id)["pausing"] is None
        hands.sends("resume")
        live.here("second")
        hands.sends("cancel")
        live.here("tidy")
        hands.refused("cancel", "pause", "resume", "delete")  # cancelling: `finally` steps go on
        assert hands.sends("cancel", "--force")["status"] in {"running", "cancelled"}
        ended = live.end()
    assert (ended.code, ended.view["status"]) == (4, "cancelled")
    hands.refused("cancel", "cancel", "pause", "resume", said="is over: cancelled")  # over
    assert [each["to"] for each in wf.show(hands.run_id)["transitions"] if each["step_id"] is None] == [
        "pending", "running", "paused", "running", "cancelled"
    ]  # fmt: skip
    assert hands.sends("delete", "--yes")["runs"] == [hands.run_id]
    for command in ("delete", "cancel"):
        gone = wf.run(command, hands.run_id, "--json")
        assert (gone.code, gone.error["code"]) == (2, "NOT_FOUND")


def test_rw_pause_resume_and_delete_st_wf_003_every_command_at_a_run_that_nobody_has_begun(
    wf: Wfconsole, repo: Path
) -> None:
    path = recipe(repo.parent, "fresh", "steps: {a: {run: [[cat, data.txt]]}}\n")
    for key in ("begun-later", "never-begun"):
        killed(wf, "taken", "run", str(path), "-i", f"repo={repo}", "--id", key)
    later, never = (Hands(wf, wf.show(key)["run_id"]) for key in ("begun-later", "never-begun"))
    assert wf.show(later.run_id)["status"] == "pending"
    before = wf.show(later.run_id)
    later.refused("pause", "pause", "resume", "resume", "delete", "delete")
    assert wf.show(later.run_id) == before
    assert never.sends("cancel")["status"] == "cancelled"
    never.refused("cancel", "pause", "resume")
    assert wf.run("worker", "--until-idle").code == 0
    assert (wf.show(later.run_id)["status"], marks(wf, later.run_id)) == ("succeeded", {"a": 1})
    later.refused("cancel", "cancel", "pause", "pause", "resume", "resume", said="is over: succeeded")
    for hands in (later, never):
        assert hands.sends("delete", "--yes")["runs"] == [hands.run_id]


def test_rw_delete_a_run_that_waits_for_a_person_or_for_time_is_not_deleted(wf: Wfconsole, repo: Path) -> None:
    waiting = wf.run("run", recipe(repo.parent, "bad", WAITS), "-i", f"repo={repo}", "--json", "--until-waiting")
    hands = Hands(wf, waiting.view["run_id"])
    hands.refused("delete", "resume")  # awaiting_approval, and nobody drives it
    assert hands.sends("pause")["status"] == "paused"
    hands.refused("delete", "pause")
    assert hands.sends("resume")["status"] == "awaiting_approval"
    assert hands.sends("cancel")["status"] == "cancelled"
    hands.refused("cancel", "pause", "resume")
    hands.sends("delete", "--yes")
    with wf.live("run", recipe(repo.parent, "off", BACKS_OFF), "-i", f"repo={repo}", "--json") as live:
        live.event("step_backing_off")
        hands = Hands(wf, live.run_id)
        hands.refused("delete", "resume")
        assert hands.sends("pause")["status"] == "paused"
        hands.refused("pause", "delete")
        hands.sends("resume")
        hands.sends("cancel")
        assert live.end().view["status"] == "cancelled"
    hands.sends("delete", "--yes")


def test_rw_pause_resume_says_how_many_steps_are_draining(wf: Wfconsole, repo: Path) -> None:
    with wf.live("run", recipe(repo.parent, "beside3", BESIDE), "-i", f"repo={repo}", "--json") as live:
        for name in "abc":
            live.here(name)
        told = wf.run("pause", live.run_id)
        assert told.out == f"{live.run_id}  pausing: 3 steps draining\n"
        let_go(wf, live.run_id, "a")
        live.event("step_succeeded", step_id="a")
        assert wf.show(live.run_id)["pausing"] == {"draining": 2}
        for name in "bc":
            let_go(wf, live.run_id, name)
        live.event("run_paused")
        until(lambda: not containers(live.run_id), lambda: f"still there: {containers(live.run_id)}")
        wf.run("resume", live.run_id)
        assert live.end().code == 0


def test_rw_pause_resume_in_another_process_goes_on_with_every_mark_once(wf: Wfconsole, repo: Path) -> None:
    argv = ("run", str(recipe(repo.parent, "marked", CHAIN)), "-i", f"repo={repo}", "--id", "marked", "--json")
    with wf.live(*argv) as live:
        live.here("first")
        wf.run("pause", live.run_id)
        let_go(wf, live.run_id, "first")
        live.event("run_paused")
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        run_id = live.run_id
    assert marks(wf, run_id) == {"first": 1}
    assert wf.show(run_id)["status"] == "paused"
    assert wf.run("resume", run_id).code == 0
    for name in ("second", "tidy"):
        let_go(wf, run_id, name)
    ended = wf.run(*argv)
    assert (ended.code, ended.view["run_id"], ended.view["status"]) == (0, run_id, "succeeded"), ended.err
    assert marks(wf, run_id) == {"first": 1, "second": 1, "tidy": 1}


def test_two_processes_that_cancel_at_once_have_one_that_is_refused(wf: Wfconsole, repo: Path) -> None:
    with wf.live("run", recipe(repo.parent, "race", BESIDE), "-i", f"repo={repo}", "--json") as live:
        live.here("a")
        with wf.live("cancel", live.run_id, "--json") as one, wf.live("cancel", live.run_id, "--json") as other:
            codes = sorted((one.end().code, other.end().code))
        assert codes == [0, 6]
        assert live.end().view["status"] == "cancelled"


@pytest.mark.parametrize(("more", "at_most_s"), [((), 6.0), (("--force",), 1.0)], ids=["graceful", "forced"])
def test_a_cancelled_container_is_gone_in_time_and_its_partial_artifacts_stay(
    wf: Wfconsole, repo: Path, more: Sequence[str], at_most_s: float
) -> None:
    path = recipe(repo.parent, "partial", PARTIAL)
    with wf.live("run", path, "-i", f"repo={repo}", "--json") as live:
        live.here("deaf")
        with Watched(live.run_id) as watched:
            wf.run("cancel", live.run_id, *more)
            watched.until_over()
        ended = live.end()
    asked = next(event for event in ended.objects if event["type"] == "run_cancelling")
    seconds = watched.over_at - epoch(asked["timestamp"])
    assert (ended.code, ended.view["status"]) == (4, "cancelled")
    assert seconds <= at_most_s
    (part,) = [each for each in ended.view["artifacts"] if each["name"] == "part.txt"]
    assert wf.run("artifacts", live.run_id, part["artifact_id"], "-o", str(repo.parent / "part")).code == 0
    assert (repo.parent / "part").read_text() == "half"
    assert wf.run("logs", live.run_id, "deaf").out.startswith("begun")
    until(lambda: not containers(live.run_id), lambda: f"still there: {containers(live.run_id)}")


def epoch(timestamp: str) -> float:
    from datetime import datetime

    return datetime.fromisoformat(timestamp).timestamp()


class Watched:
    """Notes when no container of a run is running any more."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self.over_at = 0.0

    def __enter__(self) -> Self:
        from wfconsole.sandbox.client import LocalDocker

        self._client = LocalDocker.from_env()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def until_over(self) -> None:
        wanted: dict[str, str | list[str] | bool] = {"label": f"wfconsole.run={self._run_id}", "status": "running"}
        until(lambda: not self._client.containers.list(filters=wanted), lambda: "still running")
        self.over_at = time.time()


def test_exec_block_06_a_lost_attempt_is_tried_anew_from_the_workspace_as_it_was(wf: Wfconsole, repo: Path) -> None:
    argv = ("run", str(recipe(repo.parent, "halved", HALF)), "-i", f"repo={repo}", "--id", "halved", "--json")
    with wf.live(*argv) as live:
        live.here("half")
        os.kill(live.process.pid, signal.SIGKILL)
        live.process.wait()
        run_id = live.run_id
    remove_containers(run_id)
    workspace = wf.folder(run_id) / "workspace"
    assert (workspace / "log.txt").read_text() == "whole half "
    with wf.live(*argv) as again:
        again.event("step_started", step_id="half", attempt=2)
        again.here("half")
        assert (workspace / "log.txt").read_text() == "whole half "
        let_go(wf, run_id, "half")
        ended = again.end()
    assert (ended.code, ended.view["status"]) == (0, "succeeded"), ended.err
    assert [each["outcome"] for each in step(ended.view, "half")["attempts"]] == ["abandoned", "succeeded"]
    assert (workspace / "log.txt").read_text() == "whole half "
    assert marks(wf, run_id) == {"whole": 1, "half": 1}


def remove_containers(run_id: str) -> None:
    from wfconsole.sandbox.client import LocalDocker

    client = LocalDocker.from_env()
    try:
        for container in client.containers.list(all=True, filters={"label": f"wfconsole.run={run_id}"}):
            container.remove(force=True)
    finally:
        client.close()
