"""Gates in recipes: what they lower to, what is refused with its place, and what this version cannot carry out yet."""

from __future__ import annotations

import pytest

from tests.compiler.test_compile import compiled, plan_of
from tests.compiler.test_findings import only
from wfconsole.domain.plan import ApprovalBody, ApproverRule, ContextSpec, EmailBody, InputSpec, OtherBody, QuestionBody

DAY_MS = 24 * 3600 * 1000
HEAD = "recipe: r\ninputs: {n: {type: integer}}\n"


def body_of(text: str, step_id: str = "gate") -> object:
    return plan_of(text).step(step_id).body


def gate(value: str, before: str = "") -> str:
    return f"{HEAD}{before}steps:\n  a: {{run: x}}\n  b: {{run: y}}\n  gate: {{needs: [a], {value}}}\n"


def test_an_approval_has_every_default_filled_in() -> None:
    assert body_of(gate("approval: {title: Ship it?}")) == ApprovalBody(
        title="Ship it?", context=ContextSpec(diff=True, risk=True), approvers=ApproverRule(count=1), timeout_ms=DAY_MS,
        on_timeout="cancel", on_reject="cancel", require_reason="on_reject",
    )  # fmt: skip


def test_an_approval_keeps_every_key() -> None:
    found = body_of(
        f"{HEAD}on_reject: cancel\nsteps:\n"
        "  g: {steps: {unit: {run: x}, gate: {needs: [unit], approval: {title: 'Ship ${{ inputs.n }}?', timeout: 2h, "
        "on_timeout: route, on_reject: route, require_reason: always, "
        "context: {diff: workspace, tests: [unit], risk: auto, files: [a.txt], preview: [pr]}, "
        "approvers: {count: 2, any_of: [ann, bob], not_author: true}}}, "
        "pr: {needs: [gate], merge: {via: forge, number: 1}}}}\n",
        "g/gate",
    )
    assert found == ApprovalBody(
        title={"$text": ["Ship ", {"$expr": "inputs.n"}, "?"]},
        context=ContextSpec(tests=("g/unit",), files=("a.txt",), preview=("g/pr",)),
        approvers=ApproverRule(count=2, any_of=("ann", "bob"), not_author=True), timeout_ms=2 * 3600 * 1000,
        on_timeout="route", on_reject="route", require_reason="always",
    )  # fmt: skip


@pytest.mark.parametrize(("own", "expected"), [("", "route"), (", on_reject: cancel", "cancel")])
def test_the_recipes_on_reject_is_the_default_of_its_gates(own: str, expected: str) -> None:
    found = body_of(gate(f"approval: {{title: x{own}}}", "on_reject: route\n"))
    assert isinstance(found, ApprovalBody)
    assert found.on_reject == expected


@pytest.mark.parametrize("level", ["low", "medium", "high"])
def test_a_level_of_risk_is_a_rule_of_the_recipes_own(level: str) -> None:
    found = body_of(gate(f"approval: {{title: x, context: {{risk: {level}}}}}"))
    assert isinstance(found, ApprovalBody)
    assert found.context.risk
    assert [rule["level"] for rule in found.context.rules] == [level]


def test_rules_of_risk_are_the_recipes_own() -> None:
    found = body_of(
        gate("approval: {title: x, context: {risk: [{when: 'src/**', level: high, why: core}, {level: low}]}}")
    )
    assert isinstance(found, ApprovalBody)
    assert found.context.rules == ({"when": "src/**", "level": "high", "why": "core"}, {"level": "low"})


@pytest.mark.parametrize(
    ("approvers", "who"),
    [
        ("{count: '${{ inputs.n }}'}", {"count": {"$expr": "inputs.n"}}),
        ("{count: '${{ inputs.n }}', any_of: []}", {"count": {"$expr": "inputs.n"}}),
        ("{any_of: ['${{ inputs.n }}', bob], count: 2}", {"any_of": [{"$expr": "inputs.n"}, "bob"], "count": 2}),
        ("{any_of: '${{ inputs.n }}', not_author: true}", {"any_of": {"$expr": "inputs.n"}, "not_author": True}),
        ("{count: 2, not_author: '${{ inputs.n }}'}", {"count": 2, "not_author": {"$expr": "inputs.n"}}),
    ],
)
def test_approvers_with_expressions_are_kept_as_written_until_the_gate_is_begun(approvers: str, who: object) -> None:
    found = body_of(gate(f"approval: {{title: x, approvers: {approvers}}}"))
    assert isinstance(found, ApprovalBody)
    assert (found.who, found.approvers) == (who, ApproverRule())
    assert found.wants_principals


def test_an_empty_list_of_names_in_the_recipe_means_anybody() -> None:
    found = body_of(gate("approval: {title: x, approvers: {any_of: []}}"))
    assert isinstance(found, ApprovalBody)
    assert (found.who, found.wants_principals) == (None, False)


@pytest.mark.parametrize("value", ["true", "false"])
@pytest.mark.parametrize(
    ("kind", "column"), [("approval: {title: x}", 44), ("question: {prompt: x, choices: [a]}", 59)]
)
def test_a_gate_may_not_be_allowed_to_fail(kind: str, column: int, value: str) -> None:
    line, at, path, message = only(gate(f"{kind}, allow_failure: {value}"))
    assert (line, at, path) == (6, column, "steps.gate.allow_failure")
    assert message == f"`allow_failure` does nothing beside `{kind.partition(':')[0]}`"


def test_a_default_of_allow_failure_does_not_reach_a_gate() -> None:
    plan = plan_of(gate("approval: {title: x}", "defaults: {allow_failure: true}\n"))
    assert [(step.step_id, step.allow_failure) for step in plan.steps] == [("a", True), ("b", True), ("gate", False)]


def test_a_question_with_choices() -> None:
    found = body_of(gate("question: {prompt: Which?, choices: [red, blue], timeout: 1m, default: blue}"))
    assert found == QuestionBody(prompt="Which?", choices=("red", "blue"), timeout_ms=60_000, default="blue")


def test_a_question_with_a_form_takes_its_inputs_and_completes_its_default() -> None:
    found = body_of(
        gate(
            "question: {prompt: x, inputs: {who: {required: true}, n: {type: integer, default: 3}}, default: {who: ann}}"
        )
    )
    form = (
        InputSpec(name="who", type="string", required=True),
        InputSpec(name="n", type="integer", has_default=True, default=3),
    )
    assert found == QuestionBody(prompt="x", form=form, timeout_ms=DAY_MS, default={"who": "ann", "n": 3})


def test_a_question_without_default_expires() -> None:
    for text in ("", ", default: null"):
        found = body_of(gate(f"question: {{prompt: x, choices: [a]{text}}}"))
        assert isinstance(found, QuestionBody)
        assert found.default is None


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("question: {prompt: x}", (6, 22, "steps.gate.question", "a question without anything to answer with")),
        ("question: {prompt: x, choices: [a], inputs: {n: {type: integer}}}",
         (6, 44, "steps.gate.question.choices", "`choices` beside `inputs`")),
        ("question: {prompt: x, choices: [a, b], default: c}",
         (6, 70, "steps.gate.question.default", "the default is none of the choices")),
        ("question: {prompt: x, choices: [a, a]}", (6, 57, "steps.gate.question.choices[1]", "'a' a second time")),
        ("question: {prompt: x, choices: ['']}", (6, 54, "steps.gate.question.choices[0]", "an empty text")),
        ("question: {prompt: x, inputs: {n: {type: integer}}, default: 3}",
         (6, 83, "steps.gate.question.default", "the default of a form is a mapping of its inputs")),
        ("question: {prompt: x, inputs: {n: {type: integer}}, default: {n: many}}",
         (6, 87, "steps.gate.question.default.n",
          'the default does not fit: n: a whole number is wanted, not "many"')),
        ("question: {prompt: x, inputs: {n: {type: integer, default: many}}}",
         (6, 81, "steps.gate.question.inputs.n.default",
          'the default does not fit: n: a whole number is wanted, not "many"')),
        ("approval: {title: x, context: {tests: [b]}}",
         (6, 61, "steps.gate.approval.context.tests[0]", "'b' may not have ended when this gate opens")),
        ("approval: {title: x, context: {preview: [a]}}",
         (6, 63, "steps.gate.approval.context.preview[0]", "'a' has no payload to show: it is no effect")),
        ("approval: {title: x, approvers: {count: 3, any_of: [ann, bob]}}",
         (6, 62, "steps.gate.approval.approvers.count", "3 people have to approve, and `any_of` names 2")),
        ("approval: {title: x, approvers: {any_of: [ann, ann]}}",
         (6, 69, "steps.gate.approval.approvers.any_of[1]", "'ann' a second time")),
        ("approval: {title: x, context: {risk: [{when: /a(/, level: low}]}}",
         (6, 67, "steps.gate.approval.context.risk[0].when",
          "/a(/ is no regular expression: missing ), unterminated subpattern at position 1")),
        ("approval: {title: x, context: {risk: [{when: /(a+)+/, level: low}]}}",
         (6, 67, "steps.gate.approval.context.risk[0].when", "/(a+)+/ has a repeat within a repeat")),
        ("approval: {title: x, context: {risk: [{when: a}]}}",
         (6, 60, "steps.gate.approval.context.risk[0]", "a rule of risk lacks 'level'")),
        ("approval: {title: x, on_reject: {retry_from: z}}",
         (6, 67, "steps.gate.approval.on_reject.retry_from", "unknown step 'z'")),
    ],
)  # fmt: skip
def test_a_gate_that_could_not_work_is_refused_where_it_is_wrong(
    step: str, expected: tuple[int, int, str, str]
) -> None:
    assert only(gate(step)) == expected


@pytest.mark.parametrize(
    ("step", "feature"),
    [
        ("approval: {title: x, context: {files: ['a${{ inputs.n }}']}}", "an expression in `context`"),
        ("question: {prompt: x, choices: '${{ inputs.n }}'}", "an expression in `choices`"),
        ("question: {prompt: x, choices: [a], default: '${{ inputs.n }}'}", "an expression in `default`"),
    ],
)
def test_what_is_not_known_before_the_gate_opens_is_valid_and_unavailable(step: str, feature: str) -> None:
    result = compiled(gate(step))
    assert [(item.step_id, item.feature) for item in result.unavailable] == [("gate", feature)]
    assert result.plan is not None
    assert isinstance(result.plan.step("gate").body, OtherBody) == feature.startswith("an expression")


@pytest.mark.parametrize(
    ("own", "whole"), [("approval: {title: x, on_reject: {retry_from: a}}", ""), ("approval: {title: x}", "a")]
)
def test_st_wf_007_a_rejection_may_start_again_at_a_step_before_the_gate(own: str, whole: str) -> None:
    result = compiled(gate(own, f"on_reject: {{retry_from: {whole}}}\n" if whole else ""))
    assert (result.findings, result.unavailable) == ((), ())
    assert result.plan is not None
    body = result.plan.step("gate").body
    assert isinstance(body, ApprovalBody)
    assert body.on_reject == {"retry_from": "a"}


def test_a_rejection_cannot_start_again_at_a_step_that_is_not_before_the_gate() -> None:
    said = "'later' is not upstream of gate 'gate', so its rejection cannot start there"
    later = "  later: {needs: [gate], run: x}\n"
    (finding,) = compiled(gate("approval: {title: x, on_reject: {retry_from: later}}") + later).findings
    assert (finding.message, finding.line, finding.path) == (said, 6, "steps.gate.approval.on_reject.retry_from")
    assert "'gate' needs" in finding.hint
    (finding,) = compiled(gate("approval: {title: x}", "on_reject: {retry_from: later}\n") + later).findings
    assert (finding.message, finding.path) == (said, "on_reject.retry_from")


def test_a_gate_with_its_own_way_does_not_ask_where_the_recipes_leads() -> None:
    text = gate("approval: {title: x, on_reject: route}", "on_reject: {retry_from: later}\n")
    assert compiled(text + "  later: {needs: [gate], run: x}\n").findings == ()


def test_later_steps_may_read_a_forms_answers() -> None:
    text = gate("question: {prompt: x, inputs: {who: {required: true}}}")
    plan_of(f"{text}  c: {{needs: [gate], run: [[echo, '${{{{ steps.gate.outputs.who }}}}']]}}\n")


def test_tests_of_a_step_without_a_report_are_a_warning() -> None:
    said = [finding.message for finding in compiled(gate("approval: {title: x, context: {tests: [a]}}")).findings]
    assert said == ["'a' declares no report, so this gate could not show its tests and would not open"]
    reports = gate("approval: {title: x, context: {tests: [a]}}").replace(
        "a: {run: x}", "a: {run: x, reports: {junit: j.xml}}"
    )
    assert compiled(reports).findings == ()


LETTER = "email: {via: mail, to: [ops], subject: Hi, attach: [a.txt]}"


def test_a_letter_is_lowered_as_it_was_written() -> None:
    assert body_of(f"recipe: r\nsteps: {{m: {{{LETTER}}}}}\n", "m") == EmailBody(
        via="mail", to=["ops"], subject="Hi", attach=["a.txt"]
    )


def test_a_previewed_effect_that_does_not_wait_for_its_gate_is_refused() -> None:
    text = f"recipe: r\nsteps:\n  g: {{approval: {{title: x, context: {{preview: [m]}}}}}}\n  m: {{{LETTER}}}\n"
    line, _, path, message = only(text)
    assert (line, path) == (3, "steps.g.approval.context.preview[0]")
    assert "'m' does not wait for this gate" in message


def test_an_output_of_an_effect_is_an_expression() -> None:
    found = only(f"recipe: r\nsteps: {{m: {{{LETTER}, outputs: {{a: string}}}}}}\n")
    assert found[2:] == ("steps.m.outputs.a", "an output of an effect is an expression")
