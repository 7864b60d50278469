"""An `email` step on a mailer in memory: what binds it to its gate, what it attaches, what a delivery means for the step."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import TestClock
from tests.fakes.mailer import FakeMailer
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.plan import EmailBody, StepPlan
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.ports.delivery import Verdict
from wfconsole.steps.email import EmailJob, EmailPorts, message_id, run_email
from wfconsole.steps.letters import previewed
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.workspace.collect import FileCollector

RESOLVED: dict[str, Any] = {
    "via": "mail", "to": ["ops"], "subject": "Hello", "body": "one\n", "attach": ["notes.txt", "/artifacts/build/a.csv"],
}  # fmt: skip


class Lab:
    """A run's folder with a workspace and an artifact, and a mailer."""

    def __init__(self, root: Path) -> None:
        self.folder = RunFolder(root / "r1")
        self.mailer = FakeMailer()
        artifacts = DiskArtifacts(root / "blobs")
        self.ports = EmailPorts(
            mailer=self.mailer,
            artifacts=artifacts,
            collector=FileCollector(artifacts=artifacts),
            clock=TestClock(),
        )
        self.write("workspace/notes.txt", b"notes\n")
        self.write("bundle/artifacts/build/a.csv", b"x;y\n")

    def write(self, name: str, data: bytes) -> dict[str, Any]:
        """Write a file of the run; nothing of the letter's own values changes by it."""
        path = self.folder.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return {}

    def preview(self, **changed: Any) -> Any:
        shown = {"kind": "email", **RESOLVED, **changed}
        return asyncio.run(previewed(shown, self.folder, self.ports.collector, self.mailer))

    def send(self, attempt: int = 1, approved: Any = None, **changed: Any) -> AttemptEnded:
        async def never() -> bool:
            await asyncio.Event().wait()
            return True

        job = EmailJob(
            run_id="r1",
            plan=StepPlan(step_id="mail", kind="email", body=EmailBody(via="mail", to="ops", subject="Hello")),
            attempt=attempt,
            resolved={**RESOLVED, **changed},
            folder=self.folder,
            claimed_at=1_700_000_000_000,
            approved={} if approved is None else {"gate#1": approved},
        )
        return asyncio.run(run_email(job, self.ports, never))


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_a_letter_has_its_files_and_leaves_itself_as_an_artifact(lab: Lab) -> None:
    ended = lab.send()
    (letter,) = lab.mailer.sent
    assert (ended.outcome, ended.outputs) == ("succeeded", {"message_id": letter.message_id, "reply": "250 taken"})
    assert [(file.name, file.data) for file in letter.attachments] == [("notes.txt", b"notes\n"), ("a.csv", b"x;y\n")]
    (kept,) = ended.artifacts
    assert (kept.name, kept.kind, kept.artifact_id) == ("message.eml", "file", "mail#1/message.eml")
    assert (lab.folder.artifacts / "mail" / "message.eml").is_file()


def test_all_attempts_of_a_step_have_one_id_and_no_other_step_has_it(lab: Lab) -> None:
    lab.mailer.verdicts = [("failed", "451 later")]
    assert lab.send(1).outcome == "errored"
    ended = lab.send(2)
    assert ended.outputs["message_id"] == message_id("r1", "mail", "r1:mail")
    ids = {message_id(run, step, f"{run}:{step}") for run in ("r1", "r2") for step in ("mail", "other")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("verdict", "outcome"),
    [("refused", "failed"), ("failed", "errored"), ("timed_out", "timed_out"), ("cancelled", "cancelled")],
)
def test_what_the_server_says_is_the_outcome_in_its_words(lab: Lab, verdict: Verdict, outcome: str) -> None:
    lab.mailer.verdicts = [(verdict, "the server's words")]
    ended = lab.send()
    assert ended.outcome == outcome
    assert ended.cause is not None
    assert (ended.cause.code, ended.cause.message) == ("EFFECT_FAILED", "mail did not send it: the server's words")
    assert (ended.artifacts, lab.mailer.sent) == ((), [])


def test_the_preview_has_the_addresses_and_the_digests(lab: Lab) -> None:
    shown = lab.preview()
    assert shown["to"] == ["ops@example.org"]
    assert shown["attach"][0] == {"name": "notes.txt", "bytes": 6, "sha256": hashlib.sha256(b"notes\n").hexdigest()}
    assert lab.send(approved=shown).outcome == "succeeded"


CHANGES: list[tuple[str, Callable[[Lab], dict[str, Any]]]] = [
    ("subject", lambda _lab: {"subject": "Other"}),
    ("body", lambda _lab: {"body": "two\n"}),
    ("to", lambda _lab: {"to": ["ops", "eve@example.org"]}),
    ("attach", lambda _lab: {"attach": ["notes.txt"]}),
    ("attach", lambda lab: lab.write("workspace/notes.txt", b"paid!\n")),
]


@pytest.mark.parametrize(("key", "change"), CHANGES)
def test_a_letter_that_is_not_the_approved_one_is_not_sent(
    lab: Lab, key: str, change: Callable[[Lab], dict[str, Any]]
) -> None:
    shown = lab.preview()
    ended = lab.send(approved=shown, **change(lab))
    assert ended.cause is not None
    assert (ended.outcome, ended.cause.code, lab.mailer.sent) == ("failed", "DECISION_STALE", [])
    assert ended.cause.details == {"gate_id": "gate#1", "changed": [key]}


def test_a_gate_that_showed_no_letter_approved_none(lab: Lab) -> None:
    ended = lab.send(approved={})
    assert ended.cause is not None
    assert (ended.cause.code, lab.mailer.sent) == ("DECISION_STALE", [])


def test_a_letter_that_was_sent_stays_sent_whatever_its_files_have_become(lab: Lab) -> None:
    shown = lab.preview()
    first = lab.send(approved=shown)
    lab.write("workspace/notes.txt", b"changed")
    again = lab.send(approved=shown)
    assert replace(again, at=first.at) == first
    assert len(lab.mailer.sent) == 1


@pytest.mark.parametrize(
    "name", ["gone.txt", "../r1/workspace/notes.txt", "/etc/passwd", "/artifacts/build/b.csv", "link"]
)
def test_what_cannot_be_attached_fails_the_step_and_the_preview(lab: Lab, name: str) -> None:
    (lab.folder.workspace / "link").symlink_to("/etc/passwd")
    ended = lab.send(attach=[name])
    assert ended.cause is not None
    assert (ended.outcome, ended.cause.code, lab.mailer.sent) == ("failed", "EFFECT_FAILED", [])
    with pytest.raises(WfconsoleError):
        lab.preview(attach=[name])


def test_attachments_are_bounded_in_all(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wfconsole.steps.letters.ATTACHED_BYTES", 9)
    ended = lab.send()
    assert ended.cause is not None
    assert (ended.outcome, lab.mailer.sent) == ("failed", [])


@pytest.mark.parametrize("changed", [{"subject": "a\nb"}, {"to": ["a@b\nc"]}, {"via": "other"}, {"to": []}])
def test_what_cannot_be_a_letter_is_known_when_it_is_shown(lab: Lab, changed: dict[str, Any]) -> None:
    with pytest.raises(WfconsoleError) as raised:
        lab.preview(**changed)
    assert raised.value.code == "EFFECT_FAILED"
    ended = lab.send(**changed)
    assert ended.cause is not None
    assert (ended.cause.code, lab.mailer.sent) == ("EFFECT_FAILED", [])


def test_other_effects_are_shown_as_they_are(lab: Lab) -> None:
    other = {"title": "T"}
    assert asyncio.run(previewed(other, lab.folder, lab.ports.collector, None)) == other
