"""A gate's context, gathered from real repositories and real stores: what is on the card, and what stops it from being made."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.store import MemoryArtifacts
from wfconsole.domain.codec import canonical
from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.plan import ContextSpec
from wfconsole.domain.records import ArtifactRecord
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.steps.context import ContextIncomplete, ContextPorts, GateContext, GateJob, build_context
from wfconsole.steps.evidence import FILE_BYTES
from wfconsole.views.risk import RiskFacts
from wfconsole.workspace.collect import FileCollector
from wfconsole.workspace.copy import GitWorkspaces

JUNIT = b"<testsuite time='2'><testcase name='a'/><testcase name='b'><failure/></testcase></testsuite>"
COVERAGE = b'{"totals": {"percent_covered": 80.5}}'
SECRET = "ghp" + "_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"


@dataclass
class Lab:
    """A run with a copied workspace, and the ports that a gate has."""

    folder: RunFolder
    pin: WorkspacePin
    artifacts: MemoryArtifacts
    ports: ContextPorts

    def write(self, path: str, content: bytes | str) -> None:
        place = self.folder.workspace / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)

    def report(self, step_id: str, name: str, data: bytes) -> ArtifactRecord:
        sha256, size = asyncio.run(self.artifacts.put_bytes(data))
        return ArtifactRecord(
            artifact_id=f"{step_id}#1/{name}",
            step_id=step_id,
            attempt=1,
            name=name,
            kind="report",
            sha256=sha256,
            bytes=size,
        )

    def job(self, spec: ContextSpec | None = None, **more: Any) -> GateJob:
        given = {
            "run_id": "r-1",
            "step_id": "gate",
            "attempt": 1,
            "title": "Ship it?",
            "folder": self.folder,
            "pin": self.pin,
        }
        return GateJob(spec=spec or ContextSpec(), **{**given, **more})

    def build(self, job: GateJob) -> GateContext:
        return asyncio.run(build_context(job, self.ports))

    def missing(self, job: GateJob) -> ContextIncomplete:
        with pytest.raises(ContextIncomplete) as caught:
            self.build(job)
        assert caught.value.code == "CONTEXT_INCOMPLETE"
        assert all(part.problem and part.hint for part in caught.value.missing)
        return caught.value


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Lab]]:
    """``make(files)``: a repository with these files, copied into the workspace of a run."""
    stores = []

    def do(files: dict[str, bytes]) -> Lab:
        source = tmp_path / "source"
        source.mkdir()
        for path, content in files.items():
            (source / path).parent.mkdir(parents=True, exist_ok=True)
            (source / path).write_bytes(content)
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": os.devnull}
        identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
        for words in (["init", "-q"], ["add", "-A"], [*identity, "commit", "-qm", "first", "--allow-empty"]):
            subprocess.run(["git", *words], cwd=source, env=environment, check=True, capture_output=True)
        folder, workspaces = RunFolder(tmp_path / "run"), GitWorkspaces()
        pin = asyncio.run(workspaces.copy(source, "HEAD", folder)).pin
        artifacts = MemoryArtifacts()
        stores.append(artifacts)
        ports = ContextPorts(workspaces=workspaces, artifacts=artifacts, collector=FileCollector(artifacts=artifacts))
        return Lab(folder=folder, pin=pin, artifacts=artifacts, ports=ports)

    yield do
    for store in stores:
        store.close()


@pytest.fixture
def lab(make: Callable[..., Lab]) -> Lab:
    return make({"src/app.py": b"one\ntwo\n", "old.py": b"moved\n" * 9, "CHANGES.md": b"first\n"})


def test_st_wf_005_1_the_card_has_diff_tests_and_risk(lab: Lab) -> None:
    lab.write("src/app.py", f"one\n2\ntoken = '{SECRET}'\n")
    (lab.folder.workspace / "old.py").rename(lab.folder.workspace / "new.py")
    lab.write("CHANGES.md", "first\nsecond\n")
    reports = {"unit": (lab.report("unit", "unit.xml", JUNIT), lab.report("unit", "cov.json", COVERAGE))}
    spec = ContextSpec(tests=("unit",), files=("CHANGES.md",), preview=("pr",), rules=({"level": "low", "why": "w"},))
    job = lab.job(
        spec, reports=reports, preview={"pr": {"title": "T"}, "other": 1}, facts=RiskFacts(coverage_before=90.0)
    )
    made = lab.build(job)
    card = made.document
    assert card["title"] == "Ship it?"
    diff = card["diff"]
    assert {one["path"]: one["status"] for one in diff["files"]} == {
        "CHANGES.md": "modified", "new.py": "renamed", "src/app.py": "modified",
    }  # fmt: skip
    assert (diff["added"], diff["removed"], diff["truncated"]) == (3, 1, False)
    tests = card["tests"]
    assert (tests["total"]["total"], tests["total"]["failed"], tests["total"]["ok"]) == (2, 1, False)
    assert tests["steps"][0]["coverage_percent"] == 80.5
    assert [report["name"] for report in tests["steps"][0]["reports"]] == ["unit.xml", "cov.json"]
    notes = {note["rule"]: note for note in card["risk"]["notes"]}
    assert card["risk"]["level"] == "high"
    assert set(notes) == {"secret", "tests_failed", "coverage_fell", "recipe"}
    assert notes["coverage_fell"]["saw"] == "coverage fell from 90.0 % to 80.5 %"
    assert card["files"][0]["lines"] == ["first", "second"]
    assert card["preview"] == {"pr": {"title": "T"}}
    assert SECRET.encode() not in canonical(card)


def test_the_artifacts_are_whole_and_bound_by_the_digest(lab: Lab) -> None:
    lab.write("src/app.py", f"token = '{SECRET}'\n")
    made = lab.build(lab.job(ContextSpec(files=("CHANGES.md",))))
    stored = {record.name: lab.artifacts.path(record.sha256 or "").read_bytes() for record in made.artifacts}
    assert {record.name: record.kind for record in made.artifacts} == {
        "context/diff.patch": "diff", "context/files/CHANGES.md": "file", "context.json": "context",
    }  # fmt: skip
    assert SECRET.encode() in stored["context/diff.patch"]
    assert stored["context.json"] == canonical(made.document)
    assert hashlib.sha256(stored["context.json"]).hexdigest() == made.digest
    assert made.document["diff"]["artifact"]["sha256"] == hashlib.sha256(stored["context/diff.patch"]).hexdigest()
    assert made.document["files"][0]["sha256"] == hashlib.sha256(b"first\n").hexdigest()
    for record in made.artifacts:
        assert record.artifact_id == f"gate#1/{record.name}"
        assert (lab.folder.artifacts / "gate" / record.name).read_bytes() == stored[record.name]


def test_the_same_workspace_gives_the_same_digest_and_any_change_another(lab: Lab) -> None:
    lab.write("src/app.py", "1\n" * 3000)
    first = lab.build(lab.job())
    assert lab.build(lab.job(attempt=2)).digest == first.digest
    # Beyond what the card repeats, but not beyond what it binds.
    lab.write("src/app.py", "1\n" * 2999 + "2\n")
    assert first.document["diff"]["truncated"] is True
    assert lab.build(lab.job()).digest != first.digest


def test_an_unchanged_workspace_says_so_and_has_no_diff_artifact(lab: Lab) -> None:
    made = lab.build(lab.job())
    assert (made.document["diff"]["changed"], made.document["diff"]["note"]) == (
        False,
        "Nothing in the workspace changed.",
    )
    assert [record.name for record in made.artifacts] == ["context.json"]
    none = lab.build(lab.job(pin=None))
    assert none.document["diff"]["note"] == "The run has no workspace to compare with."


def test_what_is_not_asked_for_is_not_gathered(lab: Lab) -> None:
    lab.write("a", "b")
    made = lab.build(lab.job(ContextSpec(diff=False, risk=False)))
    assert (made.document["diff"], made.document["risk"], made.document["tests"]) == (None, None, None)


def test_no_tests_ran_is_on_the_card_and_no_success(lab: Lab) -> None:
    reports = {"unit": (lab.report("unit", "u.xml", b"<testsuites/>"),)}
    card = lab.build(lab.job(ContextSpec(tests=("unit",)), reports=reports)).document
    assert (card["tests"]["total"]["ok"], card["tests"]["total"]["note"]) == (False, "No tests ran.")
    assert [note["rule"] for note in card["risk"]["notes"]] == ["no_tests"]


def test_the_reports_of_a_group_are_those_of_its_members(lab: Lab) -> None:
    reports = {
        "checks/a": (lab.report("checks/a", "a.xml", JUNIT),),
        "checks/b": (lab.report("checks/b", "b.xml", JUNIT),),
        "checksum": (lab.report("checksum", "c.xml", JUNIT),),
    }
    card = lab.build(lab.job(ContextSpec(tests=("checks",)), reports=reports)).document
    assert card["tests"]["total"]["total"] == 4


def test_st_wf_005_3_everything_that_is_missing_is_told_at_once(lab: Lab, tmp_path: Path) -> None:
    lab.write("big", b"x" * (FILE_BYTES + 1))
    (lab.folder.workspace / "link").symlink_to("/etc/passwd")
    broken, none = (
        lab.report("broken", "x.xml", b"<!DOCTYPE a><testsuite/>"),
        lab.report("other", "s.sarif", b'{"runs": []}'),
    )
    lost = replace(broken, name="lost.xml", sha256="0" * 64)
    spec = ContextSpec(
        tests=("silent", "broken", "other", "lost"), files=("absent.md", "../up", "link", "big"), preview=("pr",),
        rules=({"level": "high", "when": "/(/"},),
    )  # fmt: skip
    job = lab.job(spec, reports={"broken": (broken,), "other": (none,), "lost": (lost,)})
    error = lab.missing(job)
    assert [part.part for part in error.missing] == [
        "tests of silent", "tests of broken", "tests of other", "tests of lost", "file absent.md", "file ../up",
        "file link", "file big", "risk", "preview of pr",
    ]  # fmt: skip
    assert "silent left no report" in str(error)
    assert "document type" in str(error)
    assert "absent.md is not in the workspace" in str(error)
    assert "let silent write a JUnit or coverage report" in error.hint
    assert json.loads(canonical(error.details))["missing"][0]["part"] == "tests of silent"
    assert not lab.folder.artifacts.exists()


def test_a_diff_that_cannot_be_made_leaves_the_context_incomplete(lab: Lab) -> None:
    error = lab.missing(lab.job(pin=replace(lab.pin, tree="0" * 40)))
    assert [part.part for part in error.missing] == ["diff"]
    (lab.folder.workspace / "pipe").unlink(missing_ok=True)
    lab.write("sealed/x", "y")
    lab.folder.git.rename(lab.folder.git.with_name("away"))
    assert [part.part for part in lab.missing(lab.job()).missing] == ["diff"]


def test_a_full_disk_leaves_the_context_incomplete(lab: Lab) -> None:
    class Full(MemoryArtifacts):
        def __init__(self) -> None:
            """It has no folder."""

        async def put_bytes(self, data: bytes) -> tuple[str, int]:
            raise WfconsoleError("DISK_FULL", "The disk is full.", "Free space.")

    lab.ports = replace(lab.ports, artifacts=Full())
    error = lab.missing(lab.job())
    assert [(part.part, part.hint) for part in error.missing] == [("context", "Free space.")]


def test_files_are_shown_up_to_a_limit(lab: Lab) -> None:
    lab.write("long.txt", "".join(f"line {n}\n" for n in range(1000)))
    lab.write("wide.txt", "w" * 5000)
    lab.write("data.bin", b"\0\1")
    lab.write("key.txt", f"{SECRET}\r\n\xff".encode("latin-1"))
    paths = ("long.txt", "wide.txt", "data.bin", "key.txt")
    long, wide, data, key = lab.build(lab.job(ContextSpec(files=paths))).document["files"]
    assert (len(long["lines"]), long["cut"], long["bytes"]) == (400, True, 8890)
    assert (len(wide["lines"][0]), wide["cut"]) == (2000, True)
    assert (data["binary"], data["lines"]) == (True, [])
    assert (key["lines"], key["cut"]) == (["****\r", "\udcff"], False)


def test_the_context_of_a_5000_line_diff_takes_at_most_300_ms_beyond_git(make: Callable[..., Lab]) -> None:
    lab = make({f"src/m{n}.py": b"".join(b"value_%d = token(%d)\n" % (k, k) for k in range(50)) for n in range(50)})
    for n in range(50):
        lab.write(f"src/m{n}.py", b"".join(b"other_%d = token(%d)\n" % (k, k) for k in range(50)))
    began = time.perf_counter()
    patch = asyncio.run(lab.ports.workspaces.diff(lab.folder, lab.pin))
    git = time.perf_counter() - began

    @dataclass
    class Ready(GitWorkspaces):
        async def diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
            return patch

    ports = replace(lab.ports, workspaces=Ready())
    began = time.process_time()
    made = asyncio.run(build_context(lab.job(), ports))
    spent = time.process_time() - began
    assert made.document["diff"]["added"] + made.document["diff"]["removed"] == 5000
    assert git > 0
    assert spent < 0.3
