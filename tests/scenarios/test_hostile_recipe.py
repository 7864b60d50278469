"""Recipes that ask for the host or for all of the memory: refused with the place of each, and no run is created."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole

GREEDY = """recipe: greedy
privileged: true
files: [../../etc/passwd]
workspace: {source: /, mount: /host}
steps:
  a:
    run: [[cat, "x\\0y"]]
    mounts: ["/var/run/docker.sock:/var/run/docker.sock"]
    volumes: [/:/host]
    cap_add: [SYS_ADMIN]
    user: root
    docker_args: [--pid=host]
  b: {run: [[id]], network: host}
"""
GREEDY_LINES = {2, 3, 4, 7, 8, 9, 10, 11, 12, 13}
BOMB = (
    "recipe: bomb\na: &a [x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\nsteps: {s: {run: [*b]}}\n"
)
DEEP = "recipe: deep\nsteps: " + "[" * 5000
LARGE = "recipe: large\ndescription: " + "x" * 1024**2 + "\nsteps: {a: {run: [[id]]}}\n"
TWICE = "recipe: twice\nsteps:\n  a: {run: [[id]], network: none, network: bridge}\n"
TAGGED = "recipe: tagged\nsteps: !!python/object/apply:os.system [id]\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [(GREEDY, GREEDY_LINES), (BOMB, {2, 3, 4}), (DEEP, {2}), (LARGE, {1}), (TWICE, {3}), (TAGGED, {2})],
    ids=["greedy", "bomb", "deep", "large", "twice", "tagged"],
)
def test_fault_31_each_is_refused_at_its_place_and_nothing_is_created(
    tmp_path: Path, text: str, lines: set[int]
) -> None:
    wf = Wfconsole(tmp_path / "home")
    path = tmp_path / "hostile.yaml"
    path.write_text(text)
    refused = wf.run("run", path, "--json")
    assert (refused.code, refused.error["code"]) == (2, "RECIPE_INVALID")
    places = [each["where"].split(":")[-2] for each in refused.error["details"]["problems"]]
    assert lines <= {int(line) for line in places}
    assert not (wf.home / "runs").exists() or not list((wf.home / "runs").iterdir())
    assert not (wf.home / "wfconsole.db").exists() or wf.rows("SELECT run_id FROM runs") == []
