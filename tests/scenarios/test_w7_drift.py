"""W7 by the command line, on small templates of the tests' own: drift, the fallback that is tried once, and never the host."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.cli import SOURCES, Result, Wfconsole, containers, recipe, repository, step

SMALL = "image: {rootfs: {builder: busybox}}\nenv: {PATH: /bin}\ntools: {busybox: '>=1.30'}\n"
RECIPE = """
recipe: w7
steps:
  look:
    template: NAME
    retry: {attempts: 3, backoff: 1ms, outcomes: [errored]}
    run: [cat /etc/passwd]
"""
WATCHED = """
import os, sys
def hook(event, args):
    if event in {"subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}:
        os.write(2, f"SPAWNED {event} {args!r}\\n".encode())
sys.addaudithook(hook)
from wfconsole.main import main
sys.argv = ["wfconsole", *sys.argv[1:]]
sys.exit(main())
"""


@dataclass(frozen=True)
class Bench:
    """A state folder with two templates of its own, `first` falling back to `second`, and `strict` to nothing."""

    wf: Wfconsole
    client: Any
    first: str
    second: str
    strict: str

    def recipe(self, template: str) -> Path:
        path = self.wf.home.parent / f"{template}.yaml"
        path.write_text(RECIPE.replace("NAME", template))
        return path

    def run(self, template: str) -> Result:
        return self.wf.run("run", self.recipe(template), "--json")

    def image(self, template: str) -> str:
        return str(self.client.images.get(f"wfconsole/{template}").id)

    def move(self, template: str) -> None:
        """Let the template's tag mean another image."""
        self.client.images.get("wfconsole/busybox-test").tag(f"wfconsole/{template}", "latest")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    from tests.fakes.images import ensure_busybox_test
    from wfconsole.sandbox.client import LocalDocker

    top = tmp_path_factory.mktemp("w7")
    mark = uuid.uuid4().hex[:8]
    first, second, strict = (f"w7-{word}-{mark}" for word in ("first", "second", "strict"))
    wf = Wfconsole(top / "home")
    folder = wf.home / "templates"
    folder.mkdir(parents=True)
    drift = {first: f"drift: {{fallback_template: {second}}}\n", second: "", strict: "drift: {on_mismatch: fail}\n"}
    client = LocalDocker.from_env()
    try:
        ensure_busybox_test(client.api)
        for name, extra in drift.items():
            (folder / f"{name}.yaml").write_text(f"template: {name}\n{SMALL}{extra}")
            assert wf.run("templates", "build", name).code == 0
        yield Bench(wf, client, first, second, strict)
    finally:
        for name in drift:
            for image in client.images.list(f"wfconsole/{name}"):
                for tag in image.tags:
                    if tag.startswith(f"wfconsole/{name}:"):
                        client.images.remove(tag)
        client.close()


@pytest.fixture
def restored(bench: Bench) -> Iterator[Bench]:
    """The bench, with its tags as they were before the test."""
    before = {name: bench.image(name) for name in (bench.first, bench.second, bench.strict)}
    for name, image in before.items():
        bench.client.images.get(image).tag(f"wfconsole/{name}", "before")
    yield bench
    for name, image in before.items():
        bench.client.images.get(image).tag(f"wfconsole/{name}", "latest")


def types(ran: Result) -> list[str]:
    return [str(document["type"]) for document in ran.objects]


def drifts(bench: Bench, run_id: str) -> list[dict[str, Any]]:
    """The contents of the run's env_drift artifacts, in their order."""
    found = bench.wf.show(run_id)["artifacts"]
    shas = [artifact["sha256"] for artifact in found if artifact["kind"] == "env_drift"]
    place = bench.wf.home / "artifacts"
    return [
        json.loads(next(path for path in place.rglob("*") if path.name.endswith(sha[2:])).read_text()) for sha in shas
    ]


pytestmark = pytest.mark.engine


def test_w7_a_template_that_is_what_its_lock_says(restored: Bench) -> None:
    ran = restored.run(restored.first)
    assert ran.code == 0, ran.err
    (attempt,) = step(ran.view, "look")["attempts"]
    assert attempt["template"] == restored.first
    assert attempt["fingerprint"].startswith("sha256:")
    assert "env_drift" not in types(ran)


def test_w7_drift_falls_back_to_the_declared_template_once(restored: Bench) -> None:
    restored.move(restored.first)
    ran = restored.run(restored.first)
    assert ran.code == 0, ran.err
    told = [document for document in ran.objects if document["type"] in {"env_drift", "template_fallback"}]
    assert [document["type"] for document in told] == ["env_drift", "template_fallback"]
    assert told[0]["command_started"] is False
    assert told[1]["to_template"] == restored.second
    attempts = step(ran.view, "look")["attempts"]
    assert [(one["template"], one["outcome"], len(one["commands"])) for one in attempts] == [
        (restored.first, "errored", 0),
        (restored.second, "succeeded", 1),
    ]
    run_id = ran.view["run_id"]
    (artifact,) = drifts(restored, run_id)
    assert (artifact["decision"], artifact["fallback_template"]) == ("fallback", restored.second)
    assert "image.id" in {difference["field"] for difference in artifact["differences"]}
    rows = restored.wf.rows(
        f"SELECT count(*) AS n FROM journal WHERE run_id = '{run_id}' AND type = 'template_fallback'"
    )
    assert rows[0]["n"] == 1


def test_w7_a_second_drift_fails_hard(restored: Bench) -> None:
    restored.move(restored.first)
    restored.move(restored.second)
    ran = restored.run(restored.first)
    assert ran.code == 5
    view = ran.view
    assert view["failure"]["code"] == "ENV_DRIFT"
    attempts = step(view, "look")["attempts"]
    assert [(one["template"], one["commands"]) for one in attempts] == [(restored.first, []), (restored.second, [])]
    assert [one["decision"] for one in drifts(restored, view["run_id"])] == ["fallback", "fail"]
    assert containers(view["run_id"]) == []


def test_w7_policy_fail_has_no_second_try(restored: Bench) -> None:
    restored.move(restored.strict)
    ran = restored.run(restored.strict)
    assert (ran.code, ran.view["failure"]["code"]) == (5, "ENV_DRIFT")
    assert len(step(ran.view, "look")["attempts"]) == 1
    checked = restored.wf.run("templates", "check", restored.strict, "--json")
    assert checked.code == 5
    (found,) = checked.json["templates"]
    assert (found["state"], found["remedy"]) == ("drift", f"wfconsole templates build {restored.strict}")


def test_w7_a_lock_that_is_not_there_is_no_drift(restored: Bench) -> None:
    place = restored.wf.home / "template-locks" / f"{restored.strict}.lock.json"
    kept = place.read_bytes()
    place.unlink()
    try:
        ran = restored.run(restored.strict)
        assert (ran.code, ran.view["failure"]["code"]) == (5, "TEMPLATE_MISSING")
        assert ran.view["failure"]["hint"] == f"wfconsole templates lock {restored.strict}"
        assert "env_drift" not in types(ran)
        mended = restored.wf.run("templates", "lock", restored.strict)
        assert mended.code == 0, mended.err
        assert restored.run(restored.strict).code == 0
    finally:
        place.write_bytes(kept)


def test_w7_a_changed_template_file_is_told_with_line_and_column(restored: Bench) -> None:
    path = restored.wf.home / "templates" / f"{restored.strict}.yaml"
    text = path.read_text()
    try:
        path.write_text(text + "limits: {memory: 64MiB}\n")
        ran = restored.run(restored.strict)
        assert (ran.code, ran.view["failure"]["code"]) == (5, "TEMPLATE_MISSING")
        assert restored.wf.run("templates", "check", restored.strict, "--json").json["templates"][0]["state"] == "stale"
        path.write_text(text + "limits: {memory: 64}\nsecurity_opt: [seccomp=unconfined]\n")
        shown = restored.wf.run("templates", "show", restored.strict)
        assert shown.code == 2
        assert f"{path}:6:10: limits.memory: must be a size with its unit" in shown.err
        assert f"{path}:7:1: security_opt: unknown key `security_opt`" in shown.err
    finally:
        path.write_text(text)


def watched(wf: Wfconsole, folder: Path, *argv: str | Path) -> Result:
    """A command whose process says on stderr whenever it starts another one."""
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, *map(str, argv)],
        env={**wf.environment, "PYTHONPATH": str(SOURCES)},
        cwd=folder,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return Result(stdout=done.stdout, stderr=done.stderr, code=done.returncode)


def test_w7_without_an_engine_no_process_is_started_on_the_host(bench: Bench, tmp_path: Path) -> None:
    wf = bench.wf.using(DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    ran = watched(wf, tmp_path, "run", bench.recipe(bench.first), "--json")
    assert (ran.code, ran.view["failure"]["code"]) == (5, "SANDBOX_UNAVAILABLE")
    assert "SPAWNED" not in ran.err
    assert all(one["commands"] == [] for one in step(ran.view, "look")["attempts"])
    copying = recipe(tmp_path, "copies", "steps: {one: {run: ['true']}}\n")
    with_git = watched(wf, tmp_path, "run", copying, "-i", f"repo={repository(tmp_path / 'repo')}", "--json")
    assert "SPAWNED" in with_git.err, "git, which copies a workspace, is a process: the watch does see them"
