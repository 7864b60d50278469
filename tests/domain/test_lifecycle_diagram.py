"""The README's state diagrams are those of the tables, and the script that draws them notices when they are not."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from wfconsole.domain.lifecycle import APPROVAL_TRANSITIONS, RUN_TRANSITIONS, STEP_TRANSITIONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("draw_lifecycle", ROOT / "scripts" / "draw_lifecycle.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_readme_is_up_to_date(script: ModuleType) -> None:
    assert script.main(["--check", str(ROOT / "README.md")]) == 0


def test_every_pair_of_the_tables_is_drawn_and_nothing_else(script: ModuleType) -> None:
    parts = re.findall(r"```mermaid\n(.*?)```", script.section(), flags=re.DOTALL)
    for part, table in zip(parts, (RUN_TRANSITIONS, STEP_TRANSITIONS, APPROVAL_TRANSITIONS), strict=True):
        drawn = set(re.findall(r"(\S+) --> (\S+)", part))
        pairs = {(current, following) for current, then in table.items() for following in then}
        ends = {(current, "[*]") for current, then in table.items() if not then}
        assert drawn == pairs | ends | {("[*]", next(iter(table)))}


def test_a_stale_page_fails_the_check_and_is_left_alone(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{script.BEGIN}\nold\n{script.END}\nafter\n")
    stale = page.read_text()
    assert script.main(["--check", str(page)]) == 1
    assert "stale" in capsys.readouterr().err
    assert page.read_text() == stale
    assert script.main([str(page)]) == 0
    assert script.main(["--check", str(page)]) == 0
    fresh = page.read_text()
    assert fresh.startswith("before\n")
    assert fresh.endswith("\nafter\n")
    assert "old" not in fresh


@pytest.mark.parametrize("page", ["", "{0}", "{1}{0}", "{0}{1}{0}{1}"])
def test_a_page_without_its_markers_is_refused(script: ModuleType, page: str) -> None:
    with pytest.raises(ValueError, match="the page needs one"):
        script.redraw(page.format(script.BEGIN, script.END))
