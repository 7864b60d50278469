"""Findings on whole recipes: exact places, near names, all at once; and no text crashes the compiler."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from wfconsole.compiler.compile import Compiled, compile_recipe
from wfconsole.domain.plan import InputSpec


def missing(name: str) -> bytes:
    raise FileNotFoundError(2, "No such file or directory", name)


def compiled(text: str) -> Compiled:
    return compile_recipe(
        text.encode(), file="r.yaml", origin="path", read_file=missing, templates={"python", "node"},
        resolve_recipe={"known": (InputSpec(name="floor", type="number", required=True),)}.get,
    )  # fmt: skip


def errors(text: str) -> list[tuple[int, int, str, str]]:
    result = compiled(text)
    assert result.plan is None
    found = [finding for finding in result.findings if finding.severity == "error"]
    return [(finding.line, finding.column, finding.path, finding.message) for finding in found]


def only(text: str) -> tuple[int, int, str, str]:
    (finding,) = errors(text)
    return finding


STEPS = "recipe: r\ninputs: {floor: {type: number}}\nsteps:\n  a: {run: x}\n  b: {run: y}\n"


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("{run: x, need: [a]}", (6, 15, "steps.c.need", "unknown key of a step 'need'")),
        ("{runs: x}", (6, 7, "steps.c.runs", "unknown key of a step 'runs'")),
        ("{needs: [a]}", (6, 6, "steps.c", "a step without a kind")),
        ("{run: x, shell: y}", (6, 15, "steps.c.shell", "a second kind in one step")),
        ("{run: x, needs: [aa]}", (6, 23, "steps.c.needs.aa", "unknown step 'aa'")),
        ("{run: x, needs: a}", (6, 22, "steps.c.needs", "a list of steps is wanted here, not text")),
        ("{run: x, needs: [c]}", (6, 23, "steps.c.needs.c", "'c' needs itself")),
        ("{run: x, needs: {a: success}}", (6, 26, "steps.c.needs.a", "unknown value 'success'")),
        ("{run: x, timeout: 10}", (6, 24, "steps.c.timeout", "a duration with a unit is wanted here, not a number (10)")),
        ("{run: x, timeout: 0s}", (6, 24, "steps.c.timeout", "0s is none at all")),
        ("{run: x, halt_on_error: yes}", (6, 30, "steps.c.halt_on_error", "true or false is wanted here, not text")),
        ("{run: x | y}", (6, 14, "steps.c.run", "'|' outside quotes")),
        ("{run: [pytest, -q]}", (6, 21, "steps.c.run[1]", "a command that starts with '-' (-q)")),
        ("{run: [[x, true]]}", (6, 17, "steps.c.run[0][1]", "text is wanted here, not a boolean")),
        ("{run: [[x, null]]}", (6, 17, "steps.c.run[0][1]", "text is wanted here, not null")),
        ("{run: [[x, [y]]]}", (6, 17, "steps.c.run[0][1]", "an argument is wanted here, not a list")),
        ("{run: []}", (6, 12, "steps.c.run", "no command")),
        ("{run: 3}", (6, 12, "steps.c.run", "a command is wanted here, not a number")),
        ("{shell: 'echo ${{ inputs.floor }}'}", (6, 20, "steps.c.shell", "`shell` takes no expressions")),
        ("{run: x, template: nod}", (6, 25, "steps.c.template", "unknown template 'nod'")),
        ("{run: x, when: '${{ inputs.floor }}'}", (6, 22, "steps.c.when", "this expression is written without ${{ }}")),
        ("{run: x, when: inputs.flor > 0}", (6, 21, "steps.c.when", "unknown input 'flor' in 'inputs.flor > 0'")),
        ("{run: x, when: floor > 0}", (6, 21, "steps.c.when", "unknown name 'floor' in 'floor > 0'")),
        ("{run: x, when: steps.a.status == 'failed'}",
         (6, 21, "steps.c.when", "the step 'a' is not upstream of this one in 'steps.a.status == 'failed''")),
        ("{run: x, stdin: 'a ${{ inputs.floor | jsn }}'}",
         (6, 25, "steps.c.stdin", "unknown filter 'jsn' in 'inputs.floor | jsn'")),
        ("{run: x, stdin: '${{ inputs.floor'}", (6, 23, "steps.c.stdin", "'${{' without its '}}'")),
        ("{run: x, stdin: \"${{ file('f') }}\"}",
         (6, 23, "steps.c.stdin", "'f' is not one of the recipe's files in 'file('f')'")),
        ("{set: {A: 1}}", (6, 13, "steps.c.set.A", "'A' cannot be the name of a value")),
        ("{set: {a: 1}, env: {B: x}}", (6, 20, "steps.c.env", "`env` does nothing beside `set`")),
        ("{check: [{message: x}]}", (6, 15, "steps.c.check[0]", "a check lacks 'that'")),
        ("{run: x, network: ['a b:1']}", (6, 25, "steps.c.network[0]", "'a b:1' is no host:port")),
        ("{run: x, outputs: {p: strin}}", (6, 28, "steps.c.outputs.p", "unknown type 'strin'")),
        ("{run: x, retry: {attempts: 0}}", (6, 33, "steps.c.retry.attempts", "0 is out of bounds")),
        ("{run: x, env: {B: true}}", (6, 24, "steps.c.env.B", "text is wanted here, not a boolean")),
        ("{run: x, env: {WFCONSOLE_X: y}}",
         (6, 21, "steps.c.env.WFCONSOLE_X", "'WFCONSOLE_X' cannot be the name of an environment variable")),
        ("{approval: {title: x}, map: {over: [1]}}", (6, 29, "steps.c.map", "a gate has no `map`")),
        ("{approval: {title: x, on_timeout: approve}}",
         (6, 40, "steps.c.approval.on_timeout", "unknown value 'approve'")),
        ("{approval: {title: x, context: {tests: [z]}}}",
         (6, 46, "steps.c.approval.context.tests[0]", "unknown step 'z'")),
        ("{run: x, map: {over: [1], as: steps}}", (6, 36, "steps.c.map.as", "'steps' is a name of the language")),
        ("{run: x, map: {over: [1], tolerance: 5x}}",
         (6, 43, "steps.c.map.tolerance", "'5x' is neither a number nor a percentage")),
        ("{uses: knwn}", (6, 13, "steps.c.uses", "there is no recipe 'knwn'")),
        ("{uses: known}", (6, 3, "steps.c.with.floor", "the input floor is required")),
        ("{uses: known, with: {floor: x}}",
         (6, 27, "steps.c.with.floor", 'floor: a number is wanted, not "x"')),
        ("{set: {r: {$expr: '${{ inputs.floor }}'}}}", (6, 16, "steps.c.set.r", "'$expr' is a reserved key")),
    ],
)  # fmt: skip
def test_a_finding_of_a_step_has_its_place(step: str, expected: tuple[int, int, str, str]) -> None:
    assert only(STEPS + f"  c: {step}\n") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps: {a: {run: x}}\n", (1, 1, "", "a recipe lacks 'recipe'")),
        ("recipe: r\n", (1, 1, "", "a recipe lacks 'steps'")),
        ("- a\n", (1, 1, "", "a mapping is wanted here, not a list")),
        ("recipe: R\nsteps: {a: {run: x}}\n", (1, 9, "recipe", "'R' is not allowed here")),
        ("recipe: r\nversion: 1.0\nsteps: {a: {run: x}}\n", (2, 10, "version", "text is wanted here, not a decimal number")),
        ("recipe: r\nsteps: {}\n", (2, 8, "steps", "an empty mapping")),
        ("recipe: r\nsteps: {A b: {run: x}}\n", (2, 9, "steps.A b", "'A b' cannot be the name of a step")),
        ("recipe: r\nstep: 1\nsteps: {a: {run: x}}\n", (2, 1, "step", "unknown key of a recipe 'step'")),
        ("recipe: r\nfiles: [../x]\nsteps: {a: {run: x}}\n", (2, 9, "files[0]", "'../x' is no file beside the recipe")),
        ("recipe: r\nfiles: [x]\nsteps: {a: {run: x}}\n",
         (2, 9, "files[0]", "the file 'x' beside the recipe: No such file or directory")),
        ("recipe: r\ninputs: {a: {type: text}}\nsteps: {a: {run: x}}\n", (2, 20, "inputs.a.type", "unknown value 'text'")),
        ("recipe: r\ninputs: {a: {type: integer, default: '3'}}\nsteps: {a: {run: x}}\n",
         (2, 38, "inputs.a.default", 'the default does not fit: a: a whole number is wanted, not "3"')),
        ("recipe: r\ninputs: {a: {default: c, choices: [a, b]}}\nsteps: {a: {run: x}}\n",
         (2, 23, "inputs.a.default", 'the default does not fit: a: "c" is not one of "a", "b"')),
        ("recipe: r\ninputs: {a: {pattern: '('}}\nsteps: {a: {run: x}}\n",
         (2, 23, "inputs.a.pattern", "not a regular expression")),
        ("recipe: r\ninputs: {a: {type: integer, choices: [1, x]}}\nsteps: {a: {run: x}}\n",
         (2, 42, "inputs.a.choices[1]", 'a: a whole number is wanted, not "x"')),
        ("recipe: r\nlimits: {output_bytes: 64}\nsteps: {a: {run: x}}\n",
         (2, 24, "limits.output_bytes", "a size with a unit is wanted here, not a number (64)")),
        ("recipe: r\nlimits: {max_steps: 1}\nsteps: {a: {run: x}, b: {run: x}}\n",
         (3, 1, "steps", "2 steps; limits.max_steps is 1")),
        ("recipe: r\non_reject: {retry_from: b}\nsteps: {a: {run: x}}\n", (2, 25, "on_reject.retry_from", "unknown step 'b'")),
        ("recipe: r\ncheck: [{that: steps.a.status}]\nsteps: {a: {run: x}}\n",
         (2, 16, "check[0].that", "unknown name 'steps' in 'steps.a.status'")),
        ("recipe: r\noutputs: {p: '${{ steps.a.outputs.p }}'}\nsteps: {a: {run: x}}\n",
         (2, 15, "outputs.p", "the step 'a' has no output 'p' in 'steps.a.outputs.p'")),
        ("recipe: r\nsteps: {a: {run: x}}\nfinally: {a: {run: x}}\n", (3, 11, "finally.a", "the step 'a' a second time")),
        ("recipe: r\nsteps:\n  a: {run: x, needs: [z]}\nfinally:\n  z: {run: x}\n",
         (3, 23, "steps.a.needs.z", "'z' is a finally step")),
    ],
)  # fmt: skip
def test_a_finding_of_the_recipe_has_its_place(text: str, expected: tuple[int, int, str, str]) -> None:
    assert only(text) == expected


def test_a_near_name_is_suggested() -> None:
    result = compiled("recipe: r\nsteps:\n  unit: {run: x, retyr: {attempts: 2}}\n  b: {run: x, needs: [unti]}\n")
    found = [(finding.suggestion, finding.hint) for finding in result.findings]
    assert found == [("retry", "did you mean 'retry'?"), ("unit", "did you mean 'unit'?")]


def test_a_dashed_step_read_as_a_subtraction_is_explained() -> None:
    text = "recipe: r\nsteps:\n  a-b: {run: x, outputs: {n: number}}\n"
    text += "  c:\n    when: steps.a-b.outputs.n > 1\n    needs: [a-b]\n    run: x\n"
    (finding,) = compiled(text).findings
    assert (finding.line, finding.column, finding.hint) == (5, 11, "write steps['a-b']")
    assert compiled(text.replace("steps.a-b", "steps['a-b']")).plan is not None


def test_a_cycle_is_named_with_its_steps() -> None:
    text = "recipe: r\nsteps:\n  a: {run: x, needs: [c]}\n  b: {run: x, needs: [a]}\n  c: {run: x, needs: [b]}\n"
    assert only(text) == (3, 15, "steps.a.needs", "these steps need each other: a → c → b → a")


def test_a_cycle_through_a_group_is_found() -> None:
    text = "recipe: r\nsteps:\n  g: {steps: {m: {run: x, needs: [o]}}}\n  o: {run: x, needs: [g]}\n"
    assert only(text)[3] == "these steps need each other: g → g/m → o → g"


def test_needs_across_groups_name_the_group() -> None:
    text = "recipe: r\nsteps:\n  g: {steps: {m: {run: x}}}\n  o: {run: x, needs: [m]}\n  p: {run: x, needs: [g/m]}\n"
    assert [message for *_, message in errors(text)] == ["'m' is inside the group 'g'", "'g/m' is inside the group 'g'"]


def test_a_member_cannot_need_the_group_around_it() -> None:
    text = "recipe: r\nsteps:\n  g: {steps: {m: {run: x, needs: [g]}}}\n"
    assert only(text)[3] == "'g' is the group around this step"


def test_everything_wrong_is_told_at_once_in_order() -> None:
    text = (
        "recipe: Bad\nversion: 1.0\nversion: x\nwith: &a 1\nsteps:\n  a:\n    run: x > y\n    timeout: 5\n"
        "    needs: [zz]\n  b: {check: [{that: inputs.q}]}\n  c: *a\n"
    )
    assert [line for line, *_ in errors(text)] == [1, 2, 3, 4, 4, 7, 8, 9, 10, 11]


def test_exec_block_10_rm_absolute_is_a_warning_of_validate_and_the_recipe_is_valid() -> None:
    result = compiled("recipe: r\nsteps:\n  a:\n    run: rm -rf /etc\n")
    assert result.plan is not None
    (finding,) = result.findings
    assert (finding.severity, finding.line, finding.column, finding.path) == ("warning", 4, 10, "steps.a.run")
    assert finding.message.startswith("this command will be blocked")


def test_a_workdir_outside_the_workspace_is_a_warning() -> None:
    result = compiled("recipe: r\nsteps:\n  a: {run: ls, workdir: ../x}\n")
    assert result.plan is not None
    assert [(finding.severity, finding.path) for finding in result.findings] == [("warning", "steps.a.workdir")]


def test_a_script_that_the_policy_blocks_is_a_warning_until_it_is_allowed() -> None:
    text = "recipe: r\nsteps:\n  a: {shell: ls}\n"
    (finding,) = compiled(text).findings
    assert (finding.severity, finding.line, finding.column, finding.path) == ("warning", 3, 7, "steps.a.shell")
    assert compiled(text + "commands: {shell: allow}\n").findings == ()


WORDS = st.sampled_from([
    "recipe", "steps", "run", "shell", "set", "check", "needs", "when", "that", "map", "over", "a", "b", "inputs", "type",
    "default", "${{ inputs.a }}", "${{ steps.b.outputs.x", "pytest -q", "10m", "uses", "finally", "outputs", "env",
    "approval", "title", "1.0", "~", "true", "[", "]", "{", "}", "[a]", "{a: b}", "'", '"', "&x", "*x", "defaults", "retry",
])  # fmt: skip
LINES = st.tuples(st.integers(0, 4), WORDS, st.sampled_from([":", ": ", "- ", ""]), WORDS | st.just("")).map(
    lambda line: "  " * line[0] + line[1] + line[2] + line[3]
)


@given(st.lists(LINES, max_size=12))
@settings(max_examples=400, deadline=None)
def test_no_recipe_crashes_the_compiler(lines: list[str]) -> None:
    result = compiled("\n".join(lines))
    assert result.plan is not None or any(finding.severity == "error" for finding in result.findings)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["x", "${{ inputs.a }}", "a", "succeeded", "1h"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(
        st.sampled_from(["a", "b", "run", "set", "needs", "when", "map", "over", "as", "steps", "outputs", "type", "with",
                         "uses", "check", "that", "from", "default", "choices", "approval", "context", "retry", "env"]),
        inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@given(JSON, JSON, JSON)
@settings(max_examples=300, deadline=None)
def test_no_value_in_any_place_crashes_the_compiler(steps: object, inputs: object, other: object) -> None:
    import json

    text = json.dumps({"recipe": "r", "steps": {"a": steps, "b": other}, "inputs": inputs, "state": other, "check": other,
                       "defaults": other, "on_reject": other, "finally": {"z": steps}})  # fmt: skip
    result = compiled(text)
    assert result.plan is not None or any(finding.severity == "error" for finding in result.findings)
