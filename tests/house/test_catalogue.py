"""Every failure code that the program can say has one row in the catalogue, and the rows are complete."""

from __future__ import annotations

import ast

from tests.house.tree import ROOT, SOURCE, python_files
from wfconsole.domain.failures import CATALOGUE

# Public names, written out once more so that a removed row is seen.
PUBLIC = set(
    """
    INPUT_MISSING INPUT_INVALID RECIPE_INVALID RECIPE_NOT_FOUND NOT_FOUND VERSION_NOT_PINNED SECRET_MISSING TRANSITION_REFUSED
    STEP_FAILED CHECK_FAILED OUTPUT_INVALID COMMAND_NOT_FOUND STEP_TIMED_OUT OOM_KILLED OUTPUT_LIMIT DISK_FULL POLICY_BLOCKED
    EFFECT_FAILED RETRY_REFUSED STEP_RETRY_REFUSED CONTEXT_INCOMPLETE APPROVAL_REJECTED APPROVAL_EXPIRED DECISION_INVALID
    DECISION_STALE DECISION_NOT_APPLIED ENV_DRIFT TEMPLATE_MISSING SANDBOX_UNAVAILABLE SANDBOX_LOST OC_UNAVAILABLE
    AGENT_OUTPUT_INVALID PATCH_CONFLICT BUDGET_EXCEEDED RUN_TIMED_OUT RUN_QUARANTINED WORKSPACE_INVALID ROLLBACK_FAILED
    STORE_TOO_NEW TOLERANCE_EXCEEDED STORE_CORRUPT STORE_BUSY OWNER_LOST EVENT_CHANNEL_FAILED INTERNAL
    """.split()
)
MAKERS = {"WfconsoleError", "StoreConflict", "FailureCause", "cause", "Refusal", "RunFailure"}


def test_catalogue_has_every_public_code() -> None:
    assert PUBLIC - set(CATALOGUE) == set()


def test_each_row_tells_meaning_fault_and_hint() -> None:
    for code, row in CATALOGUE.items():
        assert row.meaning, code
        assert row.fault, code
        assert row.hint, code


def test_every_code_in_the_source_has_a_row() -> None:
    unknown = {}
    for path in python_files():
        if path.is_relative_to(SOURCE):
            for node in ast.walk(ast.parse(path.read_text())):
                code = _code(node)
                if code is not None and code not in CATALOGUE:
                    unknown[code] = str(path.relative_to(ROOT))
    assert unknown == {}


def _code(node: ast.AST) -> str | None:
    """The literal code given to one of the makers, first or as `code=`."""
    if not isinstance(node, ast.Call):
        return None
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name not in MAKERS:
        return None
    given = [word.value for word in node.keywords if word.arg == "code"] or node.args[:1]
    match given:
        case [ast.Constant(value=str(code))]:
            return code
        case _:
            return None
