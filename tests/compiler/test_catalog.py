"""Finding recipes by path and by name, shadowing, lists, and files beside a recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from wfconsole.compiler.catalog import compile_found, entries, find, reader
from wfconsole.ports import WfconsoleError

RECIPE = "recipe: {name}\nversion: '1'\ndescription: |\n  First line\n  second\nsteps: {{a: {{run: x}}}}\n"


@pytest.fixture
def folders(tmp_path: Path) -> list[tuple[str, Path]]:
    found = [("project", tmp_path / "recipes"), ("user", tmp_path / "user"), ("built-in", tmp_path / "built-in")]
    for name, origin in (("ship", 0), ("ship", 2), ("gate", 2)):
        folder = found[origin][1]
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(RECIPE.format(name=name))
    beside = found[0][1] / "score"
    beside.mkdir()
    (beside / "recipe.yaml").write_text(RECIPE.format(name="score") + "files: [score.py]\n")
    (beside / "score.py").write_text("print(1)\n")
    (found[2][1] / "broken.yaml").write_text("recipe: broken\nsteps: {a: {rnu: x}}\n")
    return found


def test_the_nearest_folder_wins_and_what_it_hides_is_told(folders: list[tuple[str, Path]], tmp_path: Path) -> None:
    found = find("ship", folders, beside=tmp_path)
    assert (found.origin, found.path) == ("project", tmp_path / "recipes" / "ship.yaml")
    assert found.shadowed == (tmp_path / "built-in" / "ship.yaml",)
    assert find("gate", folders, beside=tmp_path).origin == "built-in"


def test_a_path_is_no_name(folders: list[tuple[str, Path]], tmp_path: Path) -> None:
    found = find("recipes/ship.yaml", folders, beside=tmp_path)
    assert (found.origin, found.name, found.shadowed) == ("path", "ship", ())
    assert find("./recipes/score", folders, beside=tmp_path).path == tmp_path / "recipes" / "score" / "recipe.yaml"
    assert find(str(tmp_path / "recipes" / "ship.yaml"), folders, beside=Path("/")).name == "ship"


@pytest.mark.parametrize(
    ("reference", "hint"),
    [
        ("shp", "did you mean 'ship'?"),
        ("zzz", "recipes: broken, gate, score, ship"),
        ("./ship", "give the path"),
        ("x.yaml", "give the path"),
    ],
)
def test_a_recipe_that_is_not_there(folders: list[tuple[str, Path]], tmp_path: Path, reference: str, hint: str) -> None:
    with pytest.raises(WfconsoleError) as caught:
        find(reference, folders, beside=tmp_path)
    assert caught.value.code == "RECIPE_NOT_FOUND"
    assert caught.value.hint.startswith(hint)


def test_a_recipe_with_files_compiles(folders: list[tuple[str, Path]], tmp_path: Path) -> None:
    found = find("score", folders, beside=tmp_path)
    compiled = compile_found(found, folders, templates={"python"})
    assert compiled.plan is not None
    assert compiled.plan.recipe.origin == "project"
    assert compiled.files == {"score.py": b"print(1)\n"}


def test_all_recipes_are_listed_with_what_hides_them(folders: list[tuple[str, Path]]) -> None:
    listed = entries(folders, templates={"python"})
    assert [(entry.name, entry.origin, entry.valid, entry.shadowed_by is not None) for entry in listed] == [
        ("broken", "built-in", False, False), ("gate", "built-in", True, False), ("score", "project", True, False),
        ("ship", "project", True, False), ("ship", "built-in", True, True),
    ]  # fmt: skip
    assert (listed[3].version, listed[3].description, listed[0].problems) == ("1", "First line", 1)


def test_a_file_that_leads_out_of_the_folder_is_not_read(tmp_path: Path) -> None:
    folder = tmp_path / "recipe"
    folder.mkdir()
    (tmp_path / "secret").write_text("s")
    (folder / "link").symlink_to(tmp_path / "secret")
    (folder / "inside").write_text("i")
    (folder / "good").symlink_to(folder / "inside")
    read = reader(folder)
    assert read("good") == b"i"
    with pytest.raises(ValueError, match="leads out"):
        read("link")
    with pytest.raises(ValueError, match="leads out"):
        read("../secret")
    with pytest.raises(ValueError, match="no regular file"):
        read(".")
    with pytest.raises(FileNotFoundError):
        read("nobody")


def test_uses_is_checked_against_the_recipe_it_names(folders: list[tuple[str, Path]], tmp_path: Path) -> None:
    (tmp_path / "recipes" / "caller.yaml").write_text(
        "recipe: caller\nsteps:\n  a: {uses: ./ship.yaml, with: {x: 1}}\n  b: {uses: gone}\n"
    )
    compiled = compile_found(find("caller", folders, beside=tmp_path), folders, templates={"python"})
    said = [(finding.line, finding.message) for finding in compiled.findings if finding.severity == "error"]
    assert said == [(3, "there is no input 'x'"), (4, "there is no recipe 'gone'")]
