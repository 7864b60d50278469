"""What the command policy says about one command, and how several answers become one.

Refuses to know how an answer was found. The decision that would surprise: the answers of all parts of a command (a
wrapper, the command inside it, its paths) are combined by the strictest, so looking through a wrapper can only ever
add a reason to refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Decision = Literal["allow", "warn", "block"]

_RANK: dict[Decision, int] = {"allow": 0, "warn": 1, "block": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """One answer. `rule` is a stable name (README lists them), `message` a sentence, `hint` what to do about it."""

    decision: Decision
    rule: str
    message: str = ""
    hint: str = ""


ALLOWED = Verdict(decision="allow", rule="allowed")


def block(rule: str, message: str, hint: str = "") -> Verdict:
    """A refusal."""
    return Verdict(decision="block", rule=rule, message=message, hint=hint)


def warn(rule: str, message: str, hint: str = "") -> Verdict:
    """Let through, with a remark that is recorded."""
    return Verdict(decision="warn", rule=rule, message=message, hint=hint)


def strictest(verdicts: Iterable[Verdict]) -> Verdict:
    """The first of the strictest answers; allowed when there is none."""
    return max(verdicts, key=lambda verdict: _RANK[verdict.decision], default=ALLOWED)
