"""The contract of mailers, on the fake and on SMTP with a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contracts.mailer_contract import Desk, MailerContract
from tests.fakes.mailer import FakeMailer
from tests.fakes.post import Post
from wfconsole.delivery.mailer import SmtpMailer
from wfconsole.ports.delivery import SmtpConnection, Verdict

REPLIES: dict[Verdict, str] = {"refused": "550 no such thing", "failed": "451 later"}


class FakeDesk(Desk):
    def __init__(self) -> None:
        self.mailer = self.fake = FakeMailer()

    @property
    def arrived(self) -> list[str]:
        return [letter.subject for letter in self.fake.sent]

    def say(self, *verdicts: Verdict) -> None:
        self.fake.verdicts = [(verdict, REPLIES[verdict]) for verdict in verdicts]


class SmtpDesk(Desk):
    def __init__(self, post: Post) -> None:
        self.post = post
        connection = SmtpConnection(
            host="127.0.0.1",
            port=post.port,
            tls="none",
            sender="wfconsole@example.org",
            aliases={"ops": "ops@example.org"},
        )
        self.mailer = SmtpMailer({"mail": connection})

    @property
    def arrived(self) -> list[str]:
        return [str(message["Subject"]) for message in self.post.box]

    def say(self, *verdicts: Verdict) -> None:
        replies = [REPLIES[verdict] for verdict in verdicts]
        self.post.at["data"] = lambda: replies.pop(0) if replies else None


class TestFake(MailerContract):
    @pytest.fixture
    def desk(self) -> Desk:
        return FakeDesk()


class TestSmtp(MailerContract):
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        with Post() as post:
            yield SmtpDesk(post)
