"""What the recipe checker is told of the templates on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from wfconsole.config import read_settings
from wfconsole.main.recipes import KnownTemplates, RecipeShelf, compile_for_run


def test_a_template_is_known_with_its_widest_network_and_the_first_folder_wins(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, network in ((first, "hosts"), (second, "bridge")):
        folder.mkdir()
        (folder / "own.yaml").write_text(f"template: own\nnetwork: {network}\n")
    (second / "silent.yaml").write_text("template: silent\n")
    (second / "broken.yaml").write_text("]\n")
    known = KnownTemplates((first, second, tmp_path / "none"))
    assert dict(known) == {"own": "hosts", "silent": "none", "broken": "bridge"}
    assert "own" in known
    assert "other" not in known
    assert len(known) == 3


@pytest.mark.parametrize(
    ("lines", "where", "told"),
    [
        ("steps:\n  a: {run: x, template: busybox, network: bridge}", "3:43", "the network bridge"),
        ("template: busybox\nsteps:\n  a: {run: x, network: ['example.org:443']}", "4:24", "a list of hosts"),
        (
            "defaults: {template: busybox, network: bridge}\nsteps:\n  a: {run: x}\n  b: {run: x}",
            "2:40",
            "the network bridge",
        ),
        ("template: busybox\nsteps:\n  g: {steps: {a: {run: x, network: bridge}}}", "4:36", "the network bridge"),
    ],
)
def test_a_recipe_that_loosens_its_template_is_refused_with_its_place(
    tmp_path: Path, lines: str, where: str, told: str
) -> None:
    recipe = tmp_path / "wide.yaml"
    recipe.write_text(f"recipe: wide\n{lines}\n")
    settings = read_settings({"WFCONSOLE_HOME": str(tmp_path / "home")})
    compiled = compile_for_run(settings, str(recipe))
    assert compiled.plan is None
    (problem,) = compiled.problems
    assert problem.where == f"{recipe}:{where}"
    assert f"the template busybox allows the network none, not {told}" in problem.message
    assert list(RecipeShelf(settings).validate(str(recipe))) == [problem]


def test_a_recipe_that_tightens_its_template_is_fine(tmp_path: Path) -> None:
    recipe = tmp_path / "tight.yaml"
    recipe.write_text(
        "recipe: tight\nsteps:\n  a: {run: x, network: ['example.org:443']}\n  b: {run: x, template: busybox, network: none}\n"
    )
    compiled = compile_for_run(read_settings({"WFCONSOLE_HOME": str(tmp_path / "home")}), str(recipe))
    assert compiled.plan is not None
    assert compiled.problems == ()
