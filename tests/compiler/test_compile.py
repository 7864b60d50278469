"""Plans of whole recipes: golden JSON, defaults, digests, pinned files."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

from wfconsole.compiler.compile import Compiled, compile_recipe
from wfconsole.domain.plan import Json, Plan, RetryPolicy

GOLDEN = Path(__file__).parent / "golden"


def compiled(text: str, files: dict[str, bytes] | None = None) -> Compiled:
    have = files or {}
    return compile_recipe(
        text.encode(), file="r.yaml", origin="project", read_file=lambda name: have[name], templates={"python"}
    )


def plan_of(text: str, files: dict[str, bytes] | None = None) -> Plan:
    result = compiled(text, files)
    assert [str(finding) for finding in result.findings if finding.severity == "error"] == []
    assert result.plan is not None
    return result.plan


def lean(value: object) -> Json:
    """A dataclass as JSON without the fields that have their default value."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {"": type(value).__name__}
        for field in dataclasses.fields(value):
            item = getattr(value, field.name)
            default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
            if item != default:
                found[field.name] = lean(item)
        return found
    if isinstance(value, dict):
        return {key: lean(item) for key, item in value.items()}
    return [lean(item) for item in value] if isinstance(value, list | tuple) else value


def test_the_plan_of_a_recipe_is_golden() -> None:
    plan = plan_of((GOLDEN / "quality.yaml").read_text(), {"score.py": b"print(1)\n"})
    found = json.dumps(lean(plan), indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert found == (GOLDEN / "quality.json").read_text()


MINIMAL = "recipe: r\nsteps:\n  b: {run: x}\n  a: {run: y, needs: [b]}\n"


def test_only_recipe_and_steps_are_required() -> None:
    plan = plan_of(MINIMAL)
    assert (plan.recipe.name, plan.recipe.version, plan.recipe.origin) == ("r", "0.0.0", "project")
    assert [step.step_id for step in plan.steps] == ["b", "a"]
    assert plan.manual_retry == {"run": "allow", "step": "deny", "reuse": "trusted"}
    step = plan.step("b")
    assert (step.template, step.network, step.isolation, step.halt_on_error, step.timeout_ms) == (
        "python", "none", "shared", True, None,
    )  # fmt: skip
    assert step.retry == RetryPolicy()


def test_defaults_reach_only_the_kinds_that_take_them() -> None:
    plan = plan_of(
        "recipe: r\ndefaults: {timeout: 1s, allow_failure: true, env: {A: x, B: y}}\nsteps:\n"
        "  a: {run: x, env: {B: z}}\n  b: {set: {n: 1}}\n  c: {run: x, timeout: 2s, allow_failure: false}\n"
    )
    assert [(step.timeout_ms, step.allow_failure, step.env) for step in plan.steps] == [
        (1000, True, {"A": "x", "B": "z"}), (None, True, {}), (2000, False, {"A": "x", "B": "y"}),
    ]  # fmt: skip


def test_needs_inside_a_group_mean_siblings_first() -> None:
    plan = plan_of(
        "recipe: r\nsteps:\n  a: {run: x}\n  o: {run: x}\n"
        "  g: {steps: {a: {run: x}, b: {run: x, needs: {a: done, o: [failed, skipped]}}}}\n"
    )
    needs = [(need.step, need.statuses) for need in plan.step("g/b").needs]
    assert needs == [("g/a", ("done",)), ("o", ("failed", "skipped"))]


def test_st_wf_002_the_digest_covers_meaning_and_files_but_not_spelling() -> None:
    plain = plan_of(MINIMAL).recipe.digest
    assert plan_of("# words\nsteps: {a: {needs: ['b'], run: 'y'}, b: {run: x}}\nrecipe: 'r'\n").recipe.digest == plain
    assert plan_of(MINIMAL.replace("run: y", "run: z")).recipe.digest != plain
    with_file = MINIMAL + "files: [f]\n"
    first, second = (plan_of(with_file, {"f": data}) for data in (b"1", b"2"))
    assert first.text == second.text
    assert first.recipe.digest != second.recipe.digest
    assert [(pin.name, pin.bytes) for pin in first.files] == [("f", 1)]


def test_numbers_in_an_argv_are_pinned_as_written() -> None:
    first, second = (plan_of(f"recipe: r\nsteps: {{a: {{run: [[x, {number}]]}}}}\n") for number in ("1.0", "1.00"))
    assert first.recipe.digest != second.recipe.digest
    assert plan_of(second.text).steps == second.steps


def test_an_invalid_recipe_still_tells_its_name_and_inputs() -> None:
    result = compiled("recipe: r\nversion: '3'\ninputs: {a: {type: integer}}\nsteps: {a: {runn: x}}\n")
    assert result.plan is None
    assert (result.name, result.version, [spec.name for spec in result.inputs]) == ("r", "3", ["a"])


def test_a_file_that_is_too_large_is_refused() -> None:
    result = compiled(MINIMAL + "files: [f]\n", {"f": b"x" * (4 * 1024 * 1024 + 1)})
    assert [finding.path for finding in result.findings] == ["files[0]"]


def test_compiling_without_expressions_imports_no_template_engine_and_no_pydantic() -> None:
    code = (
        "import sys\nfrom wfconsole.compiler.compile import compile_recipe\n"
        "r = compile_recipe(b'recipe: r\\nsteps: {a: {run: x}}', file='r', origin='path', read_file=lambda n: b'',"
        " templates=['python'])\nassert r.plan\nprint(sorted({'jinja2', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert done.stdout.strip() == "[]"
