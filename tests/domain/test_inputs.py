"""Inputs bound to their declarations: values read by type, all problems at once."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.inputs import bind_inputs
from wfconsole.domain.plan import InputSpec, InputType, Json


def bind(kind: InputType, text: Json, *, textual: bool = True) -> Json:
    values, problems = bind_inputs([InputSpec(name="x", type=kind)], {"x": text}, textual=textual)
    assert problems == ()
    return values["x"]


def said(spec: InputSpec, value: Json, *, textual: bool = True) -> str:
    _, problems = bind_inputs([spec], {spec.name: value}, textual=textual)
    (problem,) = problems
    assert (problem.code, problem.name) == ("INPUT_INVALID", spec.name)
    return problem.message


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("string", "3", "3"), ("integer", "3", 3), ("integer", "-012", -12), ("number", "3", 3), ("number", "2.50", 2.5),
        ("number", "1e3", 1000.0), ("boolean", "true", True), ("boolean", "False", False), ("path", "./a b/ü", "./a b/ü"),
        ("list", "a, b,c", ["a", "b", "c"]), ("list", '["a", 1]', ["a", 1]), ("list", "", []), ("list", "one", ["one"]),
        ("object", '{"a": [1]}', {"a": [1]}),
    ],
)  # fmt: skip
def test_text_is_read_by_the_type_of_its_input(kind: InputType, text: str, expected: Json) -> None:
    found = bind(kind, text)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("integer", "3.5"), ("integer", "three"), ("integer", ""), ("integer", "٣"), ("number", "nan"), ("number", "1_0"),
        ("boolean", "yes"), ("boolean", "1"), ("path", ""), ("path", "a\0b"), ("list", "[1"), ("object", "a"),
        ("object", "[1]"), ("object", '{"a": NaN}'),
    ],
)  # fmt: skip
def test_st_wf_001_text_that_is_not_of_the_type_is_refused(kind: InputType, text: str) -> None:
    assert said(InputSpec(name="x", type=kind), text).startswith("x: ")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("integer", "3"),
        ("number", True),
        ("boolean", 1),
        ("string", 3),
        ("list", "a"),
        ("object", []),
        ("integer", 3.5),
    ],
)
def test_values_of_a_document_must_have_the_type(kind: InputType, value: Json) -> None:
    assert "is wanted" in said(InputSpec(name="x", type=kind), value, textual=False)


def test_a_whole_float_is_an_integer_and_null_is_no_value() -> None:
    assert bind("integer", 3.0, textual=False) == 3
    assert bind("integer", None, textual=False) is None


def test_st_wf_001_all_problems_are_told_at_once() -> None:
    specs = [
        InputSpec(name="repo", type="path", required=True, description="What to check"),
        InputSpec(name="floor", type="number", minimum=0, maximum=100),
        InputSpec(name="mode", type="string", choices=("chapter", "scene")),
        InputSpec(name="tag", type="string", pattern="v[0-9]+"),
        InputSpec(name="kept", type="integer", has_default=True, default=7),
        InputSpec(name="open", type="string"),
    ]
    values, problems = bind_inputs(specs, {"floor": "-1", "mode": "chapters", "tag": "v1x", "repoo": "x"}, textual=True)
    assert [(problem.code, problem.name) for problem in problems] == [
        ("INPUT_INVALID", "repoo"), ("INPUT_MISSING", "repo"), ("INPUT_INVALID", "floor"), ("INPUT_INVALID", "mode"),
        ("INPUT_INVALID", "tag"),
    ]  # fmt: skip
    hints = {problem.name: problem.hint for problem in problems}
    assert hints["repoo"] == "did you mean 'repo'?"
    assert hints["mode"] == "did you mean 'chapter'?"
    assert hints["repo"] == "give it with -i repo=./folder (What to check)"
    assert (values["kept"], values["open"]) == (7, None)


def test_a_pattern_must_match_all_of_the_value() -> None:
    spec = InputSpec(name="x", type="string", pattern="a|b")
    assert said(spec, "ab") == 'x: "ab" does not match a|b'


def test_bounds_are_inclusive() -> None:
    spec = InputSpec(name="x", type="number", minimum=0, maximum=100)
    assert bind_inputs([spec], {"x": "100"}, textual=True) == ({"x": 100}, ())
    assert said(spec, "100.5") == "x: 100.5 is more than 100"


def test_true_is_not_the_choice_1() -> None:
    assert "is not one of 1" in said(InputSpec(name="x", type="list", choices=(1,)), [True], textual=False)
    assert bind_inputs([InputSpec(name="x", type="integer", choices=(1,))], {"x": "1"}, textual=True)[1] == ()


@given(st.text(max_size=60), st.sampled_from(["string", "integer", "number", "boolean", "path", "list", "object"]))
def test_any_text_is_a_json_value_or_a_problem(text: str, kind: InputType) -> None:
    values, problems = bind_inputs([InputSpec(name="x", type=kind)], {"x": text}, textual=True)
    assert len(problems) <= 1
    if not problems:
        json.dumps(values, allow_nan=False)


@given(st.one_of(st.integers(-(10**15), 10**15), st.floats(allow_nan=False, allow_infinity=False, width=32)))
def test_a_number_comes_back_from_its_own_text(number: float) -> None:
    assert bind("number", json.dumps(number)) == number
