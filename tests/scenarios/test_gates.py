"""Gates of a real repository: what the card shows, what is bound by a decision, what of it can be checked afterwards."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Wfconsole, recipe, repository, step
from tests.scenarios.gate_runs import (
    artifacts,
    card,
    go_on,
    journal,
    kinds,
    on_store,
    plain,
    refusal,
    status,
    waiting,
)

CHANGE = """
import pathlib
pathlib.Path("read.me").write_text("one\\nthree\\n")
pathlib.Path("gone.txt").unlink()
pathlib.Path("migrations").mkdir()
pathlib.Path("migrations/0001.sql").write_text("DROP TABLE users;\\n")
"""
FLOW = """
steps:
  change: {run: [[python, change.py]]}
  unit: {needs: [change], run: [[python, report.py]], reports: {junit: unit.xml}}
  ship:
    needs: [unit]
    approval: {title: Ship it?, context: {diff: workspace, tests: [unit], risk: auto, files: [read.me]}}
  sent: {needs: [ship], run: [[cat, read.me]]}
"""
REPORT = """
import pathlib
cases = '<testcase name="a"/><testcase name="b"/><testcase name="c"><skipped/></testcase>'
pathlib.Path("unit.xml").write_text('<testsuite tests="3" skipped="1">' + cases + '</testsuite>')
"""
HOLLOW = """
steps:
  made: {set: {a: 1}}
  ship: {needs: [made], approval: {title: Ship?, context: {tests: [made], files: [notes.md]}}}
"""
COMMON = (
    "run_id",
    "workflow_name",
    "workflow_version",
    "timestamp",
    "correlation_id",
    "seq",
    "schema_version",
    "actor",
)
FILES = "steps: {ship: {approval: {title: Ship?, context: {diff: workspace, files: [notes.md]}}}}\n"
SHIP = "steps: {ship: {approval: {title: Ship?}}, sent: {needs: [ship], set: {done: true}}}\n"


@pytest.fixture(scope="module")
def project(place: Path) -> Path:
    files = {"change.py": CHANGE, "report.py": REPORT, "read.me": "one\ntwo\n", "gone.txt": "x\n"}
    return repository(place / "project", files)


@pytest.fixture(scope="module")
def shipping(wf: Wfconsole, place: Path, project: Path) -> str:
    """A run of a real repository that waits at its gate."""
    return waiting(wf, recipe(place, "flow", FLOW), "-i", f"repo={project}")


@pytest.fixture(scope="module")
def ship(wf: Wfconsole, place: Path) -> Path:
    return plain(place, "ship", SHIP)


@pytest.mark.engine
def test_st_wf_005_1_the_card_has_the_diff_the_tests_and_the_risk(wf: Wfconsole, shipping: str) -> None:
    assert wf.show(shipping)["status"] == "awaiting_approval"
    shown = card(wf, shipping, "ship")
    context = shown["context"]
    changed = json.dumps(context["diff"]["files"])
    assert all(name in changed for name in ("read.me", "gone.txt", "migrations/0001.sql"))
    assert (context["tests"]["total"]["passed"], context["tests"]["total"]["skipped"]) == (2, 1)
    assert context["risk"]["level"] in {"medium", "high"}
    assert "migrations/0001.sql" in json.dumps(context["risk"])
    assert hashlib.sha256(canonical(context)).hexdigest() == shown["context_digest"]
    kept = artifacts(wf.show(shipping), "ship")
    assert {"context", "diff", "question_card"} <= set(kept.values())


@pytest.mark.engine
def test_st_wf_005_2_all_of_it_is_shown_before_one_is_told_how_to_decide(wf: Wfconsole, shipping: str) -> None:
    told = [(event["type"], event.get("artifact", {}).get("kind")) for event in journal(wf, shipping)]
    opened = told.index(("approval_requested", None))
    assert all(told.index(("artifact_recorded", kind)) < opened for kind in ("context", "diff", "question_card"))
    text = wf.run("approvals", shipping, "ship").out
    parts = [text.index(part) for part in ("read.me", "migrations/0001.sql", "2 passed", "wfconsole approve")]
    assert parts[-1] == max(parts)


@pytest.mark.engine
def test_st_wf_006_1_an_approval_of_what_was_seen_goes_on_in_the_same_workspace(wf: Wfconsole, shipping: str) -> None:
    digest = card(wf, shipping, "ship")["context_digest"]
    stale = refusal(wf.run("approve", shipping, "--match-context", "0" * 64, "--json"), "DECISION_STALE")
    assert digest in stale["message"]
    done = wf.run("approve", shipping, "--match-context", digest, "--json")
    assert (done.code, done.json["run_status"]) == (0, "running"), done.err
    view = go_on(wf, shipping)
    assert status(view) == {"change": "succeeded", "unit": "succeeded", "ship": "succeeded", "sent": "succeeded"}
    assert wf.run("logs", shipping, "sent").out == "one\nthree\n"
    told = kinds(wf, shipping)
    assert "step_started" in told[told.index("approval_granted") :]
    assert audited(wf, shipping) == []


def canonical(document: Any) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


# -------------------------------------------------------------------------------------------------- incomplete contexts


def test_st_wf_005_3_a_context_that_cannot_be_made_blocks_the_gate_in_the_same_words_everywhere(
    wf: Wfconsole, place: Path, repo: Path
) -> None:
    run_id = waiting(wf, recipe(place, "hollow", HOLLOW), "-i", f"repo={repo}")
    failure = step(wf.show(run_id), "ship")["failure"]
    assert (failure["code"], status(wf.show(run_id))["ship"]) == ("CONTEXT_INCOMPLETE", "needs_human")
    assert all(name in failure["message"] for name in ("notes.md", "made"))
    assert f"wfconsole resume {run_id}" in failure["hint"]
    for argv in (("approve", run_id), ("reject", run_id, "--reason", "x"), ("approvals", run_id, "ship")):
        error = refusal(wf.run(*argv, "--json"), "CONTEXT_INCOMPLETE")
        assert (error["message"], error["hint"]) == (failure["message"], failure["hint"]), argv
    assert failure["message"] in wf.run("show", run_id).out
    assert wf.run("resume", run_id).code == 0
    view = go_on(wf, run_id)
    assert (status(view)["ship"], view["approvals"], kinds(wf, run_id).count("approval_requested")) == (
        "needs_human",
        [],
        0,
    )


def test_st_wf_005_3_resume_builds_the_context_again(wf: Wfconsole, place: Path, repo: Path) -> None:
    run_id = waiting(wf, recipe(place, "files", FILES), "-i", f"repo={repo}")
    refusal(wf.run("approve", run_id, "--json"), "CONTEXT_INCOMPLETE")
    (wf.folder(run_id) / "workspace" / "notes.md").write_text("what is new\n")
    assert wf.run("resume", run_id).code == 0
    assert go_on(wf, run_id)["status"] == "awaiting_approval"
    assert "what is new" in wf.run("approvals", run_id, "ship").out
    assert wf.run("approve", run_id).code == 0
    assert go_on(wf, run_id)["status"] == "succeeded"


# ---------------------------------------------------------------------------------------------------- signed elsewhere


def signed(wf: Wfconsole, run_id: str, folder: Path, *, change: Any = None) -> Path:
    """What `approvals --payload` prints, signed with ssh-keygen as an operator would do by hand; changed after that."""
    payload = wf.run("approvals", run_id, "ship", "--payload", "--reason", "by hand").stdout
    key = wf.home / "keys" / "operator"
    argv = ["ssh-keygen", "-q", "-Y", "sign", "-f", str(key), "-n", "decision@wfconsole"]
    made = subprocess.run(argv, input=payload, capture_output=True, check=True).stdout.decode()
    document = json.loads(payload)
    if change is not None:
        document.update(change)
    path = folder / f"{run_id}.json"
    path.write_text(json.dumps({"payload": document, "signature": made}))
    return path


@pytest.fixture(scope="module")
def keyed(wf: Wfconsole, ship: Path) -> str:
    """A decided run: with it the operator's key was made."""
    run_id = waiting(wf, ship)
    assert wf.run("approve", run_id).code == 0
    return run_id


def test_w3_a_decision_signed_elsewhere_is_taken_once(wf: Wfconsole, ship: Path, place: Path, keyed: str) -> None:
    run_id = waiting(wf, ship)
    path = signed(wf, run_id, place)
    done = wf.run("decide", run_id, "--payload", "-", "--json", stdin=path.read_bytes())
    assert (done.code, done.json["gate_status"]) == (0, "granted"), done.err
    (decision,) = wf.show(run_id)["approvals"][0]["decisions"]
    assert decision["reason"] == "by hand"
    refusal(wf.run("decide", run_id, "--payload", path, "--json"), "TRANSITION_REFUSED")
    assert audited(wf, run_id) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"choice": "reject"}, "does not fit"),
        ({"reason": "something else"}, "does not fit"),
        ({"actor": "eve@elsewhere"}, "names eve@elsewhere"),
        ({"context_digest": "0" * 64}, "does not fit"),
        ({"seen": {"seq": 1, "hash": "0" * 64}}, "does not fit"),
    ],
)
def test_a_payload_that_was_altered_after_signing_is_refused(
    wf: Wfconsole, ship: Path, place: Path, keyed: str, change: dict[str, Any], words: str
) -> None:
    run_id = waiting(wf, ship)
    path = signed(wf, run_id, place, change=change)
    assert words in refusal(wf.run("decide", run_id, "--payload", path, "--json"), "DECISION_INVALID")["message"]
    assert card(wf, run_id, "ship")["decisions"] == []
    assert wf.show(run_id)["status"] == "awaiting_approval"


def test_a_decision_of_another_run_or_of_no_signer_is_refused(
    wf: Wfconsole, ship: Path, place: Path, keyed: str
) -> None:
    first, second = waiting(wf, ship), waiting(wf, ship)
    path = signed(wf, first, place)
    refusal(wf.run("decide", second, "--payload", path, "--json"), "DECISION_INVALID")
    document = json.loads(path.read_bytes())
    for signature in ("", "-----BEGIN SSH SIGNATURE-----\nAAAA\n-----END SSH SIGNATURE-----\n"):
        bad = json.dumps({**document, "signature": signature}).encode()
        refusal(wf.run("decide", first, "--payload", "-", "--json", stdin=bad), "DECISION_INVALID")
    for data in (b"", b"[]", b"{}", b'{"payload": 1, "signature": 2}'):
        refusal(wf.run("decide", first, "--payload", "-", "--json", stdin=data), "INPUT_INVALID", 2)
    assert {wf.show(run_id)["status"] for run_id in (first, second)} == {"awaiting_approval"}


# -------------------------------------------------------------------------------------------------------------- audits


def audited(wf: Wfconsole, run_id: str) -> Sequence[str]:
    """The problems that `audit verify` finds."""
    done = wf.run("audit", "verify", run_id, "--json")
    (found,) = done.json["runs"]
    assert done.code == (1 if found["problems"] else 0), done.err
    problems: list[str] = found["problems"]
    return problems


def rewritten(wf: Wfconsole, run_id: str, kind: str, change: Any, *, chained: bool) -> None:
    """Change the first event of this kind in the database; with `chained` every hash after it, too, as a forger would."""
    rows = wf.rows(f"SELECT seq, type, body, prev FROM journal WHERE run_id = '{run_id}' ORDER BY seq")
    triggers = wf.rows("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'journal'")
    target = next(row["seq"] for row in rows if row["type"] == kind)
    statements: list[tuple[str, Sequence[Any]]] = [(f"DROP TRIGGER {row['name']}", ()) for row in triggers]
    prev = bytes.fromhex(rows[0]["prev"])
    for row in rows:
        body = bytes.fromhex(row["body"])
        if row["seq"] == target:
            document = json.loads(body)
            change(document)
            body = canonical(document)
            if not chained:
                statements.append(("UPDATE journal SET body = ? WHERE run_id = ? AND seq = ?", (body, run_id, target)))
        digest = hashlib.sha256(prev + body).digest()
        if chained:
            sql = "UPDATE journal SET body = ?, prev = ?, hash = ? WHERE run_id = ? AND seq = ?"
            statements.append((sql, (body, prev, digest, run_id, row["seq"])))
        prev = digest
    on_store(wf, *statements, *((row["sql"], ()) for row in triggers))


@pytest.fixture
def decided(wf: Wfconsole, ship: Path) -> str:
    run_id = waiting(wf, ship)
    assert wf.run("approve", run_id, "--reason", "fine").code == 0
    assert audited(wf, run_id) == []
    return run_id


def test_audit_finds_an_event_that_was_changed(wf: Wfconsole, decided: str) -> None:
    rewritten(wf, decided, "step_started", lambda event: event.update(step_id="other"), chained=False)
    assert any("chain_broken" in problem for problem in audited(wf, decided))


def test_audit_finds_a_decision_that_was_changed_with_all_hashes_after_it(wf: Wfconsole, decided: str) -> None:
    rewritten(wf, decided, "decision_recorded", lambda event: event.update(reason="forged"), chained=True)
    (problem,) = audited(wf, decided)
    assert "not what was signed (reason)" in problem


def test_audit_finds_a_signature_that_does_not_fit(wf: Wfconsole, decided: str) -> None:
    def forge(event: dict[str, Any]) -> None:
        event["reason"] = event["payload"]["reason"] = "forged"

    rewritten(wf, decided, "decision_recorded", forge, chained=True)
    (problem,) = audited(wf, decided)
    assert "does not fit" in problem


def test_audit_finds_a_card_that_was_changed_after_it_was_decided(wf: Wfconsole, decided: str) -> None:
    rewritten(wf, decided, "approval_requested", lambda event: event.update(title="Nothing much?"), chained=True)
    (problem,) = audited(wf, decided)
    assert "its signer saw another event" in problem


def test_audit_finds_a_grant_that_nobody_decided(wf: Wfconsole, decided: str) -> None:
    """The decision turned into a refused command: every hash is right, and what was granted was granted by nobody."""

    def vanish(event: dict[str, Any]) -> None:
        kept = {key: event[key] for key in COMMON if key in event}
        event.clear()
        event.update(kept, type="command_refused", command="decide_gate", code="DECISION_INVALID", reason="x", hint="")

    rewritten(wf, decided, "decision_recorded", vanish, chained=True)
    problems = audited(wf, decided)
    assert any("ship#1 has been granted, and its decisions do not amount to that" in one for one in problems), problems


@pytest.mark.parametrize("table", ["runs", "steps"])
def test_audit_finds_a_projection_that_says_something_else(wf: Wfconsole, decided: str, table: str) -> None:
    guards = wf.rows(f"SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'")
    changed = (f"UPDATE {table} SET status = 'pending' WHERE run_id = ?", (decided,))
    on_store(
        wf, *((f"DROP TRIGGER {row['name']}", ()) for row in guards), changed, *((row["sql"], ()) for row in guards)
    )
    assert any("projection_differs" in problem and table in problem for problem in audited(wf, decided))


def test_audit_tells_how_far_the_last_signature_reaches(wf: Wfconsole, decided: str) -> None:
    (found,) = wf.run("audit", "verify", decided, "--json").json["runs"]
    asked = next(event["seq"] for event in journal(wf, decided) if event["type"] == "approval_requested")
    assert asked <= found["signed_through"] < found["events"]
    assert f"signed up to event {found['signed_through']}" in wf.run("audit", "verify", decided).out


# ---------------------------------------------------------------------------------------------------- blocked commands


@pytest.fixture(scope="module")
def blocked(place: Path) -> Path:
    text = "template: python\nsteps: {bad: {run: [[rm, -rf, /tmp/x y]]}, next: {needs: [bad], set: {ok: true}}}\n"
    return plain(place, "blocked", text)


def test_exec_block_09_a_blocked_command_is_a_card_that_needs_a_person(wf: Wfconsole, blocked: Path) -> None:
    run_id = waiting(wf, blocked)
    view = wf.show(run_id)
    assert (status(view)["bad"], step(view, "bad")["failure"]["code"]) == ("needs_human", "POLICY_BLOCKED")
    shown = card(wf, run_id, "bad")
    assert shown["kind"] == "blocked"
    assert shown["context"]["argv"] == ["rm", "-rf", "/tmp/x y"]
    assert shown["context"]["rule"]
    text = wf.run("approvals", run_id, "bad").out
    assert "rm -rf '/tmp/x y'" in text
    assert shown["context"]["message"] in text
    refusal(wf.run("approve", run_id, "--json"), "INPUT_MISSING", 2)  # never without a reason
    assert wf.run("reject", run_id, "--reason", "no").code == 0
    view = go_on(wf, run_id)
    assert (step(view, "bad")["failure"]["code"], status(view)["next"]) == ("POLICY_BLOCKED", "skipped")
    assert step(view, "bad")["attempts"] == []


@pytest.mark.engine
def test_exec_block_09_one_command_of_one_attempt_is_let_through_with_a_reason(
    wf: Wfconsole, place: Path, repo: Path
) -> None:
    text = "steps: {bad: {run: [[sh, -c, 'echo reached']]}, again: {needs: [bad], run: [[sh, -c, 'echo reached']]}}\n"
    ran = wf.run("run", recipe(place, "let", text), "-i", f"repo={repo}", "--json", "--until-waiting")
    run_id = ran.view["run_id"]
    assert (ran.code, card(wf, run_id, "bad")["context"]["argv"]) == (3, ["sh", "-c", "echo reached"])
    assert wf.run("approve", run_id, "--reason", "known to be harmless").code == 0
    view = go_on(wf, run_id)
    assert status(view) == {"bad": "succeeded", "again": "needs_human"}
    assert wf.run("logs", run_id, "bad").out == "reached\n"
    assert view["waiting_for"] == ["again"]  # the same words in another step are asked for again
    assert wf.run("reject", run_id, "--reason", "once was enough").code == 0
    assert go_on(wf, run_id)["status"] == "failed"
