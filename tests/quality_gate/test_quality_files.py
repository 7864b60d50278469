"""What the gate reads and writes in a repository: layout, manifests, fixes, baselines, the comment, the entry point."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import gate
from quality_gate import coverage, dependencies, fix, manifests, metadata, performance, security, static, suite, tests
from quality_gate.comment import comment, escaped
from quality_gate.lint import lint
from quality_gate.project import Project, copied, is_test
from quality_gate.result import TITLES
from quality_gate.tool import Room, run

UNUSED = "import json\n\n\ndef two() -> int:\n    return 2\n"


@pytest.fixture(autouse=True)
def tools_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))


def room(tmp_path: Path, files: dict[str, str], limit_s: float = 60) -> Room:
    for name, text in files.items():
        path = tmp_path / "work" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "work").mkdir(exist_ok=True)
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return Room(workspace=tmp_path / "work", scratch=tmp_path / "scratch", limit_s=limit_s)


@pytest.mark.parametrize("name", list(TITLES))
def test_an_empty_repository_has_nothing_to_check_and_says_so(tmp_path: Path, name: str) -> None:
    result = gate.CHECKS[name](room(tmp_path, {"README": "hello"}))
    assert (result["status"], result["score"], result["name"]) == ("not_applicable", None, name)
    assert result["summary"].startswith("No ")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tests/data/x.py", True), ("src/pkg/test/y.py", True), ("testing/conftest.py", True), ("pkg/test_a.py", True),
        ("a_test.py", True), ("conftest.py", True), ("pkg/testing/api.py", False), ("latest.py", False), ("src/a.py", False),
    ],
)  # fmt: skip
def test_which_files_are_tests(name: str, expected: bool) -> None:
    assert is_test(name) is expected


def test_layout_of_integration_tests(tmp_path: Path) -> None:
    found = Project(
        root=room(
            tmp_path,
            {
                "tests/integration/sub/test_a.py": "",
                "tests/test_b.py": "import pytest\n@pytest.mark.integration\ndef test(): ...\n",
                "tests/test_c.py": "",
                ".venv/lib/test_d.py": "",
                "src/pkg/__init__.py": "",
            },
        ).workspace
    )
    assert found.integration_folders == ("tests/integration",)
    assert found.integration_files == ("tests/test_b.py",)
    assert found.source_files == ("src/pkg/__init__.py",)


def test_copying_leaves_out_pipes_sockets_and_follows_no_link(tmp_path: Path) -> None:
    made = room(tmp_path, {"a é b.py": "x = 1\n", "node_modules/x.js": ""})
    os.mkfifo(made.workspace / "pipe")
    (made.workspace / "out").symlink_to("/etc")
    (made.workspace / "gone").symlink_to("nowhere")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(made.workspace / "socket"))
        project = copied(made.workspace, made.scratch / "src")
    assert project.files == ("a é b.py",)
    assert os.readlink(project.root / "out") == "/etc"
    assert sorted(path.name for path in project.root.iterdir()) == ["a é b.py", "gone", "out"]


def test_unit_and_integration_tests_are_told_apart_by_folder_and_marker(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "shop-x"\nversion = "1.2.3"\n[tool.pytest.ini_options]\naddopts = "--nope"\n',
        "src/shop/__init__.py": "ONE = 1\n",
        "tests/integration/test_far.py": "def test_far(): pass\n",
        "tests/test_near.py": (
            "import importlib.metadata, pytest, shop\n"
            "def test_near(): assert importlib.metadata.version('shop-x') == '1.2.3' and shop.ONE == 1\n"
            "def test_bad(): assert False, 'no'\n"
            "@pytest.mark.integration\ndef test_marked(): pass\n"
        ),
    }
    made = room(tmp_path, files)
    unit = tests.unit_tests(made)
    assert (unit["status"], unit["summary"], unit["blocking"]) == ("failed", "1/2 passed", ["1 test failure"])
    assert unit["details"]["notes"] == ["pytest refused the project's addopts; the suite was run without them"]
    integration = tests.integration_tests(Room(workspace=made.workspace, scratch=tmp_path / "other"))
    assert (integration["status"], integration["summary"]) == ("passed", "2/2 passed")
    assert not list(made.workspace.rglob("__pycache__"))


def test_a_hanging_suite_ends_at_the_limit(tmp_path: Path) -> None:
    hanging = "import threading\ndef test(): threading.Event().wait()\n"
    result = tests.unit_tests(room(tmp_path, {"test_a.py": hanging}, limit_s=1))
    assert (result["status"], result["blocking"]) == ("errored", ["The tests did not end within 1 s"])


def test_a_tool_neither_sees_the_result_file_nor_fills_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WFCONSOLE_OUTPUT", "secret")
    script = "import os; print('x' * 1_000_000); print(os.environ.get('WFCONSOLE_OUTPUT'))"
    ran = run(room(tmp_path, {}), [sys.executable, "-c", script], cwd=tmp_path)
    assert (ran.exit_code, len(ran.output), ran.output[-5:]) == (0, 65536, "None\n")


def test_sources_without_tests_have_no_coverage(tmp_path: Path) -> None:
    result = coverage.code_coverage(room(tmp_path, {"a.py": UNUSED}), 80.0)
    assert (result["status"], result["score"], result["blocking"]) == ("failed", 0.0, ["Coverage 0% < required 80%"])


def test_a_configuration_that_ruff_refuses_is_left_out_and_told(tmp_path: Path) -> None:
    result = lint(room(tmp_path, {"a.py": UNUSED, "ruff.toml": 'lint.select = ["NOPE999"]\n'}))
    assert (result["status"], result["fixable"]) == ("failed", True)
    assert "ruff refused the project's configuration" in result["details"]["notes"][0]


def test_the_fix_changes_sources_and_never_tests(tmp_path: Path) -> None:
    made = room(
        tmp_path, {"pkg/a.py": UNUSED, "tests/test_a.py": UNUSED, "tests/helper.py": UNUSED, "clean.py": "ONE = 1\n"}
    )
    assert fix.fix(made) == {"changed": True, "files": ["pkg/a.py"]}
    assert "import json" not in (made.workspace / "pkg/a.py").read_text(encoding="utf-8")
    assert (made.workspace / "tests/test_a.py").read_text(encoding="utf-8") == UNUSED
    assert (made.workspace / "tests/helper.py").read_text(encoding="utf-8") == UNUSED
    assert fix.fix(made) == {"changed": False, "files": []}


@pytest.mark.parametrize("change", ["rewrite", "remove", "add"])
def test_the_guard_undoes_a_fix_that_touched_a_test(tmp_path: Path, change: str) -> None:
    root = room(tmp_path, {"a.py": "old", "tests/test_a.py": "test"}).workspace
    digests = fix.digests(root)
    (root / "a.py").write_text("new", encoding="utf-8")
    if change == "rewrite":
        (root / "tests/test_a.py").write_text("other", encoding="utf-8")
    elif change == "remove":
        (root / "tests/test_a.py").unlink()
    else:
        (root / "tests/test_b.py").write_text("", encoding="utf-8")
    with pytest.raises(fix.ChangedTestsError, match="tests/test_"):
        fix.guard(root, digests, {"a.py": b"old"})
    assert (root / "a.py").read_text(encoding="utf-8") == "old"


def test_dependency_audit_reads_pins_locks_urls_and_known_bad_releases(tmp_path: Path) -> None:
    files = {
        "pyproject.toml": '[project]\nname = "x"\ndependencies = ["requests[socks]>=2; python_version>\'3\'"]\n',
        "requirements.txt": (
            "# c\n-r other.txt\nrequests==2.31.0 \\\n    --hash=sha256:aa\nPyYAML==5.3.1  # old\nurllib3>=1.2\n"
            "-e git+https://example.org/x#egg=x\nzope_thing @ https://example.org/z.whl\n"
        ),
    }
    result = dependencies.dependency_audit(room(tmp_path, files))
    details = result["details"]
    assert details["declared_in"] == ["pyproject.toml", "requirements.txt"]
    assert details["unpinned"] == ["requirements.txt: urllib3>=1.2"]
    assert details["direct"] == ["requirements.txt: -e git+https://example.org/x#egg=x", "requirements.txt: zope-thing"]
    assert result["blocking"] == ["Critical: pyyaml 5.3.1 (CVE-2020-14343)"]
    assert result["score"] == 100 - 40 - 20 - 3 - 10


def test_a_lock_is_read_and_an_unreadable_one_blocks(tmp_path: Path) -> None:
    lock = '[[package]]\nname = "Flask"\nversion = "2.0.1"\n'
    audited = dependencies.dependency_audit(
        room(tmp_path, {"uv.lock": lock, "package.json": '{"dependencies": {"a": "^1"}}'})
    )
    assert audited["blocking"] == ["High: flask 2.0.1 (CVE-2023-30861)"]
    assert audited["details"]["locks"] == ["uv.lock"]
    broken = dependencies.dependency_audit(room(tmp_path, {"uv.lock": "[[", "package.json": "[]"}))
    assert broken["blocking"] == ["package.json cannot be read", "uv.lock cannot be read"]


@pytest.mark.parametrize(
    ("version", "versions", "expected"),
    [
        ("5.3.1", "<5.4", True), ("5.4", "<5.4", False), ("5.4rc1", "<5.4", True), ("5.10", "<5.4", False),
        ("2.0.5", ">=2.0,<2.0.6", True), ("1.26.18", ">=2.0,<2.0.6", False), ("3.3.6", "==3.3.6", True),
        ("3.3", "==3.3.0", True), ("", "<9", False), ("", "*", True), ("odd", "<1", True), ("5.3.post1", "<5.4", True),
    ],
)  # fmt: skip
def test_affected_versions(version: str, versions: str, expected: bool) -> None:
    assert dependencies.is_affected(version, versions) is expected


def test_every_entry_of_the_shipped_list_is_usable() -> None:
    path = Path(gate.__file__).parent / "known-bad.json"
    for entry in json.loads(path.read_text(encoding="utf-8"))["releases"]:
        assert entry.keys() == {"ecosystem", "name", "versions", "id", "severity", "why"}
        assert entry["ecosystem"] == "npm" or manifests.normal(entry["name"]) == entry["name"]
        version = entry["versions"].rsplit(",", 1)[-1].strip("<>=") if entry["versions"] != "*" else "1"
        assert dependencies.is_affected(version, entry["versions"]) is ("<" not in entry["versions"].replace("<=", ""))


def baseline(**changed: Any) -> dict[str, Any]:
    return {
        "tolerance": 0.25,
        "calibration": None,
        "benchmarks": [{"name": "a", "run": ["x"], "seconds": 1.0}],
    } | changed


def test_performance_compares_scaled_cpu_time_with_a_tolerance() -> None:
    assert performance.judged(baseline(), {"a": 1.24}, 0.01)["status"] == "passed"
    slower = performance.judged(baseline(), {"a": 1.5}, 0.01)
    assert (slower["status"], slower["score"], slower["blocking"]) == (
        "failed",
        0.0,
        ["a is 50% slower than the baseline"],
    )
    assert performance.judged(baseline(calibration=0.005), {"a": 1.5}, 0.01)["status"] == "passed"
    assert performance.judged(baseline(), {"a": 1.5}, 0.01)["details"]["baseline"]["benchmarks"][0]["seconds"] == 1.5


def test_performance_runs_the_benchmarks_of_the_baseline(tmp_path: Path) -> None:
    run_it = ["python", "b.py"]
    declared = {"benchmarks": [{"name": "a", "run": run_it, "seconds": 60}, {"name": "new", "run": run_it}]}
    made = room(tmp_path, {"b.py": "sum(range(1000))\n", "base.json": json.dumps(declared)})
    result = performance.performance(made, "base.json")
    assert (result["status"], result["summary"]) == ("passed", "No regressions")
    again = performance.read((made.out / "perf-measured.json").read_text(encoding="utf-8"))
    assert [item["name"] for item in again["benchmarks"]] == ["a", "new"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("{", "base.json: "), ("[]", "no `benchmarks` list"), ('{"benchmarks": [{"name": "a"}]}', "`run`, a list of strings"),
     ('{"benchmarks": [{"name": "a", "run": ["no-such-program"]}]}', "cannot be started"),
     ('{"benchmarks": [{"name": "a", "run": ["python", "-c", "1/0"]}]}', "exit status 1")],
)  # fmt: skip
def test_a_baseline_that_cannot_be_used_is_errored(tmp_path: Path, text: str, reason: str) -> None:
    result = performance.performance(room(tmp_path, {"base.json": text}), "base.json")
    assert result["status"] == "errored"
    assert reason in result["summary"]


def test_a_baseline_outside_the_repository_is_none(tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text("{}", encoding="utf-8")
    assert performance.performance(room(tmp_path, {}), "../base.json")["status"] == "not_applicable"


def test_syntax_errors_are_found_in_sources_only(tmp_path: Path) -> None:
    project = Project(
        root=room(tmp_path, {"a.py": "def (:\n", "tests/data/b.py": "def (:\n", "c.py": "x = 1\n"}).workspace
    )
    assert [(item["file"], item["line"]) for item in static.syntax_errors(project)] == [("a.py", 1)]


def test_entry_points_and_metadata(tmp_path: Path) -> None:
    text = '[project]\nname = "my.thing"\ndynamic = ["version"]\n[project.scripts]\nmy = "my:main"\n'
    project = Project(root=room(tmp_path, {"pyproject.toml": text}).workspace)
    metadata.announce(project, tmp_path / "site")
    folder = tmp_path / "site" / "my_thing-0.0.0.dist-info"
    assert "Name: my.thing\n" in (folder / "METADATA").read_text(encoding="utf-8")
    assert "[console_scripts]\nmy = my:main\n" in (folder / "entry_points.txt").read_text(encoding="utf-8")


def test_the_project_is_found_without_being_installed(tmp_path: Path) -> None:
    made = room(tmp_path, {"src/p/__init__.py": ""})
    path = suite.import_path(made, Project(root=made.workspace)).split(os.pathsep)
    assert path[:2] == [str(made.workspace / "src"), str(made.workspace)]


def test_the_comment_says_all_and_lets_nothing_out() -> None:
    nasty = "x|y <img src=a> @team [l](https://e.org) `c` \x1b[31m\u202e\n# title"
    check = {"title": "Linting", "status": "failed", "required": True, "score": 95.0, "summary": nasty}
    result = {"can_merge": False, "overall_score": 68.5, "checks": [check], "blocking_issues": [f"[Linting] {nasty}"]}
    named = {"pr_number": 124, "branch": "feature/x"}
    text = comment(result | named, ["a|b.py"], required_score=85.0)
    assert text.startswith(
        "## Quality gate: ✗ cannot be merged\n\nPull request 124, branch feature/x. Overall score **68.5**"
    )
    row = next(line for line in text.splitlines() if line.startswith("| Linting"))
    assert row.replace("\\|", "").count("|") == 6
    assert not any(mark in text for mark in ("<img", "@team", "\x1b", "\u202e", "https://", "\n# "))
    assert "- a\\|b.py" in text
    assert escaped("- item") == "\\- item"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(room(tmp_path, {"a.py": "ONE = 1\n"}).workspace)
    monkeypatch.setenv("WFCONSOLE_SCRATCH", str(tmp_path / "scratch"))
    monkeypatch.setenv("WFCONSOLE_OUTPUT", str(tmp_path / "output.json"))
    return tmp_path


def test_entry_point_from_check_to_comment(
    environment: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    output = environment / "output.json"
    assert gate.main(["check", "lint"]) == 0
    result = json.loads(output.read_text(encoding="utf-8"))["result"]
    assert (result["status"], "Linting: passed - No issues" in capsys.readouterr().out) == ("passed", True)
    settings = {"required_checks": ["lint"], "required_score": 1, "required_coverage": 0}
    document = {"reports": {"lint": {"status": "succeeded", "result": result}}, **settings}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps(document)))
    assert gate.main(["score"]) == 0
    verdict = json.loads(output.read_text(encoding="utf-8"))
    assert (verdict["fixable"], verdict["result"]["required_checks_passed"]) == (False, True)
    extra = {"fixed": None, "pr_number": None, "branch": None}
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"result": verdict["result"], **extra, **settings})))
    assert gate.main(["comment"]) == 0
    assert (environment / "scratch" / "comment.md").read_text(encoding="utf-8").startswith("## Quality gate: ✗")


def test_entry_point_refuses_what_it_does_not_know(environment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gate.main(["check", "nothing"]) == 2
    assert "gate.py check NAME" in capsys.readouterr().err
    assert not (environment / "output.json").exists()


def test_the_scan_says_what_it_could_not_read() -> None:
    text = '{"results": [], "errors": [{"filename": "./a.py", "reason": "syntax error"}]}'
    assert security.judged(security.parse(text), security.unread(text))["summary"] == (
        "No vulnerabilities (1 file could not be read)"
    )
