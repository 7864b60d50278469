"""`recipes trust` against fakes: given, listed, taken back."""

from __future__ import annotations

import json

import pytest

from tests.fakes.desk import Desk
from tests.fakes.journals import ANN


def test_trust_is_given_listed_and_taken_back(desk: Desk) -> None:
    given = desk.run("recipes", "trust", "letter", "--json")
    assert (given.code, given.json["name"], given.json["by"]) == (0, "letter", ANN.name)
    assert desk.run("recipes", "trust", "other").text == f"other is trusted in this form: {'ab' * 32}\n"
    listed = desk.run("recipes", "trust", "--list", "--json").json["trusted"]
    assert [item["name"] for item in listed] == ["letter", "other"]
    assert [line.split()[0] for line in desk.run("recipes", "trust").lines] == ["RECIPE", "letter", "other"]
    assert desk.run("recipes", "trust", "letter", "--revoke").code == 0
    assert [item.name for item in desk.recipes.trusts] == ["other"]
    gone = desk.run("recipes", "trust", "letter", "--revoke", "--json")
    assert (gone.code, json.loads(gone.err)["error"]["code"]) == (2, "NOT_FOUND")


@pytest.mark.parametrize("argv", [["--revoke"], ["letter", "--list"]])
def test_trust_of_nothing_or_of_too_much_is_a_mistake(desk: Desk, argv: list[str]) -> None:
    assert desk.run("recipes", "trust", *argv).code == 2
    assert desk.recipes.trusts == []
