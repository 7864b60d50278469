"""The README's table of the seeds' words, and what stands at the top of the checkout."""

from __future__ import annotations

import re

import pytest

from tests.house.tree import ROOT, tracked

WORDS = {
    "completed": "succeeded", "canceled": "cancelled", "queued": "pending", "waiting_input": "awaiting_approval",
    "stage": "step", "exec_block": "run", "job": "attempt", "agent": "worker", "daemon": "worker",
    "POST /intents": "intent submit", "POST /runs/:id/events": "decide", "CompileST": "agent",
    "ApplyPatchST": "apply_patch", "ExecuteST": "run", "FixST": "fix",
    "sandboxQ": "sandbox", "app.marks": "marks(run_id, step)", "OC": "agent",
}  # fmt: skip
"""A word of the seeds and what its row has to name."""

CARD = {"pyproject.toml", "README.md", "src", "themes", "recipes", "tests", "scripts"}
USUAL = {"LICENSE", "CHANGELOG.md", "CONTRIBUTING.md"}
MORE = {
    "requirements": "the locks of both environments, which scripts/setup.sh installs from",
    "docs": "the pictures that README.md shows",
}
"""Besides: each with its reason."""


def rows() -> list[tuple[str, str]]:
    page = (ROOT / "README.md").read_text()
    section = page.split("## Words of the seeds\n")[1].split("\n## ")[0]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return [(there, here) for there, here in cells[2:]]


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_the_seeds_is_in_the_table_with_ours(word: str) -> None:
    found = [here for there, here in rows() if word in re.split(r", | / | \+ ", there)]
    assert len(found) == 1
    assert re.search(rf"(?<!\w){re.escape(WORDS[word])}(?!\w)", found[0])


def test_no_word_is_explained_twice() -> None:
    words = [word for there, _ in rows() for word in re.split(r", | / | \+ ", there)]
    assert sorted({word for word in words if words.count(word) > 1}) == []


def test_the_top_level_is_that_of_the_card() -> None:
    there = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in there if not name.startswith(".")} == CARD | USUAL | set(MORE)
    assert {path.relative_to(ROOT).parts[1] for path in tracked() if path.is_relative_to(ROOT / "src")} == {"wfconsole"}
