"""What may be done to a run now: each action that changes it, and the sentence that says why it may not.

The sentences are those of `decide`: the greyed key, the error of the command line and the journal say the same.
"""

from __future__ import annotations

from collections.abc import Mapping

from wfconsole.domain.decide import can
from wfconsole.domain.facts import AnyFact, CancelRun, PauseRun, ResumeRun
from wfconsole.domain.run import RunState


def refusals(state: RunState, now: int) -> Mapping[str, str]:
    """Action id to reason, for those of ``pause resume cancel`` that the run would refuse at `now` (ms)."""
    asked: dict[str, AnyFact] = {
        "pause": PauseRun(fact_id="?", at=now),
        "resume": ResumeRun(fact_id="?", at=now),
        "cancel": CancelRun(fact_id="?", at=now),
    }
    found = {name: can(state, fact) for name, fact in asked.items()}
    return {name: refusal.reason for name, refusal in found.items() if refusal is not None}
