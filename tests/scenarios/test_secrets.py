"""Secrets from the operator to the step and nowhere else, by the command line."""

from __future__ import annotations

import base64
import json
import os
import signal
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, let_go, recipe, step

pytestmark = pytest.mark.engine
TOKEN = "tr0ub4dor-and/three"
FORMS = tuple(
    form.encode()
    for form in (TOKEN, TOKEN.encode().hex(), base64.b64encode(TOKEN.encode()).decode()[:20], TOKEN.replace("/", "%2F"))
)

LEAKS = """
import base64, json, os, pathlib, sys
token = pathlib.Path("/run/secrets/TOKEN").read_text()
print(token, base64.b64encode(token.encode()).decode(), token.replace("/", "%2F"), json.dumps({"t": token}))
print("err", token, file=sys.stderr)
pathlib.Path("report.xml").write_text(f"<testsuite tests='1'><testcase name='{token}'/></testsuite>")
pathlib.Path("notes.txt").write_text(f"first line\\ntoken={token}\\nlast line\\n")
pathlib.Path("read.me").write_text(f"one\\n{token}\\ntwo\\n")
pathlib.Path("packed.bin").write_bytes(b"\\0\\1" + token.encode())
pathlib.Path(f"name-{token.replace('/', '')}.txt").write_text("x")
pathlib.Path(os.environ["WFCONSOLE_OUTPUT"]).write_text(json.dumps({"seen": f"<{token}>", "length": len(token)}))
print(token in str(os.environ), "TOKEN" in os.environ)
"""
PLAN = f"""
steps:
  leak:
    run: [[python, -c, {json.dumps(LEAKS)}]]
    secrets: [TOKEN]
    outputs: {{seen: string, length: integer}}
    reports: {{junit: report.xml}}
    artifacts: [notes.txt, packed.bin]
  later: {{needs: [leak], run: [cat notes.txt], artifacts: [read.me]}}
outputs: {{seen: "${{{{ steps.leak.outputs.seen }}}}"}}
"""


def on_disk(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file of the state folder but what steps themselves left in the workspace, and the snapshots of that."""
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink() and not {"workspace", "workspace.git"} & set(path.parts):
            with suppress(FileNotFoundError):
                yield path, path.read_bytes()


def without_secret(wf: Wfconsole, run_id: str) -> None:
    found = [(path, form) for path, data in on_disk(wf.home) for form in FORMS if form in data]
    assert found == []
    for argv in (
        ["show", run_id, "--json"],
        ["events", run_id],
        ["logs", run_id, "--raw"],
        ["artifacts", run_id, "--json"],
    ):
        told = wf.run(*argv)
        assert told.code == 0
        assert not any(form in told.stdout + told.stderr for form in FORMS), argv


def test_a_secret_reaches_the_step_and_nothing_that_is_stored_shown_or_exported(
    wf: Wfconsole, place: Path, repo: Path
) -> None:
    run = wf.using(WFCONSOLE_SECRET_TOKEN=TOKEN).run(
        "run", recipe(place, "leaky", PLAN), "-i", f"repo={repo}", "--json"
    )
    assert run.code == 0, run.err
    view = run.view
    assert view["outputs"] == {"seen": "<***>"}
    assert step(view, "leak")["outputs"]["length"] == len(TOKEN)
    names = [artifact["name"] for artifact in view["artifacts"]]
    assert "notes.txt" in names
    assert "packed.bin" not in names
    warnings = "\n".join(view["warnings"])
    assert "packed.bin is a binary file that holds a secret and was not taken" in warnings
    assert "places that held a secret were hidden" in warnings
    run_id = view["run_id"]
    bundle = wf.folder(run_id) / "bundle"
    assert (bundle / "artifacts/leak/notes.txt").read_text() == "first line\ntoken=***\nlast line\n"
    assert (bundle / "logs/later/1/0.stdout").read_text() == "first line\ntoken=***\nlast line\n"
    assert (bundle / "artifacts/later/read.me").read_text() == "one\n***\ntwo\n"
    assert (bundle / "logs/leak/1/0.stdout").read_text().endswith("False False\n")
    without_secret(wf, run_id)
    packed = wf.run("export", run_id, place / "out.tar.gz")
    assert packed.code == 0, packed.err
    with tarfile.open(place / "out.tar.gz") as archive:
        for member in archive:
            file = archive.extractfile(member)
            data = file.read() if file else b""
            assert not any(form in data + member.name.encode() for form in FORMS), member.name


def test_the_diff_of_the_run_is_redacted_and_refused_when_a_binary_holds_the_secret(
    wf: Wfconsole, place: Path, repo: Path
) -> None:
    text = "steps:\n  a: {run: [[sh, -c, 'cat /run/secrets/TOKEN >>read.me']], secrets: [TOKEN]}\ncommands: {shell: allow}\n"
    keyed = wf.using(WFCONSOLE_SECRET_TOKEN=TOKEN)
    made = keyed.run("run", recipe(place, "text", text), "-i", f"repo={repo}", "--json").view
    diff = (wf.folder(made["run_id"]) / "bundle/artifacts/diff.patch").read_text()
    assert "+***" in diff
    assert TOKEN not in diff
    binary = text.replace("cat /run/secrets/TOKEN >>read.me", "(printf a\\\\000b; cat /run/secrets/TOKEN) >data.bin")
    made = keyed.run("run", recipe(place, "binary", binary), "-i", f"repo={repo}", "--json").view
    (none,) = [artifact for artifact in made["artifacts"] if artifact["step_id"] is None]
    assert none["kind"] == "none"
    assert not (wf.folder(made["run_id"]) / "bundle/artifacts/diff.patch").exists()


@pytest.mark.parametrize("command", ["run", "dry-run"])
def test_a_missing_secret_creates_nothing(wf: Wfconsole, place: Path, repo: Path, command: str) -> None:
    before = len(wf.run("runs", "--json").json["runs"])
    more = ["--dry-run"] if command == "dry-run" else []
    told = wf.run("run", recipe(place, "leaky", PLAN), "-i", f"repo={repo}", "--json", *more)
    assert told.code == 2
    assert told.error["code"] == "SECRET_MISSING"
    assert "WFCONSOLE_SECRET_TOKEN" in told.error["message"]
    assert len(wf.run("runs", "--json").json["runs"]) == before


def test_a_short_secret_is_refused(wf: Wfconsole, place: Path, repo: Path) -> None:
    told = wf.using(WFCONSOLE_SECRET_TOKEN="short").run(
        "run", recipe(place, "leaky", PLAN), "-i", f"repo={repo}", "--json"
    )
    assert told.code == 2
    assert "shorter than 8 characters" in told.error["message"]


HELD = """
steps:
  held: {run: [[sh, -c, 'cat /run/secrets/TOKEN; exec python hold.py held']], secrets: [TOKEN], artifacts: [read.me]}
commands: {shell: allow}
"""


@pytest.mark.parametrize("known", [True, False], ids=["known", "gone"])
def test_after_kill_9_the_next_owner_hides_as_well_or_withholds(
    wf: Wfconsole, place: Path, repo: Path, known: bool
) -> None:
    argv: list[str | Path] = [
        "run",
        recipe(place, "held", HELD),
        "-i",
        f"repo={repo}",
        "--json",
        "--id",
        f"held-{known}",
    ]
    keyed = wf.using(WFCONSOLE_SECRET_TOKEN=TOKEN)
    with keyed.live(*argv) as live:
        live.here("held")
        run_id = live.run_id
        os.kill(live.process.pid, signal.SIGKILL)
        live.end()
    let_go(wf, run_id, "held")
    told = (keyed if known else wf).run("resume", run_id)
    worker = (keyed if known else wf).run("worker", "--until-idle")
    assert worker.code == 0, worker.err + told.err
    view = wf.show(run_id)
    assert view["status"] == "succeeded"
    logs = wf.folder(run_id) / "bundle/logs/held/1"
    if known:
        assert (logs / "0.stdout").read_text() == "***let go held\n"
    else:
        assert not (logs / "0.stdout").exists()
        warnings = "\n".join(view["warnings"])
        assert "SECRET_MISSING: the output is withheld" in warnings
        assert "the diff could not be taken" in str(view["artifacts"]) or "withheld" in str(view)
    without_secret(wf, run_id)
    left = Path("/dev/shm") / f"wfconsole-{os.geteuid()}"
    assert not left.exists() or not [entry for entry in left.iterdir() if run_id in entry.name]


WRITES = """
import json, os, pathlib
token = pathlib.Path("/run/secrets/TOKEN").read_text()
pathlib.Path("notes.txt").write_text(f"first line\\ntoken={token}\\nlast line\\n")
pathlib.Path(os.environ["WFCONSOLE_OUTPUT"]).write_text(json.dumps({"seen": f"<{token}>"}))
"""
SUCCESSION = f"""
steps:
  leak:
    run: [[python, -c, {json.dumps(WRITES)}]]
    secrets: [TOKEN]
    outputs: {{seen: string}}
    artifacts: [notes.txt]
  apart:
    needs: [leak]
    isolation: per_step
    run: [[sh, -c, 'cat /run/secrets/TOKEN >apart.txt; cat apart.txt']]
    secrets: [TOKEN]
  draft:
    needs: [apart]
    env: {{SEEN: "${{{{ steps.leak.outputs.seen }}}}"}}
    run: [[sh, -c, 'echo "$SEEN"; cat notes.txt apart.txt /artifacts/leak/notes.txt; cp notes.txt draft.txt']]
    artifacts: [draft.txt]
  good: {{needs: [draft], approval: {{title: Good?, context: {{diff: workspace}}, on_reject: {{retry_from: draft}}}}}}
commands: {{shell: allow}}
"""


def test_nothing_of_a_secret_goes_on_to_a_successor_nor_into_the_patch_of_a_copy(
    wf: Wfconsole, place: Path, repo: Path
) -> None:
    keyed = wf.using(WFCONSOLE_SECRET_TOKEN=TOKEN)
    made = keyed.run("run", recipe(place, "again", SUCCESSION), "-i", f"repo={repo}", "--json", "--until-waiting")
    assert made.code == 3, made.err
    parent = made.view["run_id"]
    (patch,) = [one for one in made.view["artifacts"] if one["kind"] == "patch"]
    assert patch["step_id"] == "apart"
    card = wf.run("approvals", parent, "good", "--json")
    assert not any(form in card.stdout for form in FORMS)
    rejected = wf.run("reject", parent, "--reason", "again", "--json")
    assert rejected.code == 0, rejected.err
    worker = keyed.run("worker", "--until-idle")
    assert worker.code == 0, worker.err
    (successor,) = wf.show(parent)["lineage"]["successors"]
    view = wf.show(successor)
    assert step(view, "leak")["reused_from"] == parent
    assert view["status"] == "awaiting_approval"
    told = wf.folder(successor) / "bundle/logs/draft/1/0.stdout"
    assert told.read_text().splitlines()[:3] == ["<***>", "first line", "token=***"]
    assert (wf.folder(successor) / "workspace/apart.txt").read_text() == TOKEN
    without_secret(wf, parent)
    without_secret(wf, successor)


def test_without_the_secret_a_successor_stores_nothing_of_what_lies_in_its_workspace(
    wf: Wfconsole, place: Path, repo: Path
) -> None:
    keyed = wf.using(WFCONSOLE_SECRET_TOKEN=TOKEN)
    made = keyed.run("run", recipe(place, "gone", SUCCESSION), "-i", f"repo={repo}", "--json", "--until-waiting")
    parent = made.view["run_id"]
    assert wf.run("reject", parent, "--reason", "again").code == 0
    assert wf.run("worker", "--until-idle").code == 0
    (successor,) = wf.show(parent)["lineage"]["successors"]
    view = wf.show(successor)
    assert view["status"] == "failed"
    assert view["failure"]["code"] == "SECRET_MISSING"
    without_secret(wf, successor)
