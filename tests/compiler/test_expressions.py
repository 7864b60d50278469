"""Expressions: what they give, what they refuse, and that nothing of Python shows through."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings, strategies as st

from wfconsole.compiler.expressions import evaluate
from wfconsole.domain.plan import Json
from wfconsole.domain.values import ExpressionError

SCOPE: dict[str, Json] = {
    "inputs": {"floor": 80, "name": "Ada", "flag": True, "nothing": None, "list": [3, 1, 2], "items": "a key"},
    "steps": {
        "a-b": {"status": "succeeded", "outputs": {"percent": 91.5, "blocking": ["x", "y"]}, "children": []},
        "unit": {"status": "failed", "outputs": None, "children": [{"index": 0, "outputs": {"n": 1}}]},
    },
    "files": {"presets/plain.md": "Write plainly."},
    "index": 2,
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("inputs.floor", 80),
        ("inputs.floor + 1.5", 81.5),
        ("steps['a-b'].outputs.percent >= inputs.floor", True),
        ("steps['a-b'].outputs.blocking | join(', ')", "x, y"),
        ("steps.unit.outputs.percent", None),
        ("steps.unit.outputs.percent.deeper", None),
        ("steps.unit.children[0].outputs.n", 1),
        ("inputs.items", "a key"),
        ("inputs.nothing or 'x'", "x"),
        ("inputs.flag and inputs.name", "Ada"),
        ("not inputs.flag", False),
        ("'yes' if inputs.flag else 'no'", "yes"),
        ("'yes' if inputs.nothing", None),
        ("1 < 2 < 3", True),
        ("3 in inputs.list and 'd' in inputs.name and 'name' in inputs", True),
        ("7 not in inputs.list", True),
        ("range(3) | list", [0, 1, 2]),
        ("inputs.list | sort | last", 3),
        ("inputs.list | sort(reverse=true)", [3, 2, 1]),
        ("inputs.list[0:2]", [3, 1]),
        ("[{'n': 2}, {'n': 1}] | sort(attribute='n') | map(attribute='n') | list", [1, 2]),
        ("[1, 2, 3, 4] | select('odd') | list", [1, 3]),
        ("[{'ok': true}, {'ok': false}] | selectattr('ok') | list | length", 1),
        ("[{'s': 'a'}, {'s': 'b'}] | rejectattr('s', 'eq', 'a') | map(attribute='s') | first", "b"),
        ("inputs.missing | default('d')", "d"),
        ("inputs.missing.deeper | default('d')", "d"),
        ("inputs.missing is defined", False),
        ("inputs.nothing is none", True),
        ("inputs | tojson | length > 10", True),
        ("{'b': 1, 'a': [true, none]} | tojson", '{"a": [true, null], "b": 1}'),
        ("'<&>' | tojson", '"<&>"'),
        ("inputs.floor ~ '%' ~ inputs.flag ~ inputs.nothing", "80%true"),
        ("42.6 | round", 43.0),
        ("42.65 | round(1, 'floor')", 42.6),
        ("'7' | int + 1", 8),
        ("'x' | int", 0),
        ("'1.5' | float", 1.5),
        ("5 | string", "5"),
        ("'a,b' | replace(',', ';') | upper", "A;B"),
        ("' x ' | trim", "x"),
        ("['b', 'a', 'B'] | unique | list", ["b", "a"]),
        ("[1, 2] | sum / 2", 1.5),
        ("7 // 2 ** 1 % 2", 1),
        ("-inputs.floor", -80),
        ("[3, 1] | min + ([3, 1] | max)", 4),
        ("file('presets/' ~ 'plain' ~ '.md')", "Write plainly."),
        ("{'a': 1} | items | list", [["a", 1]]),
        ("'ab' * 2", "abab"),
        ("[1] + [2]", [1, 2]),
        ("index", 2),
    ],
)
def test_value_of_an_expression(source: str, expected: Json) -> None:
    found = evaluate(source, SCOPE)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("inputs.missing", "there is no key 'missing'"),
        ("inputs.list[7]", "there is no item 7"),
        ("inputs.name.upper", "text has no key 'upper'"),
        ("inputs.name.upper()", "there are no methods"),
        ("inputs.keys()", "there are no methods"),
        ("inputs.__class__", "there is no key '__class__'"),
        ("inputs['__class__']", "there is no key '__class__'"),
        ("inputs.list.append", "a list has no key 'append'"),
        ("'' .__class__.__mro__", "has no key '__class__'"),
        ("nobody", "unknown name 'nobody'"),
        ("files", "unknown name 'files'"),
        ("lipsum()", "'lipsum' is no function"),
        ("cycler", "unknown name 'cycler'"),
        ("1 / 0", "a division by zero"),
        ("1 % 0", "a division by zero"),
        ("0 ** -1", "a division by zero"),
        ("inputs.name > 3", "text and a number have no order"),
        ("inputs.name + 3", "cannot add text and a number"),
        ("'%s' % inputs.name", "'%' takes numbers, not text"),
        ("inputs.list | random", "there is no filter 'random'"),
        ("'a' | format", "there is no filter 'format'"),
        ("inputs.list | map('random')", "there is no filter 'random'"),
        ("inputs.list | first | upper", "upper takes text, not a number"),
        ("[] | first", "first of an empty list"),
        ("[1, 'a'] | sort", "sort cannot compare"),
        ("'%99999999999d' is odd", "odd takes a number, not text"),
        ("1e308 | round(15, 'ceil')", "the filter round cannot take these values"),
        ("5 is divisibleby 0", "the test divisibleby cannot take these values"),
        ("1 is callable", "there is no test 'callable'"),
        ("file('other')", "not one of the recipe's files"),
        ("inputs.floor +", "unexpected"),
        ("a b", "'b' is not expected there"),
        ("{% if x %}", "unexpected"),
        ("inputs | tojson(*inputs.list)", "are not part of the language"),
        ("3 in 'abc'", "'in' cannot look for a number in text"),
        ("range(0, 9, 0)", "range with a step of 0"),
        ("{1: 2}", "the keys of an object are text"),
    ],
)
def test_what_an_expression_refuses(source: str, said: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source, SCOPE)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "source",
    [
        "'x' * 100000000",
        "[0] * 100000000",
        "[] * 99999999999999999999999999",
        "range(99999) | map(attribute='x', default=range(99999)) | list | tojson",
        "range(99999) | select('in', range(99999)) | list",
        "range(100000000)",
        "9 ** 9 ** 9",
        "9 ** 9 ** 9 ** 9",
        "1e308 * 10",
        "(" * 500 + "1" + ")" * 500,
        "[" * 40 + "]" * 40,
        "not " * 1000 + "1",
        "-" * 2000 + "1",
        " + ".join(["1"] * 1000),
        "1 if " * 300 + "1",
        "x" * 5000,
        "[range(90000), range(90000), range(90000)] | map('length') | list ~ range(90000) ~ [range(99999)] * 50000",
        "(range(99999) | join(range(99999) | join)) | replace('1', range(99999) | join)",
        "9" * 5000,
        "'a' | replace('', 'b' * 1000000) | replace('b', 'c' * 1000000)",
    ],
)
def test_an_expression_is_bounded(source: str) -> None:
    with pytest.raises(ExpressionError):
        evaluate(source, SCOPE)


def test_the_result_is_a_value_of_its_own() -> None:
    found = evaluate("inputs", SCOPE)
    found["list"].append(9)
    assert SCOPE["inputs"]["list"] == [3, 1, 2]


@given(st.text("inputs.flo[]'|() +-*/<>=~{}:,0123andormjl", max_size=40))
@settings(max_examples=400)
def test_no_source_does_anything_but_give_a_value_or_an_error(source: str) -> None:
    try:
        found = evaluate(source, SCOPE)
    except ExpressionError:
        return
    assert found is None or isinstance(found, bool | int | float | str | list | dict)


@given(st.integers(-1000, 1000), st.integers(-1000, 1000), st.sampled_from(["+", "-", "*", "//", "%", "/"]))
def test_arithmetic_is_that_of_python(left: int, right: int, sign: str) -> None:
    scope = {"a": left, "b": right}
    if right == 0 and sign in {"//", "%", "/"}:
        return
    expected = {
        "+": left + right, "-": left - right, "*": left * right,
        "//": left // (right or 1), "%": left % (right or 1), "/": left / (right or 1),
    }[sign]  # fmt: skip
    assert math.isclose(evaluate(f"a {sign} b", scope), expected)
