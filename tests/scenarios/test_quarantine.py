"""A run whose recovery keeps failing is set aside, says so wherever one looks, and is taken back by an operator's resume."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole
from tests.scenarios.gate_runs import go_on, kinds, plain, refusal, waiting

GATED = """
inputs: {repo: {type: path, required: true}}
workspace: {source: "${{ inputs.repo }}", ref: worktree}
steps:
  ship: {approval: {title: Ship it?}}
  after: {needs: [ship], set: {a: 1}}
"""


@pytest.fixture
def wf(tmp_path: Path) -> Wfconsole:
    return Wfconsole(tmp_path / "home")


@pytest.fixture
def aside(wf: Wfconsole, tmp_path: Path) -> str:
    """A run whose folder was taken away, so that three owners one after another could not go on with it."""
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "a").write_text("1")
    run_id = waiting(wf, plain(tmp_path, "gated", GATED), "-i", f"repo={tmp_path / 'repo'}")
    (wf.home / "runs" / run_id).rename(tmp_path / "elsewhere")
    for attempt in (1, 2, 3):
        assert wf.show(run_id)["quarantine"] is None
        said = wf.run("worker", "--until-idle")
        assert said.code == 0, said.err
        assert ("RUN_QUARANTINED" in said.out) == (attempt == 3), said.out
    return run_id


def test_a_run_that_was_set_aside_says_so_and_why_and_what_to_do(wf: Wfconsole, aside: str) -> None:
    told = wf.show(aside)["quarantine"]
    assert (told["code"], told["attempts"]) == ("WORKSPACE_INVALID", 3)
    assert f"the folder of run {aside} is gone" in told["message"]
    assert told["hint"] == f"when the reason is gone: wfconsole resume {aside}"
    page = wf.run("show", aside).out
    assert "set aside: nobody drives it" in page
    assert all(words in page for words in ("WORKSPACE_INVALID", told["message"], told["hint"]))
    assert f"set aside: WORKSPACE_INVALID; wfconsole resume {aside}" in wf.run("runs").out
    (row,) = wf.run("runs", "--json").json["runs"]
    assert row["quarantine"] == told
    assert kinds(wf, aside)[-1] == "run_quarantined"
    assert "set aside: 3 times it could not be driven: WORKSPACE_INVALID" in wf.run("events", aside).out
    assert wf.run("audit", "verify", aside).code == 0


def test_nobody_drives_it_whatever_is_decided_meanwhile_until_it_is_resumed(
    wf: Wfconsole, aside: str, tmp_path: Path
) -> None:
    assert wf.run("approve", aside).code == 0
    (tmp_path / "elsewhere").rename(wf.home / "runs" / aside)
    assert go_on(wf, aside)["status"] == "running"
    assert wf.show(aside)["quarantine"] is not None
    resumed = wf.run("resume", aside)
    assert (resumed.code, wf.show(aside)["quarantine"]) == (0, None), resumed.err
    assert kinds(wf, aside)[-1] == "run_readmitted"
    (row,) = wf.run("runs", "--json").json["runs"]
    assert row["quarantine"] is None
    assert go_on(wf, aside)["status"] == "succeeded"
    refusal(wf.run("resume", aside, "--json"), "TRANSITION_REFUSED")


def test_it_can_be_set_aside_again(wf: Wfconsole, aside: str) -> None:
    assert wf.run("resume", aside).code == 0
    for _ in range(3):
        assert wf.run("worker", "--until-idle").code == 0
    assert [kind for kind in kinds(wf, aside) if "quarantined" in kind or "readmitted" in kind] == [
        "run_quarantined", "run_readmitted", "run_quarantined",
    ]  # fmt: skip


def test_it_can_be_cancelled(wf: Wfconsole, aside: str, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").rename(wf.home / "runs" / aside)
    cancelled = wf.run("cancel", aside)
    assert cancelled.code == 0, cancelled.err
    view = wf.show(aside)
    assert (view["status"], view["quarantine"]) == ("cancelled", None)
