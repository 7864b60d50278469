"""The exec-block scenarios, each walked on the real engine: three runs tell all of them."""

from __future__ import annotations

import hashlib
import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import SMALL, Result, Wfconsole, containers, git, recipe, repository, step

pytestmark = pytest.mark.engine

MEET = """
import pathlib, sys, time
mine, other = sys.argv[1:]
pathlib.Path(mine).touch()
while not pathlib.Path(other).exists():
    time.sleep(0.01)
"""
FLOOD = """
import sys, time
while True:
    sys.stdout.write("x" * 99_999 + "\\n")
    sys.stdout.flush()
    time.sleep(0.01)
"""
GOOD = """
steps:
  one: {run: [[echo, one]]}
  after: {needs: [one], run: [[echo, after]]}
  left: {timeout: 60s, run: [[python, meet.py, left.tmp, right.tmp]]}
  right: {timeout: 60s, run: [[python, meet.py, right.tmp, left.tmp]]}
  raw: {run: [[python, -c, "import sys; sys.stdout.buffer.write(bytes(range(256))); sys.stderr.buffer.write(b'\\\\xff')"]]}
  where: {workdir: sub, run: [[pwd], [cat, inner.txt]]}
  remove: {needs: [one], run: [[rm, gone.txt]]}
"""
BAD = """
limits: {output_bytes: 1MiB}
steps:
  halt: {run: [[echo, first], ["false"], [echo, never]]}
  below: {needs: [halt], run: [[echo, never]]}
  below2: {needs: [below], run: [[echo, never]]}
  go_on: {halt_on_error: false, run: [[echo, first], ["false"], [echo, third]]}
  unknown: {run: [[no-such-program, --at-all]]}
  large: {run: [[head, -c, "1000000", /dev/zero]]}
  flood: {run: [[python, flood.py]]}
  late: {timeout: 1s, run: [[sleep, "600"]]}
  killed: {run: [[python, -c, "import os; os.kill(os.getpid(), 15)"]]}
  linked: {workdir: outside, halt_on_error: false, run: [[touch, /workspace/reached], [touch, /workspace/reached]]}
  no_program: {run: [[./read.me]]}
"""
BLOCKED = """
steps:
  shell: {run: [[sh, -c, "echo reached > /workspace/reached"]]}
  remove: {run: [[rm, /etc/hostname]]}
  move: {run: [[mv, read.me, ../escaped]]}
  hidden: {run: [[env, nice, sh, -c, "echo reached > /workspace/reached"]]}
  wrapped: {run: [[env, -i, nice, -n, "5", timeout, "3", rm, -rf, /workspace/read.me]]}
  fine: {run: [[echo, fine]]}
"""
DENIED = """
commands: {default: deny, allow: [echo], deny: [cat]}
steps:
  allowed: {run: [[echo, allowed]]}
  unlisted: {run: [[touch, reached]]}
  denied: {run: [[cat, read.me]]}
"""


def run(wf: Wfconsole, repo: Path, name: str, text: str) -> Result:
    return wf.run("run", recipe(repo.parent, name, text), "-i", f"repo={repo}", "--json", "--until-waiting")


@pytest.fixture(scope="module")
def project(place: Path) -> Path:
    made = repository(place / "project", {"meet.py": MEET, "flood.py": FLOOD, "sub/inner.txt": "inner\n", **SMALL})
    (made / "outside").symlink_to("/tmp")
    git(made, "add", "-A")
    git(made, "commit", "-q", "-m", "a link out of it")
    return made


@pytest.fixture(scope="module")
def good(wf: Wfconsole, project: Path) -> Result:
    return run(wf, project, "good", GOOD)


@pytest.fixture(scope="module")
def bad(wf: Wfconsole, project: Path) -> Result:
    return run(wf, project, "bad", BAD)


@pytest.fixture(scope="module")
def blocked(wf: Wfconsole, project: Path) -> Result:
    return run(wf, project, "blocked", BLOCKED)


def stream(wf: Wfconsole, result: Result, step_id: str, command: int = 0, name: str = "stdout") -> bytes:
    """The recorded stream of a command, read from the file that the RunView names."""
    reference = step(result.view, step_id)["attempts"][-1]["commands"][command][name]
    data: bytes = (wf.folder(result.view["run_id"]) / reference["path"]).read_bytes()
    assert len(data) == reference["bytes"]
    return data


def cause(result: Result, step_id: str) -> Any:
    return step(result.view, step_id)["failure"]["code"]


def exit_codes(result: Result, step_id: str) -> list[int | None]:
    return [command["exit_code"] for command in step(result.view, step_id)["attempts"][0]["commands"]]


def times(result: Result, step_id: str) -> tuple[str, str]:
    found = step(result.view, step_id)
    return found["started_at"], found["finished_at"]


def test_exec_block_01_a_stage_succeeds_and_the_bundle_is_written(wf: Wfconsole, good: Result) -> None:
    assert (good.code, good.view["status"]) == (0, "succeeded"), good.err
    assert step(good.view, "one")["status"] == "succeeded"
    assert stream(wf, good, "one") == b"one\n"
    bundle = wf.home / good.view["bundle"]
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    named = {entry["path"] for entry in manifest["files"]}
    assert {"events.jsonl", "logs/one/1/0.stdout", "logs/raw/1/0.stderr"} <= named
    for entry in manifest["files"]:
        data = (bundle / entry["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])


def test_exec_block_01_the_manifest_has_each_command_with_its_own_streams_code_and_times(
    wf: Wfconsole, good: Result, bad: Result
) -> None:
    for result, name, codes in ((good, "where", [0, 0]), (bad, "go_on", [0, 1, 0])):
        bundle = wf.home / result.view["bundle"]
        manifest = json.loads((bundle / "manifest.json").read_bytes())
        named = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
        (attempt,) = step(manifest["run"], name)["attempts"]
        commands = attempt["commands"]
        assert [(command["index"], command["exit_code"]) for command in commands] == list(enumerate(codes))
        for command in commands:
            for stream in ("stdout", "stderr"):
                assert named[command[stream]["path"].removeprefix("bundle/")] == command[stream]["bytes"]
            assert attempt["started_at"] <= command["started_at"] <= command["finished_at"] <= attempt["finished_at"]
        assert all(one["finished_at"] <= two["started_at"] for one, two in itertools.pairwise(commands))
        assert len({command[stream]["path"] for command in commands for stream in ("stdout", "stderr")}) == 2 * len(
            codes
        )


def test_exec_block_02_halt_on_error_ends_the_stage_and_skips_what_follows(bad: Result) -> None:
    assert (bad.code, bad.view["status"]) == (1, "failed")
    assert exit_codes(bad, "halt") == [0, 1]
    assert cause(bad, "halt") == "STEP_FAILED"
    assert step(bad.view, "below")["status"] == "skipped"


def test_exec_block_03_without_halt_on_error_the_rest_runs_and_the_stage_fails(wf: Wfconsole, bad: Result) -> None:
    assert step(bad.view, "go_on")["status"] == "failed"
    assert exit_codes(bad, "go_on") == [0, 1, 0]
    assert stream(wf, bad, "go_on", 2) == b"third\n"
    bundle = wf.home / bad.view["bundle"]
    named = {entry["path"] for entry in json.loads((bundle / "manifest.json").read_bytes())["files"]}
    assert {f"logs/go_on/1/{n}.{name}" for n in range(3) for name in ("stdout", "stderr")} <= named


def test_exec_block_04_b_becomes_runnable_after_a(good: Result) -> None:
    assert times(good, "after")[0] >= times(good, "one")[1]


def test_exec_block_05_b_is_skipped_and_the_run_failed_when_a_fails(bad: Result) -> None:
    assert [step(bad.view, name)["status"] for name in ("halt", "below", "below2")] == ["failed", "skipped", "skipped"]
    assert [step(bad.view, name)["attempts"] for name in ("below", "below2")] == [[], []]
    assert "halt" in step(bad.view, "below")["reason"]
    assert bad.view["status"] == "failed"


def test_exec_block_09_a_shell_needs_a_human(wf: Wfconsole, blocked: Result) -> None:
    assert (blocked.code, blocked.view["status"]) == (3, "awaiting_approval"), blocked.err
    for name in ("shell", "hidden"):
        found = step(blocked.view, name)
        assert (found["status"], found["failure"]["code"]) == ("needs_human", "POLICY_BLOCKED")
        assert "sh" in found["reason"]
        assert found["attempts"] == []
    assert not (wf.folder(blocked.view["run_id"]) / "workspace" / "reached").exists()
    assert step(blocked.view, "fine")["status"] == "succeeded"
    assert containers(blocked.view["run_id"]) == []


def test_exec_block_10_rm_of_an_absolute_path_is_blocked(blocked: Result) -> None:
    for name, path in (("remove", "/etc/hostname"), ("wrapped", "/workspace/read.me")):
        found = step(blocked.view, name)
        assert found["status"] == "needs_human"
        assert path in found["reason"]


def test_exec_block_11_rm_of_a_relative_path_is_allowed_with_a_warning(wf: Wfconsole, good: Result) -> None:
    found = step(good.view, "remove")
    assert found["status"] == "succeeded"
    assert any("gone.txt" in text for text in found["attempts"][0]["commands"][0]["warnings"])
    assert not (wf.folder(good.view["run_id"]) / "workspace" / "gone.txt").exists()
    events = wf.run("events", good.view["run_id"], "--json").objects
    assert [event["step_id"] for event in events if event["type"] == "command_warned"] == ["remove"]


def test_exec_block_12_mv_out_of_the_workspace_is_blocked(wf: Wfconsole, blocked: Result) -> None:
    found = step(blocked.view, "move")
    assert found["status"] == "needs_human"
    assert "../escaped" in found["reason"]
    assert set(blocked.view["waiting_for"]) == {"shell", "hidden", "wrapped", "remove", "move"}
    shown = wf.run("show", blocked.view["run_id"]).out
    assert all(step(blocked.view, name)["reason"] in shown for name in blocked.view["waiting_for"])


def test_exec_block_16_parallel_stages_run_at_the_same_time(good: Result) -> None:
    """Each of the two ends only when the other has begun."""
    assert [step(good.view, name)["status"] for name in ("left", "right")] == ["succeeded", "succeeded"]


def test_exec_block_17_huge_output_goes_to_a_file_up_to_its_limit(wf: Wfconsole, bad: Result) -> None:
    assert step(bad.view, "large")["status"] == "succeeded"
    assert len(stream(wf, bad, "large")) == 1_000_000
    assert cause(bad, "flood") == "OUTPUT_LIMIT"
    assert 1024 * 1024 < len(stream(wf, bad, "flood")) < 50_000_000  # it would have written for ever
    journal = sum(len(line) for line in wf.run("events", bad.view["run_id"], "--json").stdout.splitlines())
    assert journal < 200_000


def test_exec_block_18_output_that_is_no_text_is_kept_as_it_is(wf: Wfconsole, good: Result) -> None:
    assert stream(wf, good, "raw") == bytes(range(256))
    assert stream(wf, good, "raw", name="stderr") == b"\xff"
    assert wf.run("logs", good.view["run_id"], "raw", "--raw").stdout == bytes(range(256))
    json.loads((wf.home / good.view["bundle"] / "manifest.json").read_text())


def test_exec_block_19_the_project_is_the_folder_and_the_boundary(wf: Wfconsole, project: Path, good: Result) -> None:
    assert stream(wf, good, "where") == b"/workspace/sub\n"
    assert stream(wf, good, "where", 1) == b"inner\n"
    assert (project / "gone.txt").exists()  # what a step removes, it removes from the copy
    assert git(project, "status", "--porcelain") == b""
    outside = run(wf, project, "outside", "steps: {out: {workdir: ../.., run: [[pwd]]}}\n")
    assert (outside.code, step(outside.view, "out")["status"]) == (3, "needs_human")
    assert cause(outside, "out") == "POLICY_BLOCKED"


def test_exec_block_19_a_link_does_not_lead_out_of_the_boundary(wf: Wfconsole, bad: Result) -> None:
    found = step(bad.view, "linked")
    assert (found["status"], found["failure"]["code"]) == ("failed", "POLICY_BLOCKED")
    commands = found["attempts"][0]["commands"]
    assert [(each["exit_code"], each["error"]) for each in commands] == [(None, "POLICY_BLOCKED")] * 2
    assert not (wf.folder(bad.view["run_id"]) / "workspace" / "reached").exists()


def test_exec_block_20_an_unknown_executable_fails_the_stage_and_is_in_the_manifest(wf: Wfconsole, bad: Result) -> None:
    found = step(bad.view, "unknown")
    assert (found["status"], cause(bad, "unknown")) == ("failed", "COMMAND_NOT_FOUND")
    manifest = json.loads((wf.home / bad.view["bundle"] / "manifest.json").read_bytes())
    command = step(manifest["run"], "unknown")["attempts"][0]["commands"][0]
    assert command["argv"] == ["no-such-program", "--at-all"]
    assert command["error"]


def test_a_timeout_and_a_signal_are_told_apart_from_a_failure(bad: Result) -> None:
    late, killed = step(bad.view, "late")["attempts"][0], step(bad.view, "killed")["attempts"][0]
    assert (late["outcome"], late["cause"]["code"]) == ("timed_out", "STEP_TIMED_OUT")
    assert (killed["outcome"], killed["commands"][0]["signal"]) == ("failed", 15)
    assert "signal 15 (TERM)" in killed["cause"]["message"]
    no_program = step(bad.view, "no_program")["attempts"][0]
    assert (no_program["outcome"], no_program["commands"][0]["error"]) == ("failed", "SPAWN_ERROR")
    assert (no_program["cause"]["code"], no_program["commands"][0]["exit_code"]) == ("STEP_FAILED", None)


def test_exec_block_gap_4_deny_by_default_lets_only_what_is_listed_run(wf: Wfconsole, project: Path) -> None:
    path = recipe(project.parent, "denied", DENIED)
    assert wf.run("recipes", "validate", path).code == 0
    result = wf.run("run", path, "-i", f"repo={project}", "--json", "--until-waiting")
    statuses = {each["step_id"]: each["status"] for each in result.view["steps"]}
    assert statuses == {"allowed": "succeeded", "unlisted": "needs_human", "denied": "needs_human"}
    assert result.code == 3
