# ruff: noqa: E501 (recipes are kept in the one-line shape of the sketches)
"""The shapes that the recipe language must carry, each completed to a whole recipe: all parse and validate."""

from __future__ import annotations

import textwrap
from dataclasses import replace

import pytest

from wfconsole.compiler.compile import Compiled, compile_recipe
from wfconsole.domain.plan import InputSpec, StepPlan

SHIP = """
recipe: ship
inputs: {repo: {type: path, default: .}}
workspace: {source: "${{ inputs.repo }}"}
steps:
  lint: {run: ruff check .}
  test: {run: pytest -q --junitxml=junit.xml, reports: {junit: junit.xml}}
  gate: {needs: [lint, test], approval: {title: "Ship it?", context: {diff: workspace, tests: [test]}}}
  build: {needs: [gate], run: python -m build, artifacts: [dist/*]}
"""

PLAN_PATCH_PR = """
recipe: plan-patch-pr
inputs: {requirement: {required: true}, auto_merge: {type: boolean, default: false}, repo: {type: path, required: true}}
workspace: {source: "${{ inputs.repo }}"}
steps:
  design: {agent: {profile: opencode, prompt: "${{ inputs.requirement }}"}, outputs: {title: string, design: string, slug: string}}
  plan: {needs: [design], agent: {profile: opencode, prompt: "${{ steps.design.outputs.design }}"}, outputs: {issues: list}}
  code: {needs: [plan], map: {over: "${{ steps.plan.outputs.issues }}", as: issue, max_concurrency: 4}, agent: {profile: opencode, prompt: "${{ issue.text }}", edits: patch}}
  apply: {needs: [code], apply_patch: {patch: "${{ steps.code.outputs.patch }}"}}
  checks: {needs: [apply], uses: ./checks.yaml, with: {floor: 80}}
  passed: {needs: [checks], check: [{that: steps.checks.outputs.can_merge, message: "${{ steps.checks.outputs.blocking | join(', ') }}"}]}
  gate: {needs: [passed], when: not inputs.auto_merge, approval: {title: "Open it?", context: {diff: workspace, tests: [checks], preview: [pr]}}}
  pr: {needs: {passed: succeeded, gate: [succeeded, skipped]}, pull_request: {via: forge, title: "${{ steps.design.outputs.title }}", body: text, branch: "feature/${{ steps.design.outputs.slug }}", labels: [automated]}}
  merge: {needs: [pr], when: inputs.auto_merge, merge: {via: forge, number: "${{ steps.pr.outputs.number }}"}}
"""

CHECKS = """
recipe: checks
inputs: {floor: {type: number, default: 80}}
defaults: {isolation: per_step, allow_failure: true}
files: [score.py]
steps:
  unit: {run: [coverage run -m pytest --junitxml=unit.xml, coverage json -o cov.json], halt_on_error: false, reports: {junit: unit.xml}, outputs: {percent: {from: cov.json, at: totals.percent_covered, type: number}}}
  lint: {run: ruff check .}
  coverage: {needs: {unit: done}, check: [{that: steps.unit.outputs.percent >= inputs.floor, message: "Coverage ${{ steps.unit.outputs.percent }}% < ${{ inputs.floor }}%"}]}
  score: {needs: {unit: done, lint: done, coverage: done}, run: python /recipe/score.py, stdin: "${{ steps | tojson }}", outputs: {score: number, can_merge: boolean, blocking: list, fixable: boolean}}
outputs: {can_merge: "${{ steps.score.outputs.can_merge }}"}
"""

QUALITY_GATE = """
recipe: quality-gate
inputs: {floor: {type: number, default: 80}, attempt_auto_fix: {type: boolean, default: true}, pr_number: {type: integer}}
steps:
  first: {uses: ./checks.yaml, with: {floor: "${{ inputs.floor }}"}}
  fix: {needs: [first], when: inputs.attempt_auto_fix and steps.first.outputs.fixable, run: [ruff check --fix ., ruff format .]}
  again: {needs: [fix], uses: ./checks.yaml, with: {floor: "${{ inputs.floor }}"}}
  final: {needs: {first: succeeded, again: [succeeded, skipped]}, set: {r: "${{ steps.again.outputs or steps.first.outputs }}"}}
  report: {needs: [final], when: inputs.pr_number, comment: {via: forge, number: "${{ inputs.pr_number }}", status: "${{ 'success' if steps.final.outputs.r.can_merge else 'failure' }}", body: text}}
  verdict: {needs: {final: succeeded, report: done}, check: [{that: steps.final.outputs.r.can_merge, message: "${{ steps.final.outputs.r.blocking | join(', ') }}"}]}
"""

INCIDENT = """
recipe: incident-swarm
inputs: {num_diagnostic_agents: {type: integer, default: 4}, auto_fix: {type: boolean, default: false}, alert: {type: object, required: true}}
on_failure: rollback
files: [consensus.py, postmortem.py]
steps:
  context: {run: [[collect]], stdin: "${{ inputs.alert | tojson }}", outputs: {facts: object}}
  diagnose: {needs: [context], map: {over: "${{ range(inputs.num_diagnostic_agents) | list }}", as: n, tolerance: 1}, agent: {profile: model, prompt: "${{ steps.context.outputs.facts | tojson }}"}, outputs: {root_cause: string, confidence: number}}
  consensus: {needs: [diagnose], run: python /recipe/consensus.py, stdin: "${{ steps.diagnose.children | tojson }}", outputs: {root_cause: string, confidence: number}}
  fix: {needs: [consensus], when: inputs.auto_fix and steps.consensus.outputs.confidence >= 0.7, agent: {profile: opencode, prompt: "${{ steps.consensus.outputs.root_cause }}", edits: patch}}
  apply: {needs: [fix], apply_patch: {patch: "${{ steps.fix.outputs.patch }}"}, rollback: workspace}
  test: {needs: [apply], run: pytest -q}
  hotfix: {needs: [test], pull_request: {via: forge, title: text, body: text, branch: "hotfix/${{ inputs.alert.id }}", labels: [hotfix]}}
  manual: {needs: {consensus: succeeded, fix: skipped}, issue: {via: forge, title: "${{ inputs.alert.message }}", body: text}}
finally: {postmortem: {run: python /recipe/postmortem.py, stdin: "${{ steps | tojson }}", artifacts: [postmortem.md]}}
"""

MIGRATION = """
recipe: code-migration
inputs: {auto_rollback: {type: boolean, default: true}}
on_failure: "${{ 'rollback' if inputs.auto_rollback else 'keep' }}"
steps:
  analyse: {run: [[analyse]], outputs: {findings: list}}
  plan: {needs: [analyse], agent: {profile: model, prompt: "${{ steps.analyse.outputs.findings | tojson }}"}, outputs: {changes: list}}
  migrate: {needs: [plan], map: {over: "${{ steps.plan.outputs.changes }}", as: change, max_concurrency: 1, fail_fast: true}, isolation: shared, rollback: workspace, steps: {
      edit: {agent: {profile: opencode, prompt: "${{ change.prompt }}", edits: patch}}, apply: {needs: [edit], apply_patch: {patch: "${{ steps.edit.outputs.patch }}"}}, test: {needs: [apply], run: npm test}}}
  pr: {needs: [migrate], pull_request: {via: forge, title: text, body: text, branch: migrate}}
"""

VENDORS = """
recipe: vendor-comparison
inputs: {urls: {type: list, required: true}}
files: [extract.py, compare.py]
steps:
  fetch: {map: {over: "${{ inputs.urls }}", as: url, max_concurrency: 20, tolerance: 10%}, timeout: 90s, network: ["${{ url }}:443"], run: [[python, /recipe/extract.py, "${{ url }}"]], artifacts: [vendor.json]}
  compare: {needs: [fetch], run: python /recipe/compare.py /artifacts/fetch, artifacts: [comparison.csv, summary.md, decision.json]}
"""

INTENT = """
recipe: intent
inputs: {goal: {required: true}, inputs: {type: object, default: {}}}
steps:
  compile: {agent: {profile: opencode, prompt: "${{ inputs.goal }}", edits: patch}, retry: {attempts: 3, jitter: 1, outcomes: [errored]}, outputs: {plan: object, tests: list}}
  apply: {needs: [compile], apply_patch: {patch: "${{ steps.compile.outputs.patch }}"}}
  execute: {needs: [apply], uses: "${{ steps.compile.outputs.plan }}", with: "${{ inputs.inputs }}"}
"""

EMAIL = """
recipe: email-approval
inputs: {brief: {required: true}, to: {type: list, required: true}}
steps:
  generate_draft: {agent: {profile: model, prompt: "${{ inputs.brief }} ${{ gates.approval_gate.reason or '' }}"}, outputs: {subject: string, body: string}}
  approval_gate: {needs: [generate_draft], approval: {title: "Send it?", context: {preview: [dispatch_email]}, timeout: 24h, on_timeout: cancel, on_reject: {retry_from: generate_draft}}}
  dispatch_email: {needs: [approval_gate], email: {via: mail, to: "${{ inputs.to }}", subject: "${{ steps.generate_draft.outputs.subject }}", body: "${{ steps.generate_draft.outputs.body }}"}}
finally: {notify: {when: run.code == 'APPROVAL_EXPIRED', email: {via: mail, to: [ops@example.org], subject: Not sent, body: Nobody decided.}}}
"""

NOVEL = """
recipe: novel-to-script
inputs:
  source: {type: object, required: true}
  brief: {type: object, required: true}
  prompt_preset_id: {required: true}
  split_mode: {default: chapter, choices: [chapter, scene]}
state: {preset: "${{ inputs.prompt_preset_id }}"}
files: [split.py, bind.py, presets/plain.md]
check: [{that: inputs.source.brief_id == inputs.brief.brief_id, message: "Take a snapshot of brief ${{ inputs.brief.brief_id }}"}]
steps:
  split: {run: [[python, /recipe/split.py, --mode, "${{ inputs.split_mode }}"]], stdin: "${{ inputs.source | tojson }}", outputs: {episodes: list}}
  write: {needs: [split], map: {over: "${{ steps.split.outputs.episodes }}", as: episode}, agent: {profile: model, prompt: "${{ file('presets/' ~ state.preset ~ '.md') }} ${{ episode.text }}"}, outputs: {script: string}}
  bind: {needs: [write], run: python /recipe/bind.py, stdin: "${{ steps.write.outputs.script | tojson }}", artifacts: [script.md]}
"""

SKETCHES = {
    "ship": SHIP,
    "plan-patch-pr": PLAN_PATCH_PR,
    "checks": CHECKS,
    "quality-gate": QUALITY_GATE,
    "incident-swarm": INCIDENT,
    "code-migration": MIGRATION,
    "vendor-comparison": VENDORS,
    "intent": INTENT,
    "email-approval": EMAIL,
    "novel-to-script": NOVEL,
}


def compiled(text: str) -> Compiled:
    return compile_recipe(
        textwrap.dedent(text).encode(),
        file="recipe.yaml",
        origin="path",
        read_file=lambda _: b"text",
        templates={"python"},
        resolve_recipe=lambda _: (InputSpec(name="floor", type="number"),),
    )


def by_name(steps: tuple[StepPlan, ...]) -> dict[str, StepPlan]:
    """The canonical form sorts keys, so what was written as a mapping comes back in another order."""
    return {
        step.step_id: replace(
            step,
            needs=tuple(sorted(step.needs, key=lambda need: need.step)),
            outputs=tuple(sorted(step.outputs, key=lambda output: output.name)),
        )
        for step in steps
    }


@pytest.mark.parametrize("name", SKETCHES)
def test_every_sketched_recipe_is_valid(name: str) -> None:
    result = compiled(SKETCHES[name])
    assert [str(finding) for finding in result.findings if finding.severity == "error"] == []
    assert result.plan is not None
    assert result.plan.recipe.name == name


@pytest.mark.parametrize("name", SKETCHES)
def test_a_pinned_recipe_compiles_to_the_same_digest_again(name: str) -> None:
    first = compiled(SKETCHES[name]).plan
    assert first is not None
    again = compiled(first.text).plan
    assert again is not None
    assert again.text == first.text
    assert again.recipe == first.recipe
    assert by_name(again.steps) == by_name(first.steps)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("ship", []),
        (
            "email-approval",
            [
                ("generate_draft", "`agent`"),
            ],
        ),
        ("intent", [("compile", "`agent`"), ("apply", "`apply_patch`"), ("execute", "`uses`")]),
        ("vendor-comparison", [("fetch", "`map`")]),
    ],
)
def test_what_this_version_cannot_run_is_listed_and_only_a_warning(name: str, features: list[tuple[str, str]]) -> None:
    result = compiled(SKETCHES[name])
    assert [(item.step_id, item.feature) for item in result.unavailable] == features
    said = [finding.message for finding in result.findings if finding.severity == "warning"]
    assert [f"{feature} is not available in this version" for _, feature in features] == said


def test_a_mapped_group_stays_data_in_its_step() -> None:
    plan = compiled(MIGRATION).plan
    assert plan is not None
    assert [step.step_id for step in plan.steps] == ["analyse", "plan", "migrate", "pr"]
    migrate = plan.step("migrate")
    assert migrate.kind == "map"
    assert migrate.extra["inner_kind"] == "steps"
    assert migrate.extra["map"]["over"] == {"$expr": "steps.plan.outputs.changes"}
