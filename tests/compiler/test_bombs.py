"""Recipes made to cost: as large as a recipe may be and wrong everywhere, or naming one file again and again."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

import pytest

from wfconsole.compiler import catalog, graph
from wfconsole.compiler.compile import Compiled, compile_recipe
from wfconsole.compiler.findings import near
from wfconsole.compiler.load import MAX_BYTES
from wfconsole.compiler.reading import MAX_FINDINGS

MANY = 2_000


@pytest.fixture
def comparisons(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many names each search for a near one has looked at."""
    counted: list[int] = []
    search = difflib.get_close_matches

    def counting(word: str, possibilities: list[str], **how: Any) -> list[str]:
        counted.append(len(possibilities))
        return search(word, possibilities, **how)

    monkeypatch.setattr(difflib, "get_close_matches", counting)
    return counted


def missing(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def compiled(text: str) -> Compiled:
    assert len(text) <= MAX_BYTES
    return compile_recipe(text.encode(), file="r.yaml", origin="path", read_file=missing, templates={"python"})


def steps(line: str) -> str:
    return "recipe: r\nlimits: {max_steps: 9999}\nsteps:\n" + "".join(line.format(n=n) for n in range(MANY))


@pytest.mark.parametrize(
    "text",
    [
        steps(" s{n}: {{run: x, needs: [q{n}]}}\n"),
        steps(" s{n}: {{run: x, when: steps.q{n}.status}}\n"),
        steps(" s{n}: {{run: x, when: inputs.q{n}}}\n") + "inputs: {a: {}}\n",
        steps(" s{n}: {{run: x, template: p{n}}}\n"),
        steps(" s{n}: {{run: x, nedes: [a]}}\n"),
        "recipe: r\nsteps:\n  a: {run: x}\n  b: {run: y, needs: [" + ", ".join(f"q{n}" for n in range(MANY)) + "]}\n",
    ],
    ids=["needs", "steps in expressions", "inputs in expressions", "templates", "keys", "needs of one step"],
)
def test_a_recipe_that_is_wrong_everywhere_is_not_compared_with_everything(text: str, comparisons: list[int]) -> None:
    """Thousands of wrong names among thousands: every pair would take minutes."""
    result = compiled(text)
    assert result.plan is None
    assert len(result.findings) == MAX_FINDINGS
    assert len(comparisons) <= 2 * MAX_FINDINGS if "template" in text else len(comparisons) <= MAX_FINDINGS
    assert max(comparisons) <= 500


def test_wrong_needs_are_looked_up_until_enough_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """To list what a step could have needed costs as much as there are steps."""
    asked: list[str] = []
    names = graph.visible_names

    def counting(known: graph.Graph, item: graph.Item) -> tuple[str, ...]:
        asked.append(item.step_id)
        return names(known, item)

    monkeypatch.setattr(graph, "visible_names", counting)
    assert compiled(steps(" s{n}: {{run: x, needs: [q{n}]}}\n")).plan is None
    assert len(asked) == MAX_FINDINGS


def test_an_error_after_many_warnings_takes_the_place_of_one() -> None:
    warned = "".join(f"  s{n}: {{run: rm -rf /etc}}\n" for n in range(MAX_FINDINGS + 50))
    result = compiled(f"recipe: r\nfiles: [gone.py]\nsteps:\n{warned}")
    assert result.plan is None
    assert len(result.findings) == MAX_FINDINGS
    assert [finding.path for finding in result.findings if finding.severity == "error"] == ["files[0]"]


def test_a_near_name_is_found_among_very_many() -> None:
    names = [f"x{n}" for n in range(MANY)]
    assert near("chekout", [*names, "checkout"]) == "checkout"


def test_a_recipe_that_many_steps_use_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "big.yaml").write_text("recipe: big\nsteps: {a: {run: x}}\n")
    lines = [f"  s{n}: {{uses: {'./' * (n % 3 + 1)}big.yaml}}\n" for n in range(50)]
    path = tmp_path / "r.yaml"
    path.write_text("recipe: r\nsteps:\n" + "".join(lines))
    read: list[Path] = []
    original = catalog._read

    def reading(file: Path) -> bytes:
        read.append(file)
        return original(file)

    monkeypatch.setattr(catalog, "_read", reading)
    found = catalog.Found(name="r", origin="path", path=path)
    result = catalog.compile_found(found, [], templates={"python"})
    assert result.plan is not None
    assert [file.name for file in read] == ["r.yaml", "big.yaml"]


def test_of_a_file_that_is_too_large_only_the_beginning_is_read(tmp_path: Path) -> None:
    """Of a recipe, and of one that it uses; the files are holes, so that only reading them would cost."""
    for name in ("r.yaml", "huge.yaml"):
        (tmp_path / name).touch()
        os.truncate(tmp_path / name, 1 << 40)
    found = catalog.Found(name="r", origin="path", path=tmp_path / "r.yaml")
    (finding,) = catalog.compile_found(found, [], templates=()).findings
    assert finding.message == f"the recipe has {MAX_BYTES + 1} bytes; the limit is {MAX_BYTES}"
    assert catalog.resolver([], templates=(), beside=tmp_path)("./huge.yaml") == ()
