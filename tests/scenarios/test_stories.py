"""The stories of a run from its creation to its failure context: two runs, looked at from every side."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import Result, Wfconsole, git, recipe, step

pytestmark = pytest.mark.engine

VIEW_KEYS = """schema_version run_id workflow_id trace_id project trigger recipe intent_hash inputs state outputs status
waiting_for pausing created_at started_at finished_at duration_ms current_step transitions steps approvals artifacts warnings
failure quarantine rollback lineage interventions budget bundle""".split()
STEP_KEYS = """step_id kind status reason failure started_at finished_at duration_ms retries attempts outputs artifacts
reused_from trace_url children""".split()
COMMAND_KEYS = "index argv cwd exit_code signal error warnings started_at finished_at stdout stderr".split()
ENVELOPE = "run_id workflow_name workflow_version timestamp correlation_id seq type schema_version".split()
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

TRACES = "https://traces.example.invalid/{trace_id}?span={span_id}"
GOOD = """
state: {tone: plain}
inputs:
  repo: {type: path, required: true}
  count: {type: integer, default: 2, minimum: 1}
  tags: {type: list, default: []}
workspace: {source: "${{ inputs.repo }}"}
outputs: {total: "${{ steps.sum.outputs.total }}"}
steps:
  write:
    run:
      - [cp, data.txt, "new file ö.txt"]
      - [python, -c, "import json,os; json.dump({'lines': 3, 'ok': True}, open(os.environ['WFCONSOLE_OUTPUT'], 'w'))"]
    outputs: {lines: integer, ok: boolean}
    artifacts: ["new *.txt"]
  change: {needs: [write], run: [[python, -c, "open('read.me', 'a').write('three\\\\n')"], [rm, gone.txt]]}
  sum: {needs: [write, change], set: {total: "${{ steps.write.outputs.lines + inputs.count }}"}}
"""
BAD = """
steps:
  fine: {run: [[echo, fine]]}
  broken: {needs: [fine], run: [[python, -c, "import sys; print('out'); sys.exit('why it broke')"]]}
  never: {needs: [broken], run: [[echo, never]]}
"""


@pytest.fixture(scope="module")
def good(wf: Wfconsole, repo: Path) -> Result:
    path = recipe(repo.parent, "story", GOOD)
    wf.home.mkdir(exist_ok=True)
    (wf.home / "config.toml").write_text(f'trace_url = "{TRACES}"\n')
    return wf.run("run", path, "-i", f"repo={repo}", "-i", "count=4", "-i", 'tags=["a"]', "--id", "story/1", "--json")


@pytest.fixture(scope="module")
def bad(wf: Wfconsole, repo: Path) -> Result:
    (wf.home).mkdir(exist_ok=True)
    return wf.run("run", recipe(repo.parent, "sad", BAD), "-i", f"repo={repo}", "--json")


def events(wf: Wfconsole, run_id: str) -> list[dict[str, Any]]:
    return wf.run("events", run_id, "--json").objects


def kind_of(event: dict[str, Any]) -> tuple[str, str | None]:
    """An event's type and the step that it is about."""
    return event["type"], event.get("step_id") or event.get("artifact", {}).get("step_id")


def test_st_wf_001_1_starting_creates_a_run_with_project_trigger_and_inputs(wf: Wfconsole, good: Result) -> None:
    assert good.code == 0, good.err
    view = good.view
    assert (view["project"], view["trigger"]["kind"], view["trigger"]["surface"]) == ("repo", "manual", "cli")
    assert view["trigger"]["actor"]
    assert view["inputs"] == {"count": 4, "repo": str(wf.home.parent / "repo"), "tags": ["a"]}
    (listed,) = wf.run("runs", "--json", "--query", "input.count = 4").json["runs"]
    assert listed["run_id"] == view["run_id"]


def test_st_wf_001_2_creation_returns_a_stable_id_and_a_way_to_the_run(wf: Wfconsole, good: Result) -> None:
    run_id = good.view["run_id"]
    for ref in (run_id, run_id[:13], run_id[-8:], "story/1"):
        assert wf.show(ref)["run_id"] == run_id
    assert f"wfconsole show {run_id}" in wf.run("show", run_id).out or run_id in wf.run("show", run_id).out


def test_st_wf_001_3_missing_inputs_give_typed_errors_and_no_partial_run(wf: Wfconsole, good: Result) -> None:
    before = sorted(wf.home.rglob("*"))
    refused = wf.run("run", wf.home.parent / "story.yaml", "-i", "count=zero", "-i", "tgas=[]", "--json")
    assert refused.code == 2
    assert refused.error["code"] == "INPUT_INVALID"
    problems = {problem["where"]: problem["code"] for problem in refused.error["details"]["problems"]}
    assert problems == {"repo": "INPUT_MISSING", "count": "INPUT_INVALID", "tgas": "INPUT_INVALID"}
    missing = wf.run("run", wf.home.parent / "story.yaml", "--json")
    assert (missing.code, missing.error["code"]) == (2, "INPUT_MISSING")
    assert sorted(path for path in wf.home.rglob("*") if "-shm" not in path.name) == [
        path for path in before if "-shm" not in path.name
    ]


def test_st_wf_002_1_the_run_stores_the_recipe_name_and_version(wf: Wfconsole, good: Result) -> None:
    pinned = good.view["recipe"]
    assert (pinned["name"], pinned["version"]) == ("story", "1.0.0")
    text = (wf.home / good.view["bundle"] / "recipe.json").read_bytes()
    assert json.loads(text)["recipe"] == "story"
    shown = wf.run("recipes", "show", wf.home.parent / "story.yaml", "--json").json
    assert shown["digest"] == pinned["digest"]


def test_st_wf_003_1_status_follows_the_allowed_transitions(good: Result, bad: Result) -> None:
    def path(result: Result) -> list[tuple[Any, Any]]:
        return [(each["from"], each["to"]) for each in result.view["transitions"] if each["step_id"] is None]

    assert path(good) == [(None, "pending"), ("pending", "running"), ("running", "succeeded")]
    assert path(bad) == [(None, "pending"), ("pending", "running"), ("running", "failed")]
    assert (good.code, bad.code) == (0, 1)


def test_st_wf_003_2_each_transition_is_kept_with_time_step_and_actor(good: Result) -> None:
    for transition in good.view["transitions"]:
        assert set(transition) == {"from", "to", "at", "step_id", "actor"}
        assert STAMP.fullmatch(transition["at"])
        assert transition["actor"]


def test_st_wf_003_3_an_invalid_transition_is_refused_and_changes_nothing(wf: Wfconsole, good: Result) -> None:
    run_id = good.view["run_id"]
    before = wf.run("show", run_id, "--json").stdout
    for verb in ("pause", "resume", "cancel"):
        refused = wf.run(verb, run_id, "--json")
        assert (refused.code, refused.error["code"]) == (6, "TRANSITION_REFUSED"), verb
        assert refused.error["message"]
        assert refused.error["hint"]
    after = wf.show(run_id)
    assert {**after} == {**json.loads(before)}


def test_st_wf_004_1_the_required_events_appear_in_order(wf: Wfconsole, good: Result, bad: Result) -> None:
    extra = {"command_refused", "command_warned", "run_closing"}
    kinds = [kind for kind in map(kind_of, events(wf, good.view["run_id"])) if kind[0] not in extra]
    assert kinds == [
        ("run_created", None),
        ("run_started", None),
        ("step_started", "write"),
        ("artifact_recorded", "write"),
        ("step_succeeded", "write"),
        ("step_started", "change"),
        ("artifact_recorded", "change"),
        ("step_succeeded", "change"),
        ("step_started", "sum"),
        ("artifact_recorded", "sum"),
        ("step_succeeded", "sum"),
        ("artifact_recorded", None),
        ("run_succeeded", None),
    ]
    failed = [kind_of(event) for event in events(wf, bad.view["run_id"])]
    assert failed.index(("step_failed", "broken")) < failed.index(("step_skipped", "never"))
    assert failed[-1] == ("run_failed", None)


def test_st_wf_004_2_each_event_has_the_required_fields(wf: Wfconsole, good: Result) -> None:
    told = events(wf, good.view["run_id"])
    assert [event["seq"] for event in told] == list(range(1, len(told) + 1))
    for event in told:
        assert all(event[name] not in (None, "") for name in ENVELOPE), event
        assert (event["workflow_name"], event["workflow_version"]) == ("story", "1.0.0")
        assert STAMP.fullmatch(event["timestamp"])
    assert good.objects[:-1] == [event for event in told if event["type"] != "command_refused"]


def test_st_wf_004_3_a_failing_event_channel_leaves_a_typed_diagnostic(wf: Wfconsole, repo: Path) -> None:
    deaf = Wfconsole(repo.parent / "deaf")
    deaf.home.mkdir()
    (deaf.home / "config.toml").write_text(f'events_file = "{repo.parent}/no/such/folder/events"\n')
    done = deaf.run(
        "run", recipe(repo.parent, "short", "steps: {one: {set: {a: 1}}}\n"), "-i", f"repo={repo}", "--json"
    )
    assert (done.code, done.view["status"]) == (0, "succeeded"), done.err
    (diagnostic,) = [event for event in done.objects if event["type"] == "event_channel_failed"]
    assert diagnostic["subscriber"] == "events_file"
    assert "No such file" in diagnostic["error"]
    (deaf.home / "config.toml").write_text(f'events_file = "{repo.parent}/events"\n')
    heard = deaf.run("run", repo.parent / "short.yaml", "-i", f"repo={repo}", "--json")
    kept = [json.loads(line) for line in (repo.parent / "events").read_text().splitlines()]
    assert kept == heard.objects[:-1]


def test_st_wf_004_2_trace_and_span_ids_are_there_from_creation_on(wf: Wfconsole, good: Result) -> None:
    """As W3C Trace Context has them: lower-case hex, and not only zeros."""
    told = events(wf, good.view["run_id"])
    trace = told[0]["trace_id"]
    assert re.fullmatch(r"(?!0{32})[0-9a-f]{32}", trace)
    assert (good.view["trace_id"], told[0]["type"]) == (trace, "run_created")
    spans = [event["span_id"] for event in told if event["type"] in {"run_created", "step_started"}]
    assert all(re.fullmatch(r"(?!0{16})[0-9a-f]{16}", span) for span in spans)
    assert (len(spans), len(set(spans))) == (4, 4)
    for each in good.view["steps"]:
        span = each["attempts"][-1]["span_id"]
        assert each["trace_url"] == TRACES.format(trace_id=trace, span_id=span)
        assert span in spans[1:]
    other = wf.run("run", recipe(wf.home.parent, "traced", "steps: {one: {set: {a: 1}}}\n"),
                   "-i", f"repo={wf.home.parent / 'repo'}", "--json")  # fmt: skip
    assert other.view["trace_id"] != trace


def test_st_wf_010_1_a_failed_run_keeps_error_type_last_step_and_hint(bad: Result) -> None:
    failure = bad.view["failure"]
    assert (failure["code"], failure["last_successful_step"]) == ("STEP_FAILED", "fine")
    assert "python" in failure["message"]
    assert failure["hint"]
    assert failure["retry"]["allowed"] is True
    assert failure["retry"]["command"].startswith("wfconsole ")
    attempt = step(bad.view, "broken")["attempts"][0]
    assert (attempt["exit_code"], attempt["commands"][0]["exit_code"]) == (1, 1)


RETRYABLE = "failure.retry.allowed = true"


def test_st_wf_010_2_failure_details_are_shown_and_can_be_queried(wf: Wfconsole, good: Result, bad: Result) -> None:
    shown = wf.run("show", bad.view["run_id"]).out
    for part in ("STEP_FAILED", "broken", "fine", bad.view["failure"]["hint"]):
        assert part in shown
    for query in ("failure.code = STEP_FAILED", "status = failed and failure.last_successful_step = fine", RETRYABLE):
        asked = wf.run("runs", "--json", "--query", query)
        assert asked.code == 0, asked.err
        assert [run["run_id"] for run in asked.json["runs"]] == [bad.view["run_id"]], query
    assert wf.run("logs", bad.view["run_id"], "broken").stdout == b"out\n"
    assert b"why it broke" in wf.run("logs", bad.view["run_id"], "broken", "--stderr").stdout


def test_st_wf_010_3_partial_context_gives_the_typed_reason_and_the_missing_fields(wf: Wfconsole, repo: Path) -> None:
    path = recipe(repo.parent, "first", "steps: {only: {check: [{that: inputs.repo == '', message: never so}]}}\n")
    view = wf.run("run", path, "-i", f"repo={repo}", "--json").view
    failure = view["failure"]
    assert (failure["code"], failure["last_successful_step"]) == ("CHECK_FAILED", None)
    assert failure["missing_fields"] == ["last_successful_step"]
    assert "never so" in failure["message"]
    shown = wf.run("show", view["run_id"]).out
    for part in ("CHECK_FAILED", "never so", "last_successful_step", failure["hint"], failure["retry"]["command"]):
        assert part in shown
    for query in ("failure.missing_fields = last_successful_step", "failure.message ~ 'never so'"):
        found = wf.run("runs", "--json", "--query", f"recipe.name = first and {query}")
        assert [run["run_id"] for run in found.json["runs"]] == [view["run_id"]], query


def test_w1_a_there_is_one_row_for_the_workflow_id(wf: Wfconsole, good: Result) -> None:
    assert wf.rows("SELECT count(*) AS n FROM runs WHERE workflow_id = 'story/1'") == [{"n": 1}]
    marks = wf.rows(f"SELECT step FROM marks WHERE run_id = '{good.view['run_id']}' ORDER BY step")
    assert [row["step"] for row in marks] == ["change", "sum", "write"]


def test_w1_b_each_executed_step_has_an_artifact_or_an_explicit_none(good: Result, bad: Result) -> None:
    for view in (good.view, bad.view):
        for each in view["steps"]:
            kept = [artifact for artifact in view["artifacts"] if artifact["step_id"] == each["step_id"]]
            assert bool(kept) == bool(each["attempts"] or each["kind"] == "set"), each["step_id"]
    assert [(each["name"], each["kind"]) for each in good.view["artifacts"] if each["step_id"] == "write"] == [
        ("new file ö.txt", "file")
    ]
    (none,) = [artifact for artifact in good.view["artifacts"] if artifact["step_id"] == "change"]
    assert (none["kind"], bool(none["reason"])) == ("none", True)


def test_w1_c_the_same_journal_gives_the_same_bytes(wf: Wfconsole, repo: Path, good: Result, bad: Result) -> None:
    run_id = bad.view["run_id"]
    first = wf.run("show", run_id, "--json").stdout
    moved = wf.using(TZ="Pacific/Auckland", LC_ALL="C", PYTHONHASHSEED="7", COLUMNS="40")
    assert moved.run("show", run_id, "--json").stdout == first
    assert wf.run("export", run_id, repo.parent / "sad.tar.gz").code == 0
    assert wf.run("show", run_id, "--json").stdout == first
    document = json.loads(first)
    assert first.decode() == json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False) + "\n"
    assert document == bad.view


def test_w1_c_the_run_view_has_the_promised_keys(good: Result, bad: Result) -> None:
    for view in (good.view, bad.view):
        assert sorted(view) == sorted(VIEW_KEYS)
        for each in view["steps"]:
            assert set(STEP_KEYS) <= set(each)
        assert set(view["lineage"]) == {"root", "parent", "retried_from", "reused", "successors"}
        assert set(view["budget"]) == {"limits", "used"}
        assert all(STAMP.fullmatch(view[name]) for name in ("created_at", "started_at", "finished_at"))
    (attempt,) = step(good.view, "write")["attempts"]
    assert {"n", "outcome", "cause", "exit_code", "template", "fingerprint", "commands"} <= set(attempt)
    assert all(set(COMMAND_KEYS) == set(command) for command in attempt["commands"])
    failure = set(bad.view["failure"])
    assert {"code", "message", "hint", "last_successful_step", "missing_fields", "retry"} <= failure
    assert set(bad.view["failure"]["retry"]) == {"allowed", "command", "reason"}


def test_rw_create_a_run_is_a_snapshot_with_a_status(wf: Wfconsole, repo: Path, good: Result) -> None:
    created = events(wf, good.view["run_id"])[0]
    assert created["workspace"]["commit"] == git(repo, "rev-parse", "HEAD").decode().strip()
    assert created["workspace"]["tree"] == git(repo, "rev-parse", "HEAD^{tree}").decode().strip()
    assert good.view["status"] == "succeeded"
    assert good.view["state"] == {"tone": "plain"}
    assert (repo / "gone.txt").exists()  # the original is never touched


def test_rw_step_outputs_are_kept_with_status_and_artifacts(wf: Wfconsole, repo: Path, good: Result) -> None:
    write = step(good.view, "write")
    assert (write["status"], write["outputs"]) == ("succeeded", {"lines": 3, "ok": True})
    assert write["artifacts"] == ["write#1/new file ö.txt"]
    assert good.view["outputs"] == {"total": 7}
    run_id, target = good.view["run_id"], repo.parent / "fetched"
    assert wf.run("artifacts", run_id, "new file ö.txt", "-o", target).code == 0
    assert target.read_text() == "data\n"
    (kept,) = [artifact for artifact in good.view["artifacts"] if artifact["step_id"] == "write"]
    assert kept["sha256"] == hashlib.sha256(b"data\n").hexdigest()


def test_rw_step_failures_are_kept_with_their_details(wf: Wfconsole, bad: Result) -> None:
    broken = step(bad.view, "broken")
    assert (broken["status"], broken["failure"]["code"]) == ("failed", "STEP_FAILED")
    (row,) = wf.rows(f"SELECT status, code FROM steps WHERE run_id = '{bad.view['run_id']}' AND step_id = 'broken'")
    assert row == {"status": "failed", "code": "STEP_FAILED"}
    assert wf.rows(f"SELECT * FROM marks WHERE run_id = '{bad.view['run_id']}' AND step = 'broken'") == []


def test_the_diff_of_a_run_is_taken_by_git_apply(wf: Wfconsole, repo: Path, good: Result) -> None:
    fetched = wf.run("artifacts", good.view["run_id"], "diff.patch", "-o", "-")
    assert fetched.code == 0, fetched.err
    clone = repo.parent / "clone"
    git(repo.parent, "clone", "-q", str(repo), str(clone))
    git(clone, "apply", "--index", "-", stdin=fetched.stdout)
    assert (clone / "read.me").read_text() == "one\ntwo\nthree\n"
    assert (clone / "new file ö.txt").read_text() == "data\n"
    assert not (clone / "gone.txt").exists()


def test_each_event_carries_the_hash_of_the_one_before(wf: Wfconsole, bad: Result) -> None:
    rows = wf.rows(f"SELECT body, prev, hash FROM journal WHERE run_id = '{bad.view['run_id']}' ORDER BY seq")
    for before, row in itertools.pairwise(rows):
        assert row["prev"] == before["hash"]
    for row in rows:
        body = bytes.fromhex(row["body"])
        assert row["hash"] == hashlib.sha256(bytes.fromhex(row["prev"]) + body).hexdigest()
    lines = (wf.home / bad.view["bundle"] / "events.jsonl").read_bytes().splitlines()
    assert lines == [bytes.fromhex(row["body"]) for row in rows]


def test_an_export_verifies_by_its_manifest(wf: Wfconsole, repo: Path, good: Result) -> None:
    target = repo.parent / "story.tar.gz"
    told = wf.run("export", good.view["run_id"], target, "--json").json
    with tarfile.open(target) as archive:
        files = {member.name: archive.extractfile(member) for member in archive.getmembers()}
        held = {name.split("/", 1)[1]: source.read() for name, source in files.items() if source is not None}
    manifest = json.loads(held.pop("manifest.json"))
    assert {entry["path"]: entry["sha256"] for entry in manifest["files"]} == {
        name: hashlib.sha256(data).hexdigest() for name, data in held.items()
    }
    assert told["files"] == len(held) + 1
    assert manifest["run"] == good.view
    again = wf.run("export", good.view["run_id"], target, "--json")
    assert (again.code, again.error["code"]) == (2, "INPUT_INVALID")  # never over a file that is there
