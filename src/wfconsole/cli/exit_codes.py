"""Every exit status of the program, in one place.

0 succeeded, 1 failed, 2 bad usage, input or recipe, 3 waiting for a person, 4 cancelled or rejected, 5 environment, 6 refused,
70 a bug, 129 the terminal was lost, 130 interrupted. `run` and `watch` end with the run's status, all other commands with
their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

OK = 0
FAILED = 1
USAGE = 2
WAITING = 3
CANCELLED = 4
ENVIRONMENT = 5
REFUSED = 6
BUG = 70
HUNG_UP = 129
INTERRUPTED = 130

_BY_FAULT = {
    "operator": USAGE, "recipe": USAGE, "policy": REFUSED, "environment": ENVIRONMENT, "step": FAILED, "wfconsole": BUG,
}  # fmt: skip
_REFUSALS = frozenset(
    {
        "TRANSITION_REFUSED", "DECISION_INVALID", "DECISION_STALE", "RETRY_REFUSED", "STEP_RETRY_REFUSED",
        "CONTEXT_INCOMPLETE",
    }
)  # fmt: skip
_DENIED = frozenset({"APPROVAL_REJECTED", "APPROVAL_EXPIRED"})
"""Nobody, or somebody who said no, let the run go on: also when it ended as failed, by `route`."""


def of_error(code: str) -> int:
    """The status of a command that ended with this error code."""
    from wfconsole.domain.failures import CATALOGUE

    if code in _REFUSALS:
        return REFUSED
    row = CATALOGUE.get(code)
    return BUG if row is None else _BY_FAULT[row.fault]


def of_run(view: Mapping[str, Any], *, interrupted: bool = False) -> int:
    """The status of a command that followed a run, from the run's final RunView."""
    from wfconsole.domain.failures import is_environment

    match view["status"]:
        case "succeeded":
            return OK
        case "failed":
            code = (view["failure"] or {}).get("code", "")
            if code in _DENIED:
                return CANCELLED
            return ENVIRONMENT if is_environment(code) else FAILED
        case "cancelled":
            return INTERRUPTED if interrupted else CANCELLED
        case "awaiting_approval" | "paused":
            return WAITING
        case _:
            return INTERRUPTED if interrupted else OK
