"""Gates for tests: their steps, a context with every part, and decisions about them."""

from __future__ import annotations

from typing import Any

from tests.fakes.journals import Journal, plan, step
from wfconsole.domain.decision import decision_payload
from wfconsole.domain.events import Record
from wfconsole.domain.facts import DecideGate, SignatureCheck
from wfconsole.domain.plan import ApprovalBody, Json, Need, Plan, QuestionBody, StepPlan

DIGEST = "c0" * 32
CONTEXT: dict[str, Json] = {
    "diff": {
        "changed": True, "files_changed": 2, "added": 4, "removed": 1, "bytes": 700, "truncated": False, "note": None,
        "artifact": {"name": "context/diff.patch", "sha256": "d0" * 32, "bytes": 700},
        "files": [
            {"path": "src/new.py", "status": "renamed", "old_path": "src/old.py", "old_mode": "100644", "new_mode": "100755",
             "binary": False, "size": None, "added": 4, "removed": 1, "submodule": False, "symlink": False,
             "sample": ["@@ -1 +1 @@", "-a", "+\x1b[2Jb"], "cut": True},
            {"path": "logo.png", "status": "added", "old_path": None, "old_mode": None, "new_mode": "100644", "binary": True,
             "size": 2048, "added": 0, "removed": 0, "submodule": False, "symlink": False, "sample": [], "cut": False},
        ],
    },
    "tests": {
        "total": {"step": "", "total": 3, "passed": 2, "failed": 1, "errors": 0, "skipped": 0, "failing": ["t::b"], "note": None},
        "steps": [{"step": "unit", "total": 3, "passed": 2, "failed": 1, "errors": 0, "skipped": 0, "seconds": 1.25,
                   "failing": ["t::b"], "coverage_percent": 81.5, "note": None}],
    },
    "risk": {"level": "high", "score": 26, "notes": [
        {"rule": "tests_failed", "level": "high", "saw": "1 tests failed", "why": "something breaks"},
    ]},
    "files": [{"path": "notes.txt", "bytes": 12, "binary": False, "lines": ["hello"], "cut": True}],
    "preview": {"mail": {"to": ["ops@example.org"], "subject": "Hi", "body": "one\ntwo"}},
}  # fmt: skip


def approval(step_id: str, *needs: str, **body: Any) -> StepPlan:
    return StepPlan(
        step_id=step_id,
        kind="approval",
        body=ApprovalBody(**{"title": "Ship it?", **body}),
        needs=tuple(Need(step=need) for need in needs),
    )


def question(step_id: str, *needs: str, **body: Any) -> StepPlan:
    return StepPlan(
        step_id=step_id,
        kind="question",
        body=QuestionBody(**{"prompt": "Which one?", **body}),
        needs=tuple(Need(step=need) for need in needs),
    )


def gated(*steps: StepPlan, context: Json = None, **more: Any) -> Journal:
    """A run that has come to its first gate; without steps: build, then an approval, then ship."""
    made: Plan = plan(*(steps or (step("build"), approval("gate", "build"), step("ship", "gate"))), **more)
    journal = Journal(made)
    journal.take()
    while journal.open and not journal.is_gate(journal.open[0]):
        journal.end(journal.open[0], {"outcome": "succeeded", "exit_code": 0})
    for effect in list(journal.open):
        if journal.is_gate(effect):
            journal.ready(effect, CONTEXT if context is None else context)
    return journal


def decide(
    journal: Journal, choice: str, *, who: str = "ann@build-7", gate_id: str = "gate#1", **more: Any
) -> list[Record]:
    """A signed decision that the owner has verified."""
    journal.facts += 1
    assert journal.state is not None
    payload = decision_payload(
        run_id=journal.state.run_id, gate_id=gate_id, choice=choice, reason=more.get("reason"), answer=more.get("answer"),
        context_digest=journal.state.gates[gate_id].asked.context_digest, plan_digest=journal.state.plan.recipe.digest,
        actor=who, at=journal.now, nonce=f"{journal.facts:032x}", seen_seq=journal.state.seq, seen_hash="ab" * 32,
    )  # fmt: skip
    check = SignatureCheck(valid=True, principal=who, key="SHA256:key")
    return journal.give(
        DecideGate(fact_id=f"decide:{journal.facts}", at=journal.now, payload=payload, signature="armored", check=check)
    )
