"""Every kind of the language parses and validates; those whose time has not come are named, each at its place."""

from __future__ import annotations

import pytest

from wfconsole.compiler.compile import Compiled, compile_recipe
from wfconsole.compiler.kinds import KINDS
from wfconsole.domain.plan import AVAILABLE_KINDS, InputSpec

EACH = {
    "run": "pytest -q",
    "shell": "ls",
    "steps": "{a: {run: x}}",
    "uses": "./other.yaml",
    "set": "{n: 1}",
    "check": "[{that: 1 > 0, message: why, hint: what to do}]",
    "approval": "{title: Ship it?}",
    "question": "{prompt: 'Which?', choices: [a, b]}",
    "agent": "{profile: model, prompt: Do it, edits: patch}",
    "apply_patch": "{patch: text}",
    "pull_request": "{via: forge, title: t, body: b, branch: c, base: main, labels: [d]}",
    "merge": "{via: forge, number: 1}",
    "comment": "{via: forge, number: 1, body: b, status: success}",
    "issue": "{via: forge, title: t, body: b, labels: [d]}",
    "email": "{via: mail, to: [ops], subject: s, body: b, attach: [out/*.md]}",
}
FIRST = {"run", "shell", "set", "check", "steps"}
"""What the first version has to carry out."""
NO_MAP = {"approval", "question"}


def compiled(step: str) -> Compiled:
    text = f"recipe: r\ncommands: {{shell: allow}}\nsteps:\n  it:\n    {step}\n"
    return compile_recipe(
        text.encode(), file="r.yaml", origin="path", read_file=lambda _: b"", templates={"python"},
        resolve_recipe=lambda _: (InputSpec(name="floor", type="number"),),
    )  # fmt: skip


def test_these_are_all_kinds() -> None:
    assert set(EACH) == set(KINDS)
    assert set(EACH) >= AVAILABLE_KINDS >= FIRST


@pytest.mark.parametrize("kind", EACH)
def test_a_kind_is_valid_and_either_carried_out_or_not_available_in_this_version(kind: str) -> None:
    result = compiled(f"{kind}: {EACH[kind]}")
    assert [str(finding) for finding in result.findings if finding.severity == "error"] == []
    assert result.plan is not None
    assert result.plan.step("it").kind == kind
    missing = [] if kind in AVAILABLE_KINDS else [("it", f"`{kind}`", 5, 5)]
    assert [(one.step_id, one.feature, one.line, one.column) for one in result.unavailable] == missing
    said = [(one.line, one.column, one.message) for one in result.findings if one.severity == "warning"]
    assert said == [(line, column, f"{what} is not available in this version") for _, what, line, column in missing]


@pytest.mark.parametrize("kind", sorted(set(EACH) - NO_MAP))
def test_a_map_goes_with_any_kind_but_gates(kind: str) -> None:
    result = compiled(f"map: {{over: [1, 2], as: each}}\n    {kind}: {EACH[kind]}")
    assert [str(finding) for finding in result.findings if finding.severity == "error"] == []
    assert ("it", "`map`", 5, 5) in [(one.step_id, one.feature, one.line, one.column) for one in result.unavailable]


@pytest.mark.parametrize("kind", EACH)
def test_a_misspelled_kind_is_suggested_at_its_place(kind: str) -> None:
    wrong = kind[:-1] + "z" if len(kind) > 3 else f"{kind}{kind[-1]}"
    (finding,) = compiled(f"{wrong}: {EACH[kind]}").findings
    assert (finding.line, finding.column, finding.path, finding.suggestion) == (5, 5, f"steps.it.{wrong}", kind)
