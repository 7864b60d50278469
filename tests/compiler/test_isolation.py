"""Where a step works: its own word, the recipe's defaults, the workspace's isolation, in this order."""

from __future__ import annotations

from tests.compiler.test_sketches import compiled

RECIPE = """
recipe: isolated
inputs: {repo: {type: path, required: true}}
workspace: {source: "${{ inputs.repo }}", isolation: per_step}
steps:
  own: {run: [make]}
  shared: {run: [make], isolation: shared}
  looks: {run: [make], isolation: read_only}
  group: {steps: {inner: {run: [make]}}}
"""


def test_per_step_is_available_and_a_step_may_say_otherwise() -> None:
    result = compiled(RECIPE)
    assert (result.findings, result.unavailable) == ((), ())
    assert result.plan is not None
    found = {step.step_id: step.isolation for step in result.plan.steps if step.kind == "run"}
    assert found == {"own": "per_step", "shared": "shared", "looks": "read_only", "group/inner": "per_step"}


def test_a_group_has_no_workspace_of_its_own() -> None:
    result = compiled(RECIPE.replace("{steps:", "{isolation: per_step, steps:"))
    assert [(item.step_id, item.feature) for item in result.unavailable] == [
        ("group", "`isolation: per_step` of a group")
    ]
