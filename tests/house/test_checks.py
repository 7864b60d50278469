"""What `scripts/check` runs, how strict it is, and that one failure fails it all."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from tests.house.tree import ROOT

CHECKS = (
    "ruff check .", "ruff format --check .", "mypy", "lint-imports", "python scripts/traceability.py --check",
    "python scripts/draw_lifecycle.py --check",
)  # fmt: skip
TOOL = """#!/bin/sh
said="${0##*/}"
[ $# -eq 0 ] || said="$said $*"
echo "$said" >> "$SAID"
[ "$said" != "$FAILS" ]
"""


def settings() -> dict[str, object]:
    found: dict[str, object] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose tools write down how they were called; the one in FAILS fails."""
    root = tmp_path / "house"
    shutil.copytree(ROOT / "scripts", root / "scripts", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("requirements/run.txt", "requirements/dev.txt", "pyproject.toml"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("")
        os.utime(root / name, (1, 1))
    commands = root / ".venv/bin"
    commands.mkdir(parents=True)
    for name in ("ruff", "mypy", "lint-imports", "python", "wfconsole"):
        (commands / name).write_text(TOOL)
        (commands / name).chmod(0o755)
    for kind in ("run", "dev"):
        (root / f".venv/.ready-{kind}").write_text(f"{root}\n")
    return root


def check(root: Path, fails: str) -> tuple[int, str, list[str]]:
    said = root / "said"
    environment = {**os.environ, "SAID": str(said), "FAILS": fails}
    done = subprocess.run([root / "scripts/check"], env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, said.read_text().splitlines()


def test_every_check_runs_and_all_good_is_0(checkout: Path) -> None:
    status, out, said = check(checkout, "nothing")
    assert (status, said) == (0, list(CHECKS)), out


@pytest.mark.parametrize("fails", CHECKS)
def test_one_failure_fails_it_all_and_the_others_still_run(checkout: Path, fails: str) -> None:
    status, out, said = check(checkout, fails)
    assert (status, said) == (1, list(CHECKS))
    assert out.count("FAILED") == 1
    assert out.splitlines()[-1].startswith("scripts/check: 1 failed: ")


def test_the_build_runs_the_checks() -> None:
    assert '"$ROOT/scripts/check"\nchecks=$?\n' in (ROOT / "scripts/test").read_text()
    assert "exit $((checks || tests))" in (ROOT / "scripts/test").read_text()
    assert '"$ROOT/scripts/test" "$@"' in (ROOT / ".ci/run").read_text()


def test_types_are_strict_in_the_program_and_in_its_tests() -> None:
    mypy = settings()["mypy"]
    assert isinstance(mypy, dict)
    assert mypy["strict"] is True
    assert mypy["files"] == ["src", "tests"]
    assert not {"overrides", "exclude", "disable_error_code", "ignore_errors", "ignore_missing_imports"} & mypy.keys()
    assert not any(key.startswith(("allow_", "disallow_", "no_")) for key in mypy)


def test_warnings_are_errors_and_a_test_that_should_fail_must() -> None:
    pytest_ = settings()["pytest"]
    assert isinstance(pytest_, dict)
    options = pytest_["ini_options"]
    assert options["filterwarnings"] == ["error"]
    assert options["xfail_strict"] is True
    assert {"--strict-markers", "--strict-config"} <= set(options["addopts"])


def test_ruff_has_all_rules_and_each_exception_its_reason() -> None:
    ruff = settings()["ruff"]
    assert isinstance(ruff, dict)
    assert ruff["lint"]["select"] == ["ALL"]
    page = (ROOT / "pyproject.toml").read_text().splitlines()
    start = page.index("ignore = [")
    lines = page[start + 1 : page.index("]", start)]
    assert [line for line in lines if "  # " not in line] == []


def test_the_project_has_the_packages_that_were_asked_for_and_the_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[<>=\[]", text)[0] for text in project["dependencies"]}
    tools = {re.split(r"[<>=\[]", text)[0] for text in project["optional-dependencies"]["dev"]}
    assert {"textual", "rich", "typer", "sqlmodel", "aiosqlite", "docker"} <= named
    assert {"pytest", "pytest-textual-snapshot"} <= tools - named
    assert project["requires-python"] == ">=3.11"
    assert project["scripts"] == {"wfconsole": "wfconsole.main:main"}


def test_a_warning_is_an_error_here() -> None:
    import warnings

    with pytest.raises(UserWarning, match="loud"):
        warnings.warn("loud", UserWarning, stacklevel=1)
