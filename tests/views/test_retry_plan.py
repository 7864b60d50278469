from __future__ import annotations

from typing import Any

from tests.fakes.journals import Journal, failed, plan, step
from wfconsole.views.retry_plan import PlannedStep, changed_recipe, planned, retry_offer, summary
from wfconsole.views.run_view import run_view


def offer(manual_retry: Any, **more: Any) -> Any:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.play(lambda name, _n: failed() if name == "b" else {"outcome": "succeeded"})
    return retry_offer(run_view(journal.records), manual_retry, "wfconsole run x", **more)


def test_what_the_recipe_says_nothing_about_has_the_contracts_defaults() -> None:
    found = offer(None)
    assert found.allowed
    assert found.command == "wfconsole run x"
    assert found.ways[1].refused == "the recipe does not allow a retry of a step"
    assert [step.action for step in found.steps] == ["run", "run"]


def test_a_denied_run_has_no_command() -> None:
    found = offer({"run": "deny", "reason": "it pays people"})
    assert (found.allowed, found.command) == (False, None)
    assert found.ways[0].refused == "the recipe does not allow a retry of the run: it pays people"


def test_a_step_that_may_be_retried_says_that_this_version_cannot() -> None:
    found = offer({"step": "allow"})
    assert found.ways[1].name == "from step b"
    assert found.ways[1].refused == "wfconsole retry is not available in this version"


def test_rows_of_a_dry_run() -> None:
    rows = planned(
        {"steps": [{"step_id": "a", "action": "reuse", "reason": "trusted"}, {"step_id": "b", "action": "run"}]}
    )
    assert rows == (
        PlannedStep(step_id="a", action="reuse", reason="trusted"),
        PlannedStep(step_id="b", action="run", reason=""),
    )
    assert summary(rows) == "1 step reused, 1 to run"
    assert offer(None, steps=rows).steps == rows


def test_a_recipe_is_the_same_only_by_its_digest() -> None:
    assert changed_recipe("a" * 64, "a" * 64) == ""
    assert changed_recipe("a" * 64, "b" * 64).startswith("the recipe has changed since")
