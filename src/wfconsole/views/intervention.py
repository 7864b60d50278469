"""What an intervention would change, before it is applied: its scope, what was asked, the changes of the state, what runs again.

Owns the words of the panel. Refuses to apply anything, and to say that it could: this version has no interventions, and
`UNAVAILABLE` is the sentence that the command line has for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wfconsole.domain.plan import Json
from wfconsole.views.evidence import Told
from wfconsole.views.words import value_text

UNAVAILABLE = "wfconsole intervene is not available in this version"
_MARKS = {"add": "+", "remove": "-", "replace": "~"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One operation on the state: `op` is add, remove or replace; `path` a JSON pointer."""

    op: str
    path: str
    before: Json = None
    after: Json = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A preview. `step_id` None means the whole run; `problem` says why it cannot be applied."""

    run_id: str
    step_id: str | None
    instruction: str
    changes: tuple[Change, ...] = ()
    response: str = ""
    problem: str = ""


def proposal_lines(found: Proposal) -> Sequence[Told]:
    """The panel, a line each."""
    lines = [
        Told("scope", f"step {found.step_id}" if found.step_id else "the whole run"),
        Told("asked", found.instruction, "waiting"),
    ]
    for change in found.changes:
        before, after = value_text(change.before, limit=60), value_text(change.after, limit=60)
        values = {"add": after, "remove": before}.get(change.op, f"{before} -> {after}")
        lines.append(Told("state", f"{_MARKS.get(change.op, '?')} {change.path}  {values}", f"diff-{_role(change.op)}"))
    if found.response:
        lines.append(Told("then", found.response))
    if found.problem:
        lines.append(Told("refused", found.problem, "failed"))
    return lines


def _role(op: str) -> str:
    return {"add": "add", "remove": "del"}.get(op, "hunk")
