"""Artifact patterns: what they mean, and that they never ask for a folder in vain."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from wfconsole.workspace.patterns import Pattern, parse


def patterns(text: str) -> tuple[Pattern, ...]:
    found = parse(text)
    assert not isinstance(found, str), found
    return found


def means(text: str, path: bytes) -> bool:
    return any(pattern.matches(path) for pattern in patterns(text))


@pytest.mark.parametrize(
    ("text", "yes", "no"),
    [
        ("a.xml", ["a.xml", "a.xml/x"], ["b.xml", "d/a.xml", "a.xmlx"]),
        ("./a.xml", ["a.xml"], ["b"]),
        ("out/*.xml", ["out/a.xml"], ["out/d/a.xml", "out/.a.xml", "a.xml", "out/a.txt"]),
        ("**/*.xml", ["a.xml", "x/a.xml", "x/y/a.xml"], [".x/a.xml", "x/.a.xml", "a.txt"]),
        ("out/**", ["out/a", "out/x/y"], ["out/.a", "a"]),
        ("out/", ["out/a", "out/x/y"], ["a"]),
        ("out", ["out/a", "out/x/y", "out"], ["a", "outer/a"]),
        ("out/**/r?.[jx]*", ["out/r1.json", "out/a/b/r2.xml"], ["out/r10.json", "out/r1.txt"]),
        (".cache/*", [".cache/a"], [".cache/.a"]),
        ("**", ["a", "a/b"], [".git/x", "a/.b"]),
        (".", ["a", "a/b"], [".a"]),
        ("a/**/b/**/c", ["a/b/c", "a/x/b/y/z/c"], ["a/c"]),
        ("*", ["x\ny", "\udcff"], ["x/y"]),
    ],
)
def test_patterns_mean_what_a_shell_user_expects(text: str, yes: list[str], no: list[str]) -> None:
    assert [path for path in yes if not means(text, path.encode("utf-8", "surrogateescape"))] == []
    assert [path for path in no if means(text, path.encode("utf-8", "surrogateescape"))] == []


@pytest.mark.parametrize("text", ["", " ", "/etc/passwd", "../x", "a/../../x", "a/..", "x\0y"])
def test_patterns_that_lead_elsewhere_are_refused_with_a_sentence(text: str) -> None:
    refusal = parse(text)
    assert isinstance(refusal, str)
    assert refusal.endswith(".")


names = st.text(alphabet="ab.*?[]/", min_size=1, max_size=12)


@given(text=names, path=names)
def test_a_file_is_never_missed_because_its_folder_was_not_entered(text: str, path: str) -> None:
    found = parse(text)
    parts = [part for part in path.split("/") if part not in {"", ".", ".."}]
    if isinstance(found, str) or not parts:
        return
    for pattern in found:
        if pattern.matches("/".join(parts).encode()):
            for level in range(1, len(parts)):
                assert pattern.may_match_below("/".join(parts[:level]).encode())
