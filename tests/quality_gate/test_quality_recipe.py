"""The recipe compiles, carries every script, and its expressions hold when checks crash or steps are skipped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from quality_gate.result import TITLES
from quality_gate.score import scored
from wfconsole.compiler.compile import compile_recipe
from wfconsole.compiler.expressions import evaluate
from wfconsole.domain.plan import CheckBody, Plan, SetBody, StepPlan
from wfconsole.domain.values import resolve

RECIPES = Path(__file__).resolve().parents[2] / "recipes"
RESULT = {"status": "passed", "score": 100, "summary": "", "blocking": [], "details": {"percent": 90}}


@pytest.fixture(scope="module")
def plan() -> Plan:
    compiled = compile_recipe(
        (RECIPES / "quality-gate.yaml").read_bytes(),
        file="quality-gate.yaml",
        origin="built-in",
        read_file=lambda name: (RECIPES / name).read_bytes(),
        templates=["python"],
    )
    assert compiled.findings == ()
    assert compiled.plan is not None
    return compiled.plan


def step(plan: Plan, step_id: str) -> StepPlan:
    return next(found for found in plan.steps if found.step_id == step_id)


def inputs(plan: Plan, **given: Any) -> dict[str, Any]:
    return {spec.name: spec.default if spec.has_default else None for spec in plan.inputs} | given


def value(template: Any, plan: Plan, steps: dict[str, Any], **given: Any) -> Any:
    scope = {"inputs": inputs(plan, **given), "steps": steps}
    return resolve(template, lambda source: evaluate(source, scope))


def test_all_scripts_are_named_in_files(plan: Plan) -> None:
    there = {path.relative_to(RECIPES).as_posix() for path in (RECIPES / "quality-gate").rglob("*.py")}
    there.add("quality-gate/known-bad.json")
    assert {pin.name for pin in plan.files} == there


def test_seed_003_quality_gate_inputs_and_outputs(plan: Plan) -> None:
    defaults = inputs(plan)
    assert defaults.keys() >= {"pr_number", "branch", "attempt_auto_fix", "required_coverage", "required_score"}
    assert (defaults["required_coverage"], defaults["required_score"], defaults["attempt_auto_fix"]) == (
        80.0,
        85.0,
        True,
    )
    fields = "pr_number all_checks_passed required_checks_passed can_merge checks overall_score auto_fixes_applied"
    assert plan.outputs.keys() >= {*fields.split(), "blocking_issues"}


@pytest.mark.parametrize("group", ["first", "again"])
def test_each_group_runs_the_eight_checks_at_once_and_read_only(plan: Plan, group: str) -> None:
    for name in TITLES:
        check = step(plan, f"{group}/{name}")
        assert (check.isolation, check.allow_failure, check.needs) == ("read_only", True, ())
    needs = step(plan, f"{group}/score").needs
    assert {(need.step, need.statuses) for need in needs} == {(f"{group}/{name}", ("done",)) for name in TITLES}


@pytest.mark.parametrize("lost", [None, {}, {"result": None}])
def test_the_score_gets_a_document_even_when_a_check_crashed(plan: Plan, lost: dict[str, Any] | None) -> None:
    steps: dict[str, Any] = {name: {"status": "succeeded", "outputs": {"result": RESULT}} for name in TITLES}
    steps["lint"] = {"status": "failed", "outputs": lost}
    document = json.loads(value(step(plan, "first/score").stdin, plan, steps))
    reports, required = document.pop("reports"), document.pop("required_checks")
    result = scored(reports, required=required, **document)
    assert result["blocking_issues"] == ["[Linting] The check itself failed"]


@pytest.mark.parametrize(
    ("fix", "again", "expected"),
    [
        (None, None, {"result": "first", "fixed": [], "auto_fixes_applied": False}),
        ({}, None, {"result": "first", "fixed": [], "auto_fixes_applied": False}),
        ({"changed": False, "files": []}, None, {"result": "first", "fixed": [], "auto_fixes_applied": False}),
        (
            {"changed": True, "files": ["a"]},
            {"result": "again"},
            {"result": "again", "fixed": ["a"], "auto_fixes_applied": True},
        ),
    ],
)
def test_the_last_result_is_the_final_one(plan: Plan, fix: Any, again: Any, expected: dict[str, Any]) -> None:
    steps = {"first": {"outputs": {"result": "first"}}, "fix": {"outputs": fix}, "again": {"outputs": again}}
    body, when = step(plan, "final").body, step(plan, "again").when
    assert isinstance(body, SetBody)
    assert value(body.values, plan, steps) == expected
    assert when is not None
    assert bool(evaluate(when, {"inputs": inputs(plan), "steps": steps})) is expected["auto_fixes_applied"]


@pytest.mark.parametrize(
    ("wanted", "fixable", "runs"), [(True, True, True), (False, True, False), (True, False, False), (True, None, False)]
)
def test_the_fix_runs_only_when_it_is_wanted_and_possible(
    plan: Plan, wanted: bool, fixable: bool | None, runs: bool
) -> None:
    when = step(plan, "fix").when
    assert when is not None
    scope = {"inputs": inputs(plan, attempt_auto_fix=wanted), "steps": {"first": {"outputs": {"fixable": fixable}}}}
    assert bool(evaluate(when, scope)) is runs


def test_the_verdict_says_why(plan: Plan) -> None:
    result = {"can_merge": False, "blocking_issues": ["[Unit Tests] 5 test failures", "[Linting] 1 issue"]}
    steps = {"final": {"outputs": {"result": result}}}
    body = step(plan, "verdict").body
    assert isinstance(body, CheckBody)
    assert evaluate(body.rules[0].that, {"steps": steps}) is False
    assert value(body.rules[0].message, plan, steps) == "[Unit Tests] 5 test failures; [Linting] 1 issue"


@pytest.mark.parametrize(("fixed", "group"), [(False, "first"), (True, "again")])
def test_the_verdict_points_to_the_checks_that_counted(plan: Plan, fixed: bool, group: str) -> None:
    body = step(plan, "verdict").body
    assert isinstance(body, CheckBody)
    scope = {"steps": {"final": {"outputs": {"auto_fixes_applied": fixed}}}, "run": {"id": "01ab"}}
    hint = resolve(body.rules[0].hint, lambda source: evaluate(source, scope))
    assert "`wfconsole artifacts 01ab comment.md`" in hint
    assert f"`wfconsole logs 01ab {group}`" in hint


@pytest.mark.parametrize(("names", "valid"), [(["lint"], True), ([], True), (["tests"], False), (["lint", "x"], False)])
def test_required_checks_are_checked_before_the_run_exists(plan: Plan, names: list[str], valid: bool) -> None:
    assert evaluate(plan.checks[0].that, {"inputs": inputs(plan, required_checks=names)}) is valid


def test_outputs_are_there_when_the_run_ended_early(plan: Plan) -> None:
    found = value(plan.outputs, plan, {"final": {"outputs": None}}, pr_number=7)
    assert (found["pr_number"], found["can_merge"], found["checks"]) == (7, None, None)
