"""Drift as the domain sees it: what differs, what follows, and that a step falls back once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.policy.drift import Difference, Drift, Phase, compare, document, same, sentence, verdict

names = st.text("abc", min_size=1, max_size=2)
scalars = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 0.5]) | st.text("xy", max_size=2)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=2), max_leaves=6
)
prints = st.dictionaries(names, values, max_size=3)
PHASES: tuple[Phase, ...] = ("lock", "probe", "create", "go", "exit")


def drift(phase: Phase = "create", **more: Any) -> Drift:
    difference = Difference(field="image.id", expected="sha256:a", observed="sha256:b")
    return Drift(template="one", phase=phase, differences=more.pop("differences", (difference,)), **more)


@given(prints)
def test_a_fingerprint_is_what_it_is(one: dict[str, Any]) -> None:
    assert compare(one, one) == ()


@given(prints, prints)
def test_differences_are_the_same_from_both_sides(one: dict[str, Any], other: dict[str, Any]) -> None:
    there, back = compare(one, other), compare(other, one)
    assert [(each.field, each.expected, each.observed) for each in there] == [
        (each.field, each.observed, each.expected) for each in back
    ]


@given(prints, prints)
def test_no_difference_means_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (compare(one, other) == ()) == same(one, other)


@given(prints, names, values)
def test_a_field_that_is_added_or_removed_is_found(one: dict[str, Any], name: str, value: Any) -> None:
    without = {key: inner for key, inner in one.items() if key != name}
    found = compare(without, {**without, name: value})
    assert [each.field for each in found] == [name]
    assert (found[0].expected, found[0].observed) == (None, value)


def test_nested_fields_have_their_whole_name() -> None:
    found = compare({"host": {"Memory": 1, "Caps": ["ALL"]}}, {"host": {"Memory": 2, "Caps": []}})
    assert [each.field for each in found] == ["host.Caps", "host.Memory"]


@pytest.mark.parametrize(
    ("left", "right", "equal"), [(True, 1, False), (0, False, False), (1, 1.0, True), ([1], [1], True)]
)
def test_equal_as_json(left: Any, right: Any, equal: bool) -> None:
    assert same(left, right) is equal


@given(
    phase=st.sampled_from(PHASES),
    on_mismatch=st.sampled_from(["fallback", "fail"]),
    fallback=st.none() | st.just("two"),
    fell_back=st.booleans(),
)
def test_w7_what_follows(phase: Phase, on_mismatch: Any, fallback: str | None, fell_back: bool) -> None:
    found = verdict(drift(phase, on_mismatch=on_mismatch, fallback_template=fallback), fell_back=fell_back)
    if phase == "exit":
        assert found == "taint"
    elif found == "fallback":
        assert (on_mismatch, fallback, fell_back) == ("fallback", "two", False)
    else:
        assert found == "fail"
        assert on_mismatch == "fail" or fallback is None or fell_back


def test_the_artifact_has_every_field_of_the_contract() -> None:
    told = document(
        drift(fallback_template="two", lock="l", observed="o"), run_id="r", step_id="s", attempt=2, decision="fallback"
    )
    assert told["differences"] == [{"field": "image.id", "expected": "sha256:a", "observed": "sha256:b"}]
    assert (told["kind"], told["command_started"], told["decision"]) == ("env_drift", False, "fallback")
    assert (told["fallback_template"], told["attempt"], told["lock"], told["observed"]) == ("two", 2, "l", "o")


def test_the_sentence_names_a_few_fields() -> None:
    many = tuple(Difference(field=f"f{n}") for n in range(6))
    assert sentence(drift(differences=many)).endswith("is not what its lock says: f0, f1, f2, f3 and 2 more")
    assert "was changed while it ran" in sentence(drift("exit"))
