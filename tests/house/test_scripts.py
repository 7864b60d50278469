"""The set-up scripts: what they contact and when, on a copy with a scripted environment. Nothing is installed or started."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT

SHELL = ("scripts/wfconsole", "scripts/test", "scripts/check", "scripts/lock", "scripts/setup.sh", ".ci/run")


@pytest.mark.parametrize("name", SHELL)
def test_shell_parses_and_can_be_started(name: str) -> None:
    done = subprocess.run(["bash", "-n", ROOT / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert name.endswith(".sh") or os.access(ROOT / name, os.X_OK)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose environment is complete: its wfconsole prints its arguments, its python fails."""
    root = tmp_path / "a checkout"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements/run.txt", "requirements/dev.txt", "pyproject.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
        os.utime(root / name, (1, 1))
    commands = root / ".venv/bin"
    commands.mkdir(parents=True)
    for name, body in (("wfconsole", 'printf "%s\\n" "$@"'), ("python", "exit 1")):
        (commands / name).write_text(f"#!/bin/sh\n{body}\n")
        (commands / name).chmod(0o755)
    (root / ".venv/.ready-run").write_text(f"{root}\n")
    return root


def _start(root: Path, *argv: str, tmp: Path) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "WFCONSOLE_HOME": str(tmp / "state"), "DOCKER_HOST": f"unix://{tmp}/no.sock"}
    return subprocess.run(
        [root / "scripts/wfconsole", *argv], cwd=tmp, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.mark.parametrize(
    "argv",
    [
        ["--version"],
        ["show", "@latest"],
        ["runs", "--json"],
        ["run", "--help"],
        ["run", "x", "--dry-run"],
        ["approve", "run", "--reason", "run it"],
    ],
    ids=" ".join,
)
def test_what_needs_no_engine_asks_for_none(checkout: Path, tmp_path: Path, argv: list[str]) -> None:
    done = _start(checkout, *argv, tmp=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == argv
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "argv", [["run", "x"], ["--json", "retry", "x"], ["worker"], ["doctor"], ["templates", "check"]]
)
def test_without_an_engine_one_line_says_what_to_do(checkout: Path, tmp_path: Path, argv: list[str]) -> None:
    done = _start(checkout, *argv, tmp=tmp_path)
    assert done.stdout.splitlines() == argv, "wfconsole still runs, and refuses in the form that was asked for"
    assert done.stderr.count("\n") == 1
    assert "no Docker engine answers" in done.stderr


def test_links_and_other_folders_lead_to_the_same_checkout(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(checkout / "scripts/wfconsole")
    done = subprocess.run([tmp_path / "link", "runs"], cwd="/", capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("runs\n", "")


@pytest.fixture
def zombie() -> Iterator[int]:
    """The id of a process that has ended and that nobody has waited for."""
    with subprocess.Popen(["true"]) as child:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        yield child.pid


def _stale(path: Path) -> bool:
    script = f'ROOT={ROOT}; source "$ROOT/scripts/setup.sh"; pid_file_is_stale "$1"'
    return subprocess.run(["bash", "-c", script, "bash", path], check=False).returncode == 0


def test_the_pid_file_of_a_living_process_is_not_stale(tmp_path: Path) -> None:
    (tmp_path / "pid").write_text(f"{os.getpid()}\n")
    assert not _stale(tmp_path / "pid")
    assert not _stale(tmp_path / "no such file")


def test_the_pid_file_of_a_zombie_is_stale(tmp_path: Path, zombie: int) -> None:
    (tmp_path / "pid").write_text(str(zombie))  # without a newline, as containerd writes it
    assert _stale(tmp_path / "pid")


@pytest.mark.parametrize("text", ["4194305", ""])
def test_the_pid_file_of_nobody_is_stale(tmp_path: Path, text: str) -> None:
    (tmp_path / "pid").write_text(text)
    assert _stale(tmp_path / "pid")
