"""Each exit status, from each thing that leads to it."""

from __future__ import annotations

import pytest

from wfconsole.cli import exit_codes
from wfconsole.domain.failures import CATALOGUE


@pytest.mark.parametrize(
    ("status", "code", "interrupted", "exit_status"),
    [
        ("succeeded", None, False, 0),
        ("succeeded", None, True, 0),
        ("failed", "STEP_FAILED", False, 1),
        ("failed", "STEP_FAILED", True, 1),
        ("failed", "ENV_DRIFT", False, 5),
        ("failed", "OC_UNAVAILABLE", False, 5),
        ("failed", "APPROVAL_REJECTED", False, 4),
        ("failed", "APPROVAL_EXPIRED", False, 4),
        ("awaiting_approval", None, False, 3),
        ("paused", None, False, 3),
        ("cancelled", None, False, 4),
        ("cancelled", None, True, 130),
        ("running", None, True, 130),
    ],
)
def test_of_a_run(status: str, code: str | None, interrupted: bool, exit_status: int) -> None:
    view = {"status": status, "failure": {"code": code} if code else None}
    assert exit_codes.of_run(view, interrupted=interrupted) == exit_status


@pytest.mark.parametrize(
    ("code", "exit_status"),
    [
        ("INPUT_MISSING", 2), ("INPUT_INVALID", 2), ("RECIPE_INVALID", 2), ("RECIPE_NOT_FOUND", 2), ("NOT_FOUND", 2),
        ("WORKSPACE_INVALID", 2), ("TRANSITION_REFUSED", 6), ("POLICY_BLOCKED", 6), ("STEP_RETRY_REFUSED", 6),
        ("DECISION_STALE", 6), ("DECISION_INVALID", 6), ("CONTEXT_INCOMPLETE", 6), ("DECISION_NOT_APPLIED", 5),
        ("SANDBOX_UNAVAILABLE", 5), ("STORE_BUSY", 5), ("ENV_DRIFT", 5), ("TEMPLATE_MISSING", 5),
        ("INTERNAL", 70), ("NO_SUCH_CODE", 70),
    ],
)  # fmt: skip
def test_of_an_error(code: str, exit_status: int) -> None:
    assert exit_codes.of_error(code) == exit_status


def test_every_code_of_the_catalogue_has_a_status() -> None:
    assert all(exit_codes.of_error(code) in {1, 2, 5, 6, 70} for code in CATALOGUE)
