"""Every gate leaves its question card before it opens: also one that a blocked command opens, whoever's ruling that is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Wfconsole, recipe
from tests.scenarios.gate_runs import card, go_on, journal, kinds, plain, refusal, status, waiting

BAD = "template: python\nsteps: {bad: {run: [[rm, -rf, /tmp/x], [rm, -rf, /tmp/y]]}}\n"
AFTER = "template: python\nsteps: {ok: {approval: {title: Go?}}, bad: {needs: [ok], run: [[rm, -rf, /tmp/x]]}}\n"
OUTSIDE = "template: python\nsteps: {bad: {run: [[ls]], workdir: ../..}}\n"


def kept(wf: Wfconsole, run_id: str, gate_id: str) -> dict[str, Any]:
    """The card of this gate as an artifact, after a look at its content and at its place in the journal."""
    told = journal(wf, run_id)
    opened = next(
        n for n, event in enumerate(told) if event["type"] == "approval_requested" and event["gate_id"] == gate_id
    )
    before = [event["artifact"] for event in told[:opened] if event["type"] == "artifact_recorded"]
    record = next(each for each in reversed(before) if each["kind"] == "question_card")
    data = wf.run("artifacts", run_id, record["artifact_id"], "-o", "-").stdout
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (record["sha256"], record["bytes"])
    assert (wf.folder(run_id) / "bundle" / "artifacts" / record["step_id"] / record["name"]).read_bytes() == data
    found: dict[str, Any] = json.loads(data)
    assert found["gate_id"] == gate_id
    return found


def shown(wf: Wfconsole, run_id: str, gate: str) -> dict[str, Any]:
    """What the card has to say about this gate."""
    asked = card(wf, run_id, gate)
    return {
        "prompt": asked["title"],
        "choices": asked["choices"],
        "gate_id": asked["gate_id"],
        "context_digest": asked["context_digest"],
        "expires_at": asked["expires_at"],
    }


def test_exec_block_09_each_blocked_command_has_a_card_of_its_own_before_its_gate_opens(
    wf: Wfconsole, place: Path
) -> None:
    run_id = waiting(wf, plain(place, "bad", BAD))
    assert kept(wf, run_id, "bad#1") == shown(wf, run_id, "bad")
    assert kept(wf, run_id, "bad#1")["choices"] == ["approve", "reject"]
    assert wf.run("approve", run_id, "--reason", "harmless here").code == 0
    go_on(wf, run_id)
    assert kept(wf, run_id, "bad#1.2") == shown(wf, run_id, "bad")
    names = [each["name"] for each in wf.show(run_id)["artifacts"] if each["kind"] == "question_card"]
    assert names == ["question_card.json", "question_card-2.json"]


def test_exec_block_09_a_card_is_kept_also_where_the_decision_of_another_gate_blocks_the_command(
    wf: Wfconsole, place: Path
) -> None:
    run_id = waiting(wf, plain(place, "after", AFTER))
    assert wf.run("approve", run_id).code == 0  # nobody drives the run: this command's own process rules
    assert kept(wf, run_id, "bad#1") == shown(wf, run_id, "bad")


def test_exec_block_09_a_folder_outside_the_workspace_can_only_be_rejected(wf: Wfconsole, place: Path) -> None:
    run_id = waiting(wf, plain(place, "outside", OUTSIDE))
    assert kept(wf, run_id, "bad#1") == shown(wf, run_id, "bad")
    assert kept(wf, run_id, "bad#1")["choices"] == ["reject"]


@pytest.mark.parametrize("gone", [False, True])
def test_st_wf_005_3_a_context_that_was_incomplete_gets_its_card_when_resume_has_made_it_whole(
    wf: Wfconsole, place: Path, repo: Path, gone: bool
) -> None:
    text = "steps: {ship: {approval: {title: Ship?, context: {files: [notes.md]}}}}\n"
    run_id = waiting(wf, recipe(place, "notes", text), "-i", f"repo={repo}")
    refusal(wf.run("approve", run_id, "--json"), "CONTEXT_INCOMPLETE")
    assert not [each for each in wf.show(run_id)["artifacts"] if each["kind"] == "question_card"]
    if not gone:
        (wf.folder(run_id) / "workspace" / "notes.md").write_text("new\n")
    assert wf.run("resume", run_id).code == 0
    view = go_on(wf, run_id)
    if gone:
        assert (status(view)["ship"], "approval_requested" in kinds(wf, run_id)) == ("needs_human", False)
        return
    gate_id = view["approvals"][0]["gate_id"]
    assert kept(wf, run_id, gate_id) == shown(wf, run_id, "ship")
