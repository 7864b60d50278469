"""Payloads of decisions and starts: their fields, their one form, and every field that differs is named."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.decision import decision_payload, mismatches, signed_bytes, start_payload


def decision(**other: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "run_id": "r1",
        "gate_id": "gate",
        "choice": "approve",
        "reason": None,
        "answer": None,
        "context_digest": "c" * 64,
        "plan_digest": "p" * 64,
        "actor": "ann@desk",
        "at": 1_700_000_000_123,
        "nonce": "n1",
        "seen_seq": 7,
        "seen_hash": "h" * 64,
    }
    return decision_payload(**(values | other))


def start(**other: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "recipe_digest": "r" * 64,
        "inputs_sha256": "i" * 64,
        "workflow_id": "w",
        "actor": "ann@desk",
        "at": 0,
        "nonce": "n",
    }
    return start_payload(**(values | other))


def test_a_decision_says_all_that_it_binds() -> None:
    assert decision(reason="fine") == {
        "version": 1,
        "kind": "decision",
        "run_id": "r1",
        "gate_id": "gate",
        "choice": "approve",
        "reason": "fine",
        "answer": None,
        "context_digest": "c" * 64,
        "plan_digest": "p" * 64,
        "actor": "ann@desk",
        "at": "2023-11-14T22:13:20.123Z",
        "nonce": "n1",
        "seen": {"seq": 7, "hash": "h" * 64},
    }


def test_a_start_says_all_that_it_binds() -> None:
    assert start() == {
        "version": 1,
        "kind": "start",
        "recipe_digest": "r" * 64,
        "inputs_sha256": "i" * 64,
        "workflow_id": "w",
        "actor": "ann@desk",
        "at": "1970-01-01T00:00:00.000Z",
        "nonce": "n",
    }


def test_the_signed_bytes_do_not_depend_on_the_order_of_fields() -> None:
    payload = decision(answer={"b": 1, "a": "ä"})
    turned = dict(reversed(payload.items()))
    assert signed_bytes(turned) == signed_bytes(payload)
    assert json.loads(signed_bytes(payload)) == payload
    assert signed_bytes({"b": 1, "a": "ä"}) == '{"a":"ä","b":1}'.encode()


@pytest.mark.parametrize("field", sorted(decision()))
def test_each_field_that_differs_or_is_missing_is_named(field: str) -> None:
    payload = decision()
    assert mismatches({**payload, field: "other"}, payload) == (field,)
    assert mismatches({name: value for name, value in payload.items() if name != field}, payload) == (field,)


def test_fields_nobody_expects_are_not_looked_at() -> None:
    payload = decision()
    assert mismatches(payload, {"run_id": "r1", "choice": "approve"}) == ()
    assert mismatches(payload, {}) == ()


def test_names_come_in_the_order_of_what_was_expected() -> None:
    assert mismatches({}, {"run_id": 1, "choice": 2, "actor": 3}) == ("run_id", "choice", "actor")


@pytest.mark.parametrize(
    ("one", "other"), [(1, True), (0, False), (1, 1.0), ("1", 1), (None, ""), ([], {}), ("é", "e\u0301")]
)
def test_likeness_is_not_sameness(one: Any, other: Any) -> None:
    assert mismatches({"answer": one}, {"answer": other}) == ("answer",)


def test_a_missing_field_is_not_the_same_as_none() -> None:
    assert mismatches({}, {"reason": None}) == ("reason",)


def test_foreign_json_that_has_no_canonical_form_equals_nothing() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert mismatches({"answer": float("nan")}, {"answer": float("nan")}) == ("answer",)
    assert mismatches({"answer": deep}, {"answer": deep}) == ("answer",)


def test_what_was_seen_is_compared_whole() -> None:
    seen = {"seq": 7, "hash": "h" * 64}
    assert mismatches(decision(), {"seen": dict(reversed(seen.items()))}) == ()
    assert mismatches(decision(seen_seq=8), {"seen": seen}) == ("seen",)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=4), JSON, max_size=5))
def test_a_payload_never_differs_from_its_own_signed_bytes(payload: dict[str, Any]) -> None:
    assert mismatches(json.loads(signed_bytes(payload)), payload) == ()


@given(JSON, JSON)
def test_what_is_not_named_has_the_same_signed_bytes(one: Any, other: Any) -> None:
    same = mismatches({"answer": one}, {"answer": other}) == ()
    assert same == (signed_bytes({"answer": one}) == signed_bytes({"answer": other}))
