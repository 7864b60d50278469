"""The catalogue of faults: every number has tests that are there, or a reason why it has none."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from typing import Any

import pytest

from tests.house.tree import ROOT

LAST = 50
KEYS = {"fault", "expected", "tests", "why_not"}
FAULTS: dict[str, dict[str, Any]] = tomllib.loads((ROOT / "tests/house/faults.toml").read_text())


@cache
def names(path: str) -> frozenset[str]:
    """The tests of a file, those of classes too; none when there is no such file."""
    file = ROOT / path
    if not file.is_file():
        return frozenset()
    found = ast.walk(ast.parse(file.read_text()))
    return frozenset(node.name for node in found if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def wrong(number: str, entry: dict[str, Any]) -> list[str]:
    """What does not hold of one entry."""
    said = [f"{number}: what is {key!r}?" for key in entry.keys() - KEYS]
    said += [f"{number}: {key} is missing" for key in ("fault", "expected") if not entry.get(key)]
    if bool(entry.get("tests")) == bool(entry.get("why_not")):
        said.append(f"{number}: either tests or a reason why there is none")
    for test in entry.get("tests", []):
        path, _, name = test.partition("::")
        if not name.startswith("test_") or name not in names(path):
            said.append(f"{number}: there is no {test}")
    return said


def test_every_fault_has_its_number_once_and_in_order() -> None:
    assert list(FAULTS) == [str(number) for number in range(1, LAST + 1)]


def test_every_fault_has_tests_that_are_there_or_a_reason() -> None:
    assert [line for number, entry in FAULTS.items() for line in wrong(number, entry)] == []


@pytest.mark.parametrize(
    "broken",
    [
        {"tests": ["tests/house/test_faults.py::test_that_nobody_wrote"]},
        {"tests": ["tests/house/nowhere.py::test_every_fault_has_its_number_once_and_in_order"]},
        {"tests": ["tests/house/test_faults.py::wrong"]},
        {"tests": []},
        {},
        {"why_not": ""},
        {"why_not": "x", "tests": ["tests/house/test_faults.py::test_every_fault_has_its_number_once_and_in_order"]},
        {"why_not": "x", "expected": ""},
        {"why_not": "x", "wy_not": "y"},
    ],
)
def test_a_broken_entry_is_found(broken: dict[str, Any]) -> None:
    assert wrong("0", {"fault": "f", "expected": "e", **broken})
