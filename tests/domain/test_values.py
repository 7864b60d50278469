"""Template values and what expressions can reach."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from tests.domain.building import World, evaluate, expr, group, plan, step
from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.plan import InputSpec, Plan, RecipeRef, SetBody
from wfconsole.domain.scope import build, visible
from wfconsole.domain.values import ExpressionError, as_text, marker, resolve, sources

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def never(source: str) -> Any:
    raise AssertionError(f"{source} was evaluated")


@given(plain.filter(lambda value: "$expr" not in repr(value) and "$text" not in repr(value)))
def test_plain_values_stay_as_they_are(value: Any) -> None:
    assert resolve(value, never) == value
    assert list(sources(value)) == []


def test_a_lone_expression_keeps_its_type_and_mixed_text_is_joined() -> None:
    value = {"n": expr("N"), "deep": [{"$text": ["a=", expr("N"), "!"]}]}
    assert resolve(value, {"N": 7}.__getitem__) == {"n": 7, "deep": ["a=7!"]}
    assert list(sources(value)) == ["N", "N"]


def test_what_an_expression_gives_is_never_evaluated_again() -> None:
    given_by_a_step = {"$expr": "boom"}
    assert resolve(expr("x"), lambda _: given_by_a_step) == given_by_a_step


def test_a_literal_is_taken_as_it_is() -> None:
    inner = {"$expr": "boom"}
    assert resolve({"$literal": inner}, never) == inner
    assert list(sources({"$literal": inner})) == []


@pytest.mark.parametrize("value", [{}, {"a": 1}, {"$expr": "x", "b": 1}, ["$expr"], "$expr", None])
def test_only_a_mapping_of_one_marker_is_a_marker(value: Any) -> None:
    assert marker(value) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("x", "x"),
        (True, "true"),
        (1.5, "1.5"),
        (7, "7"),
        ([1, "é"], '[1, "é"]'),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_a_value_reads_in_text_as_its_author_would_print_it(value: Any, text: str) -> None:
    assert as_text(value) == text


def test_an_expression_that_fails_is_an_expression_error() -> None:
    with pytest.raises(ExpressionError, match="nonsense"):
        resolve(expr("nonsense"), lambda source: evaluate(source, {}))


def test_a_step_sees_what_is_upstream_of_it_and_of_its_groups_and_nothing_else() -> None:
    parts = [
        step("a"),
        step("b", needs="a"),
        step("other"),
        group("g", "x", "y", needs="b"),
        step("g/x"),
        step("g/y", needs="g/x"),
    ]
    state = World(plan(*parts, step("f", phase="finally"), step("e", needs="f", phase="finally"))).state
    assert visible(state, "a") == {}
    assert visible(state, "b") == {"a": "a"}
    assert visible(state, "g/y") == {"x": "g/x", "a": "a", "b": "b"}
    assert visible(state, "g/x") == {"a": "a", "b": "b"}
    assert visible(state, "f").keys() == {"a", "b", "other", "g"}
    assert visible(state, "e").keys() == {"a", "b", "other", "g", "f"}
    assert visible(state, None).keys() == {"a", "b", "other", "g", "f", "e"}


def test_a_path_reads_as_where_the_sandbox_finds_it() -> None:
    inputs = (
        InputSpec(name="repo", type="path"),
        InputSpec(name="n", type="integer"),
        InputSpec(name="no", type="path"),
    )
    world = World(plan(step("a"), inputs=inputs, state={"tone": "plain"}), inputs={"repo": "/home/me/x", "n": 3})
    scope = build(world.state, "a")
    assert scope["inputs"] == {"repo": "/inputs/repo", "n": 3, "no": None}
    assert scope["state"] == {"tone": "plain"}
    assert scope["run"] == {"id": "r1"}


def test_st_wf_002_everything_that_a_run_pins_is_in_its_first_event() -> None:
    recipe = RecipeRef(name="demo", version="2.1.0", digest="d" * 64, origin="user")
    made_of = Plan(recipe=recipe, text="recipe: demo", steps=(step("a", SetBody(values={})),))
    pin = WorkspacePin(source="/src", ref="HEAD", commit="c", tree="t")
    world = World(made_of, take=False, pin=pin, inputs={"n": 1}, project="p", trigger="intent", intent_hash="h")
    (record,) = world.records
    event: Any = record.event
    assert (event.plan, event.inputs, event.workspace, event.project) == (made_of, {"n": 1}, pin, "p")
    assert (event.trigger, event.intent_hash, event.run_id, event.workflow_id) == ("intent", "h", "r1", "w1")
