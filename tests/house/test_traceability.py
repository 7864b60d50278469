"""The table of the seeds: every id of theirs has a row, a row counts only tests of its own, and a stale table is noticed."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.house.tree import ROOT

STORIES, CRITERIA_OF_A_STORY, SCENARIOS, GAPS = 10, 3, 20, 5
# Written out once more from the seeds, so that a row that was removed is seen.
IDS = {
    *(f"W{n}" for n in range(1, 8)), "W1.a", "W1.b", "W1.c",
    *(f"ST-WF-{story:03}.{n}" for story in range(1, STORIES + 1) for n in range(1, CRITERIA_OF_A_STORY + 1)),
    *(f"EXEC-BLOCK-{n:02}" for n in range(1, SCENARIOS + 1)), *(f"EXEC-BLOCK-GAP-{n}" for n in range(1, GAPS + 1)),
    *(f"{name}-{n}" for name in ("PLAN-PATCH-PR", "INCIDENT", "MIGRATION", "QUALITY-GATE") for n in (1, 2)),
    *(
        f"RW-{name}" for name in (
            "CREATE", "PAUSE-RESUME", "STEP-OUTPUTS", "STEP-FAILURES", "DELETE", "INTERVENTION", "NOVEL-SOURCE", "NOVEL-PRESET",
            "NOVEL-SPLIT", "NOVEL-DEFAULT", "NOVEL-REJECT", "SCRIPT-PRESET",
        )
    ),
}  # fmt: skip
CLAIMS = re.compile(
    r"^test_(?:w\d|st_wf_|exec_block_|rw_[a-z]|plan_patch_pr_\d|incident_\d|migration_\d|quality_gate_\d)"
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("traceability", ROOT / "scripts" / "traceability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of two tests and three criteria, with a table that is up to date."""
    scenarios = tmp_path / "tests/scenarios"
    scenarios.mkdir(parents=True)
    (scenarios / "criteria.toml").write_text('[all]\n"W1" = "the whole"\n"W1.a" = "a part"\n"W2" = "another"\n')
    (scenarios / "test_some.py").write_text("def test_w1_a_one() -> None: ...\ndef test_w2_two() -> None: ...\n")
    monkeypatch.setattr(script, "ROOT", tmp_path)
    monkeypatch.setattr(script, "MATRIX", scenarios / "00_traceability_matrix.md")
    monkeypatch.setattr(script, "CRITERIA", scenarios / "criteria.toml")
    monkeypatch.setattr("sys.argv", ["traceability"])
    assert script.main() == 0
    return scenarios


def checked(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr("sys.argv", ["traceability", "--check"])
    status: int = script.main()
    return status


def criteria() -> dict[str, str]:
    sections = tomllib.loads((ROOT / "tests/scenarios/criteria.toml").read_text()).values()
    return {identifier: text for section in sections for identifier, text in section.items()}


def test_every_id_of_the_seeds_has_a_row() -> None:
    assert IDS - set(criteria()) == set()


def test_each_row_is_said_once_and_in_words() -> None:
    rows = re.findall(r'^"([^"]+)" = ', (ROOT / "tests/scenarios/criteria.toml").read_text(), re.MULTILINE)
    assert len(rows) == len(set(rows))
    assert all(text.strip() and "|" not in text for text in criteria().values())


def test_a_test_that_names_a_seed_names_one_that_there_is(script: ModuleType) -> None:
    """Also a story as a whole, without the number of its criterion."""
    known = [*criteria(), *(f"ST-WF-{story:03}" for story in range(1, STORIES + 1))]
    patterns = [script.pattern(identifier) for identifier in known]
    lost = [
        f"{file}::{name}"
        for file, name in script.tests()
        if CLAIMS.search(name) and not any(pattern.search(name) for pattern in patterns)
    ]
    assert lost == []


def test_a_table_that_is_up_to_date_passes(copy: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    assert checked(script, monkeypatch) == 0
    table = (copy / "00_traceability_matrix.md").read_text()
    assert "| W1.a | a part | `tests/scenarios/test_some.py::test_w1_a_one` | tested |" in table
    assert "| W1 | the whole | - | open |" in table
    assert "2 of 3 criteria have a test." in table


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("test_some.py", "test_w2_two", "test_w2_other"),
        ("test_some.py", "def test_w2_two() -> None: ...\n", ""),
        ("criteria.toml", '"W2" = "another"\n', ""),
        ("criteria.toml", "another", "something else"),
        ("00_traceability_matrix.md", "another", "forged"),
    ],
)
def test_a_stale_table_fails_and_is_left_alone(
    copy: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch, file: str, before: str, after: str
) -> None:
    path = copy / file
    assert before in path.read_text()
    path.write_text(path.read_text().replace(before, after))
    table = (copy / "00_traceability_matrix.md").read_text()
    assert checked(script, monkeypatch) == 1
    assert (copy / "00_traceability_matrix.md").read_text() == table


def test_a_table_that_is_not_there_fails(copy: Path, script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy / "00_traceability_matrix.md").unlink()
    assert checked(script, monkeypatch) == 1
