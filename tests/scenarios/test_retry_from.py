"""Rejections that start again: the run ends, a successor goes on at the step named, told why, in the workspace as it was."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Wfconsole, recipe, repository, step
from tests.scenarios.gate_runs import go_on, journal, kinds, plain, status, waiting

FETCH = """
import pathlib
path = pathlib.Path("fetched")
path.write_text((path.read_text() if path.exists() else "") + "x")
pathlib.Path("found.txt").write_text("found\\n")
"""
DRAFT = """
import os, pathlib
pathlib.Path("draft.txt").write_text("the draft\\n")
told = pathlib.Path("/rejection/reason.txt")
print("expression", os.environ["WHY"] or "none")
print("file", told.read_text().strip() if told.exists() else "none")
print("fetched", pathlib.Path("fetched").read_text(), "draft before:", pathlib.Path("old").exists())
print("artifact", pathlib.Path("/artifacts/fetch/found.txt").read_text().strip())
pathlib.Path("old").touch()
"""
FLOW = """
manual_retry: {run: deny, step: deny}
outputs: {draft: "${{ steps.draft.status }}"}
steps:
  fetch: {run: [[python, fetch.py]], artifacts: [found.txt]}
  side: {run: [[touch, side]]}
  draft: {needs: [fetch], env: {WHY: "${{ gates.good.reason or '' }}"}, run: [[python, draft.py]]}
  good: {needs: [draft, side], approval: {title: Good?, on_reject: {retry_from: draft}}}
  ship: {needs: [good], run: [[cat, draft.txt]]}
"""
PLAIN = """
steps:
  fetch: {set: {n: 1}}
  draft: {needs: [fetch], set: {why: "${{ gates.good.reason }}", who: "${{ gates.good.actor }}"}}
  good: {needs: [draft], approval: {title: Good?, on_reject: {retry_from: draft}, timeout: TIMEOUT, on_timeout: reject}}
  ship: {needs: [good], set: {done: true}}
"""


@pytest.fixture(scope="module")
def project(place: Path) -> Path:
    return repository(place / "drafts", {"fetch.py": FETCH, "draft.py": DRAFT})


@pytest.fixture(scope="module")
def asking(place: Path) -> Path:
    """A recipe without containers."""
    return plain(place, "asking", PLAIN.replace("TIMEOUT", "24h"))


def marks(wf: Wfconsole, *run_ids: str) -> list[str]:
    """Steps that took effect in these runs, one for each time."""
    listed = ", ".join(f"'{run_id}'" for run_id in run_ids)
    return sorted(row["step"] for row in wf.rows(f"SELECT step FROM marks WHERE run_id IN ({listed})"))


def successor_of(wf: Wfconsole, run_id: str) -> str:
    (found,) = wf.show(run_id)["lineage"]["successors"]
    return str(found)


@pytest.mark.engine
def test_st_wf_007_1_a_rejection_from_another_process_starts_again_at_the_step_and_run_follows(
    wf: Wfconsole, place: Path, project: Path
) -> None:
    flow = recipe(place, "drafts", FLOW)
    with wf.live("run", flow, "-i", f"repo={project}", "--json") as live:
        live.event("approval_requested")
        parent = live.run_id
        said = wf.run("reject", parent, "--reason", "make it shorter", "--json")
        assert said.code == 0, said.err
        created = live.event("run_created", workflow_id=live.event("run_retried")["workflow_id"])
        successor = created["run_id"]
        live.event("approval_requested", run_id=successor)
        assert wf.run("approve", successor).code == 0
        ended = live.end()
    assert ended.code == 0, ended.err
    assert (ended.view["run_id"], ended.view["status"]) == (successor, "succeeded")
    assert f"goes on as run {successor}" in ended.err
    check_runs(wf, parent, successor)


def check_runs(wf: Wfconsole, parent: str, successor: str) -> None:
    first, second = wf.show(parent), wf.show(successor)
    assert (first["status"], first["lineage"]["successors"]) == ("cancelled", [successor])
    assert second["lineage"] == {
        "root": parent, "parent": parent, "retried_from": "draft", "reused": ["fetch", "side"], "successors": [],
    }  # fmt: skip
    assert (step(second, "fetch")["reused_from"], step(second, "draft")["reused_from"]) == (parent, None)
    assert step(second, "good")["status"] == "succeeded"
    assert marks(wf, parent, successor) == ["draft", "draft", "fetch", "good", "ship", "side"]
    assert wf.run("logs", parent, "draft").out.splitlines() == [
        "expression none", "file none", "fetched x draft before: False", "artifact found",
    ]  # fmt: skip
    assert wf.run("logs", successor, "draft").out.splitlines() == [
        "expression make it shorter", "file make it shorter", "fetched x draft before: False", "artifact found",
    ]  # fmt: skip
    assert kinds(wf, parent)[-2:] == ["run_cancelled", "run_retried"]
    told = journal(wf, parent)[-1]
    assert (told["retried_from"], told["reason"], told["gate_id"]) == ("draft", "make it shorter", "good#1")
    (changed,) = [each for each in second["artifacts"] if each["kind"] == "diff" and each["step_id"] is None]
    patch = (wf.folder(successor) / "bundle" / "artifacts" / changed["name"]).read_text()
    assert all(f"b/{name}\n" in patch for name in ("draft.txt", "fetched", "side"))
    audited = wf.run("audit", "verify", "--json")
    assert audited.code == 0, audited.out


def test_a_rejection_that_nobody_drives_is_carried_on_by_the_worker(wf: Wfconsole, asking: Path) -> None:
    parent = waiting(wf, asking)
    said = wf.run("reject", parent, "--reason", "not yet", "--json")
    successor = successor_of(wf, parent)
    assert (said.json["run_status"], said.json["successor"]) == ("cancelled", successor)
    assert wf.show(successor)["status"] == "pending"
    assert not wf.folder(successor).exists()
    view = go_on(wf, successor)
    assert (view["status"], view["waiting_for"]) == ("awaiting_approval", ["good"])
    assert step(view, "draft")["outputs"] == {"why": "not yet", "who": step_actor(wf, parent)}
    told = json.loads((wf.folder(successor) / "rejection" / "rejection.json").read_text())
    assert (told["reason"], told["run_id"]) == ("not yet", parent)
    inbox = wf.run("approvals", "--json").json["approvals"]
    assert successor in {each["run_id"] for each in inbox}
    assert parent not in {each["run_id"] for each in inbox}
    assert wf.run("approve", successor).code == 0
    assert go_on(wf, successor)["status"] == "succeeded"
    assert marks(wf, parent, successor) == ["draft", "draft", "fetch", "good", "ship"]
    watched = wf.run("watch", parent, "--json")
    assert (watched.code, watched.view["run_id"]) == (0, successor)


def step_actor(wf: Wfconsole, run_id: str) -> Any:
    (gate,) = wf.show(run_id)["approvals"]
    return gate["decisions"][0]["actor"]


def test_the_same_key_is_the_same_run_and_leads_to_where_it_went(wf: Wfconsole, asking: Path) -> None:
    parent = waiting(wf, asking, "--id", "again")
    assert wf.run("reject", parent, "--reason", "no").code == 0
    second = wf.run("run", asking, "--json", "--until-waiting", "--id", "again")
    successor = successor_of(wf, parent)
    assert (second.code, second.view["run_id"]) == (3, successor)
    assert second.view["workflow_id"] == f"again+retry.{successor}"
    assert wf.run("reject", successor, "--reason", "no again").code == 0
    third = wf.run("run", asking, "--json", "--until-waiting", "--id", "again")
    assert third.view["lineage"]["root"] == parent
    assert third.view["lineage"]["parent"] == successor
    assert step(third.view, "fetch")["reused_from"] == parent
    assert step(third.view, "draft")["outputs"]["why"] == "no again"


def test_a_decision_about_the_parent_decides_nothing_in_the_successor(wf: Wfconsole, asking: Path) -> None:
    parent = waiting(wf, asking)
    assert wf.run("reject", parent, "--reason", "no").code == 0
    successor = successor_of(wf, parent)
    go_on(wf, successor)
    late = wf.run("approve", parent, "--json")
    assert (late.code, late.error["code"]) == (6, "TRANSITION_REFUSED")
    assert status(wf.show(successor))["good"] == "needs_human"


def test_a_deadline_starts_again_once_and_then_cancels(wf: Wfconsole, place: Path) -> None:
    ran = wf.run("run", plain(place, "hurried", PLAIN.replace("TIMEOUT", "300ms")), "--json")
    view = ran.view
    assert (ran.code, view["status"]) == (4, "cancelled")
    parent = view["lineage"]["parent"]
    assert parent is not None
    assert view["lineage"]["successors"] == []
    assert step(view, "draft")["outputs"] == {"why": "nobody decided Good? in time", "who": None}
    assert [gate["status"] for gate in (*wf.show(parent)["approvals"], *view["approvals"])] == ["expired", "expired"]


def test_a_successor_that_cannot_go_on_says_so_and_can_be_cancelled(wf: Wfconsole, asking: Path) -> None:
    parent = waiting(wf, asking)
    assert wf.run("reject", parent, "--reason", "no").code == 0
    successor = successor_of(wf, parent)
    shutil.rmtree(wf.folder(parent))
    said = wf.run("worker", "--until-idle")
    assert f"{successor}: WORKSPACE_INVALID" in said.out
    cancelled = wf.run("cancel", successor)
    assert cancelled.code == 0, cancelled.err
    assert wf.show(successor)["status"] == "cancelled"


def test_kill_9_right_after_the_transaction_leaves_a_successor_that_the_worker_drives(
    wf: Wfconsole, asking: Path
) -> None:
    with wf.live("run", asking, "--json") as live:
        live.event("approval_requested")
        parent = live.run_id
        assert wf.run("reject", parent, "--reason", "not yet").code == 0
        live.event("run_retried")
        live.process.kill()
    successor = successor_of(wf, parent)
    view = go_on(wf, successor)
    assert view["status"] == "awaiting_approval"
    assert marks(wf, parent, successor) == ["draft", "draft", "fetch"]
