"""No god files: 400 lines a file, 60 a function."""

from __future__ import annotations

import ast

from tests.house.tree import ROOT, python_files

FILE_LINES, FUNCTION_LINES = 400, 60


def test_no_file_is_longer_than_400_lines() -> None:
    lines = {path.relative_to(ROOT): len(path.read_text().splitlines()) for path in python_files()}
    assert lines
    assert {str(path): count for path, count in lines.items() if count > FILE_LINES} == {}


def test_no_function_is_longer_than_60_lines() -> None:
    long = {}
    for path in python_files():
        if "migrations" in path.parts:  # a migration is a list of statements, written down once
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                count = node.end_lineno - node.lineno + 1
                if count > FUNCTION_LINES:
                    long[f"{path.relative_to(ROOT)}:{node.name}"] = count
    assert long == {}


def test_modules_have_plain_names() -> None:
    shunned = {
        "utils",
        "util",
        "helpers",
        "helper",
        "manager",
        "handler",
        "base",
        "common",
        "models",
        "services",
        "core",
    }
    assert [str(path.relative_to(ROOT)) for path in python_files() if path.stem in shunned] == []
