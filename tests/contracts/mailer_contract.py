"""What every `ports.delivery.Mailer` does, whatever it sends by."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path

import pytest

from wfconsole.ports import WfconsoleError
from wfconsole.ports.delivery import Attachment, Delivery, Letter, Mailer, Permit, Verdict

LETTER = Letter(
    via="mail",
    to=("ann@example.org", "ops"),
    subject="Grüße",
    body="one\n.two\n",
    message_id="<1@wfconsole.invalid>",
    key="run:step",
    at=1_700_000_000_000,
    attachments=(Attachment(name="a.csv", data=b"x;y\n\xff\n"),),
)


class Desk(ABC):
    """A mailer over a server that a test can have say no."""

    mailer: Mailer

    @property
    @abstractmethod
    def arrived(self) -> list[str]:
        """The subjects of what arrived."""

    @abstractmethod
    def say(self, *verdicts: Verdict) -> None:
        """What becomes of the next letters; later ones are taken."""

    def deliver(
        self, outbox: Path, attempt: int = 1, letter: Letter = LETTER, permit: Permit | None = None
    ) -> Delivery:
        async def write() -> Letter:
            return letter

        async def never() -> bool:
            await asyncio.Event().wait()
            return True

        async def bounded() -> Delivery:
            work = self.mailer.deliver(
                write, outbox=outbox, attempt=attempt, limit_ms=5000, stopped=never, permit=permit
            )
            return await asyncio.wait_for(work, 20)

        return asyncio.run(bounded())


class MailerContract:
    """Subclasses give the fixture `desk`."""

    def test_a_letter_arrives_and_the_server_is_quoted(self, desk: Desk, tmp_path: Path) -> None:
        done = desk.deliver(tmp_path / "box")
        assert (done.verdict, done.warnings, desk.arrived) == ("accepted", (), ["Grüße"])
        assert done.reply.startswith("250")
        assert done.message is not None
        assert done.message.is_file()

    def test_a_letter_that_was_accepted_is_never_asked_for_again(self, desk: Desk, tmp_path: Path) -> None:
        for attempt in (1, 1, 2):
            assert desk.deliver(tmp_path / "box", attempt).verdict == "accepted"
        assert desk.arrived == ["Grüße"]

    def test_two_outboxes_are_two_letters(self, desk: Desk, tmp_path: Path) -> None:
        desk.deliver(tmp_path / "one")
        desk.deliver(tmp_path / "two", letter=replace(LETTER, subject="other"))
        assert desk.arrived == ["Grüße", "other"]

    @pytest.mark.parametrize("verdict", ["refused", "failed"])
    def test_a_no_is_the_answer_of_its_attempt_and_the_next_tries_again(
        self, desk: Desk, tmp_path: Path, verdict: Verdict
    ) -> None:
        desk.say(verdict)
        first = desk.deliver(tmp_path / "box")
        assert (first.verdict, desk.arrived) == (verdict, [])
        assert desk.deliver(tmp_path / "box") == first
        assert desk.deliver(tmp_path / "box", 2).verdict == "accepted"
        assert desk.arrived == ["Grüße"]

    def test_names_stand_for_addresses_each_once(self, desk: Desk) -> None:
        assert desk.mailer.recipients("mail", ["ops", "ann@example.org", "ops"]) == (
            "ops@example.org",
            "ann@example.org",
        )

    @pytest.mark.parametrize(
        ("via", "to"),
        [
            ("none", ["ann@example.org"]),
            ("mail", []),
            ("mail", ["nobody"]),
            ("mail", ["ann@example.org\nBcc: eve@example.org"]),
            ("mail", ["ann@example.org\r"]),
        ],
    )
    def test_what_is_no_recipient_is_refused(self, desk: Desk, via: str, to: list[str]) -> None:
        with pytest.raises(WfconsoleError) as raised:
            desk.mailer.recipients(via, to)
        assert raised.value.code == "EFFECT_FAILED"
        assert raised.value.hint

    def test_without_a_permit_nothing_is_sent_and_the_next_call_sends(self, desk: Desk, tmp_path: Path) -> None:
        async def refused() -> None:
            raise WfconsoleError("OWNER_LOST", "another process drives the run")

        with pytest.raises(WfconsoleError) as raised:
            desk.deliver(tmp_path / "box", permit=refused)
        assert (raised.value.code, desk.arrived) == ("OWNER_LOST", [])
        assert desk.deliver(tmp_path / "box").verdict == "accepted"
        assert desk.deliver(tmp_path / "box", permit=refused).verdict == "accepted"
        assert desk.arrived == ["Grüße"]

    @pytest.mark.parametrize(
        "bad",
        [
            replace(LETTER, subject="Hi\nBcc: eve@example.org"),
            replace(LETTER, subject="Hi\rBcc: eve@example.org"),
            replace(LETTER, to=("ann@example.org\nBcc: eve@example.org",)),
            replace(LETTER, via="none"),
        ],
    )
    def test_what_cannot_be_a_letter_is_refused_and_nothing_is_sent(
        self, desk: Desk, tmp_path: Path, bad: Letter
    ) -> None:
        with pytest.raises(WfconsoleError) as raised:
            desk.deliver(tmp_path / "box", letter=bad)
        assert raised.value.code == "EFFECT_FAILED"
        assert desk.arrived == []
        assert desk.deliver(tmp_path / "box").verdict == "accepted"
