"""Templates and the splitting of command text."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, strategies as st

from wfconsole.compiler.templates import parts, shielded, template
from wfconsole.compiler.units import duration_ms, size_bytes
from wfconsole.compiler.words import Splitter
from wfconsole.domain.plan import Json
from wfconsole.domain.values import resolve


def compiled(text: str) -> Json:
    found, bad = parts(text)
    assert bad == ()
    return template(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("${{ a.b }}", {"$expr": "a.b"}),
        ("x ${{ a }} y", {"$text": ["x ", {"$expr": "a"}, " y"]}),
        ("${{ a }}${{ b }}", {"$text": [{"$expr": "a"}, {"$expr": "b"}]}),
        ("$${{ a }}", "${{ a }}"),
        ("$${{ a }} ${{ b }}", {"$text": ["${{ a }} ", {"$expr": "b"}]}),
        ("${{ {'a': {'b': 1}} }}", {"$expr": "{'a': {'b': 1}}"}),
        ("${{ '}}' }}", {"$expr": "'}}'"}),
        ("", ""),
        ("$ { }} ${ x }", "$ { }} ${ x }"),
    ],
)
def test_text_becomes_a_template_value(text: str, expected: Json) -> None:
    assert compiled(text) == expected


@pytest.mark.parametrize(("text", "offset"), [("ab ${{ x", 3), ("${{ 'x }}", 0), ("x ${{ }}", 2), ("${{ } }}", 0)])
def test_an_open_or_empty_expression_is_reported(text: str, offset: int) -> None:
    _, bad = parts(text)
    assert [unclosed.offset for unclosed in bad] == [offset]


@given(st.text("ab${} '\"\\", max_size=40))
def test_reading_text_never_crashes(text: str) -> None:
    parts(text)
    Splitter(text).split()


@given(st.text(max_size=40).filter(lambda text: "${{" not in text))
def test_text_without_expressions_is_itself(text: str) -> None:
    assert resolve(compiled(text), lambda source: source) == text


def test_a_mapping_that_looks_like_a_marker_is_shielded() -> None:
    assert shielded({"$expr": 1}) == {"$literal": {"$expr": 1}}
    assert shielded({"$expr": 1, "b": 2}) == {"$expr": 1, "b": 2}


def commands(text: str) -> list[tuple[Json, ...]]:
    done = Splitter(text).split()
    assert [remark.message for remark in done.remarks] == []
    return done.commands


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pytest -q", [("pytest", "-q")]),
        ("a 'b c' \"d e\" f\\ g", [("a", "b c", "d e", "f g")]),
        ("a '' \"\"", [("a", "", "")]),
        ("a\n\n  b c\n", [("a",), ("b", "c")]),
        ("a \\\n  b", [("a", "b")]),
        ("a 'x\ny' z", [("a", "x\ny", "z")]),
        ("a # comment\n# all\nb#c", [("a",), ("b#c",)]),
        ("grep 'a|b' \"c;d\" \\*", [("grep", "a|b", "c;d", "*")]),
        ("echo ${{ x }}", [("echo", {"$expr": "x"})]),
        ("echo a${{ x }}b", [("echo", {"$text": ["a", {"$expr": "x"}, "b"]})]),
        ("echo '${{ x | join(\" \") }}'", [("echo", {"$expr": 'x | join(" ")'})]),
        ('echo "a ${{ x }}"', [("echo", {"$text": ["a ", {"$expr": "x"}]})]),
        ("echo $${{", [("echo", "${{")]),
    ],
)
def test_run_text_is_split_as_a_shell_would(text: str, expected: list[tuple[Json, ...]]) -> None:
    assert commands(text) == expected


@given(st.text("ab '\"\\\t", max_size=20))
def test_one_line_splits_like_shlex(text: str) -> None:
    try:
        expected = [tuple(shlex.split(text))] if text.strip() else []
    except ValueError:
        return
    assert commands(text) == [argv for argv in expected if argv]


@given(st.text(max_size=30))
def test_exec_block_12_a_value_never_adds_an_argument(value: str) -> None:
    (argv,) = commands("echo a${{ x }} ${{ x }} '${{ x }}'")
    assert [resolve(word, lambda _: value) for word in argv] == ["echo", f"a{value}", value, value]


@pytest.mark.parametrize("char", "|&;<>$*")
def test_what_only_a_shell_could_do_is_refused(char: str) -> None:
    (remark,) = Splitter(f"echo a{char}b").split().remarks
    assert (remark.offset, remark.message, remark.refusal) == (6, f"'{char}' outside quotes", True)


def test_a_dollar_in_double_quotes_is_only_remarked() -> None:
    (remark,) = Splitter('echo "$HOME"').split().remarks
    assert not remark.refusal


def test_an_open_quote_is_refused_where_it_opens() -> None:
    (remark,) = Splitter("echo it's").split().remarks
    assert (remark.offset, remark.message) == (7, "a quote (') that is never closed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("250ms", 250),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("90s", 90_000),
        ("1d2h3m4s5ms", 93_784_005),
        ("0s", 0),
    ],
)
def test_durations_have_units(text: str, expected: int) -> None:
    assert duration_ms(text) == expected


@pytest.mark.parametrize("text", ["", "30", "1.5h", "30m1h", "1 h", "h", "1w", "-1s", "\uff11s", "9" * 40 + "s"])
def test_what_is_no_duration(text: str) -> None:
    assert duration_ms(text) is None


@pytest.mark.parametrize(
    ("text", "expected"), [("64MiB", 67_108_864), ("1kB", 1000), ("5GiB", 5_368_709_120), ("1.5KiB", 1536), ("7B", 7)]
)
def test_sizes_have_units(text: str, expected: int) -> None:
    assert size_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "64", "64M", "MiB", "-1MiB", "1 MiB"])
def test_what_is_no_size(text: str) -> None:
    assert size_bytes(text) is None
