"""Approvers that expressions give: what is taken is exactly what was meant, everything else opens no gate."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.approvers import approver_rule, resolved_approvers
from wfconsole.domain.plan import ApproverRule
from wfconsole.domain.values import ExpressionError

ANY = st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.text(max_size=3)
VALUES = ANY | st.lists(ANY, max_size=3) | st.dictionaries(st.text(max_size=2), ANY, max_size=2)


@pytest.mark.parametrize(
    ("who", "rule"),
    [
        ({}, ApproverRule()),
        ({"count": 3}, ApproverRule(count=3)),
        ({"any_of": ["ann", "bob"], "count": 2}, ApproverRule(count=2, any_of=("ann", "bob"))),
        ({"not_author": True}, ApproverRule(not_author=True)),
    ],
)
def test_what_is_recorded_is_the_rule(who: dict[str, Any], rule: ApproverRule) -> None:
    assert approver_rule(resolved_approvers(who)) == rule


def test_without_expressions_the_plan_rules() -> None:
    assert approver_rule(None) is None


@pytest.mark.parametrize(
    ("who", "words"),
    [
        ({"count": 0}, "`count` must be a whole number from 1, and its expression gives 0"),
        ({"count": True}, "`count` must be"),
        ({"count": 2.0}, "`count` must be"),
        ({"count": None}, "gives null"),
        ({"any_of": None}, "`any_of` must be a list of names, and its expression gives null"),
        ({"any_of": []}, "`any_of` must be"),
        ({"any_of": "ann"}, "`any_of` must be a list of names, and its expression gives ann"),
        ({"any_of": ["ann", " "]}, "`any_of` must be"),
        ({"any_of": ["ann", "ann"]}, "names somebody twice"),
        ({"any_of": ["ann"], "count": 2}, "2 people have to approve, and `any_of` names 1"),
        ({"not_author": None}, "`not_author` must be true or false, and its expression gives null"),
        ({"not_author": "false"}, "`not_author` must be"),
    ],
)
def test_a_value_that_says_nobody_in_particular_is_refused(who: dict[str, Any], words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        resolved_approvers(who)
    assert words in str(caught.value)


@given(who=st.fixed_dictionaries({}, optional={"count": VALUES, "any_of": VALUES, "not_author": VALUES}))
def test_whatever_expressions_give_never_lets_more_people_decide_than_it_names(who: dict[str, Any]) -> None:
    try:
        rule = approver_rule(resolved_approvers(who))
    except ExpressionError:
        return
    assert rule is not None
    assert rule.count >= 1
    assert rule.count == who.get("count", 1)
    assert list(rule.any_of) == who.get("any_of", [])
    assert ("any_of" in who) == bool(rule.any_of)
    assert rule.not_author is who.get("not_author", False)
