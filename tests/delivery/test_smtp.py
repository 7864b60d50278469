"""SMTP by a sender of its own: what arrives, what a server says, and that one letter is one, whoever dies when."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.delivery.letters import PASSWORD, TO_ANN, deliver, to
from tests.fakes.post import Post, Stuck
from wfconsole.ports import WfconsoleError
from wfconsole.ports.delivery import Attachment, Letter


def test_a_message_is_what_was_written_in_any_script_and_in_seven_bits(post: Post, tmp_path: Path) -> None:
    files = (
        Attachment(name="Größe.csv", data=b"a;b\r\n\xff\n"),
        Attachment(name="notes", data=b".\n..\n"),
        Attachment(name="page.eml", data=b"Subject: x\n\nx"),
    )
    body = "Grüße\n.\n..dots\n" + "x" * 3000 + "\nend"
    letter = replace(TO_ANN, subject="Überblick 📬 " + "lang " * 40, body=body, attachments=files)
    done = deliver(to(post.port), tmp_path / "box", letter=letter)
    assert done.verdict == "accepted", done
    (message,) = post.box
    assert message["Subject"] == letter.subject
    assert (message["From"], message["To"]) == ("Flow <flow@example.org>", "ann@example.org")
    assert message["Message-ID"] == letter.message_id
    assert message["Date"] == "Tue, 14 Nov 2023 22:13:20 +0000"
    text, *attached = message.iter_parts()
    assert text.get_content().replace("\r\n", "\n").removesuffix("\n") == body
    assert [(part.get_filename(), part.get_payload(decode=True)) for part in attached] == [
        (file.name, file.data) for file in files
    ]
    assert done.message is not None
    assert max(done.message.read_bytes()) < 128
    (envelope,) = post.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == ("flow@example.org", ["ann@example.org"])


@pytest.mark.parametrize(
    "bad",
    [
        replace(TO_ANN, subject="Hi\r\nBcc: eve@example.org"),
        replace(TO_ANN, subject="Hi\x00"),
        replace(TO_ANN, subject="Hi\u2028Bcc: eve@example.org"),
        replace(TO_ANN, subject="\udcff"),
        replace(TO_ANN, to=("Ann\nBcc: eve@example.org <ann@example.org>",)),
        replace(TO_ANN, to=("ann@example.org, eve@example.org",)),
        replace(TO_ANN, to=("ann@example.org> RCPT TO:<eve@example.org",)),
        replace(TO_ANN, to=("ann@exam ple.org",)),
        replace(TO_ANN, to=("änn@example.org",)),
        replace(TO_ANN, attachments=(Attachment(name="a\nb", data=b""),)),
        replace(TO_ANN, body="\udcff"),
    ],
)
def test_what_would_be_another_header_or_address_is_refused(post: Post, tmp_path: Path, bad: Letter) -> None:
    with pytest.raises(WfconsoleError) as raised:
        deliver(to(post.port), tmp_path / "box", letter=bad)
    assert raised.value.code == "EFFECT_FAILED"
    assert (post.box, post.data) == ([], [])


# --------------------------------------------------------------------------------------------------- what a server says


@pytest.mark.parametrize(
    ("where", "reply", "verdict"),
    [
        ("ann@example.org", "550 5.1.1 nobody of that name", "refused"),
        ("ann@example.org", "450 4.2.0 greylisted, come back", "failed"),
        ("data", "554 5.7.1 spam", "refused"),
        ("data", "452 4.3.1 disk full", "failed"),
    ],
)
def test_the_servers_own_words_are_the_reason(post: Post, tmp_path: Path, where: str, reply: str, verdict: str) -> None:
    post.at[where] = lambda: reply
    done = deliver(to(post.port), tmp_path / "box")
    assert (done.verdict, post.box) == (verdict, [])
    assert reply in done.reply


def test_one_recipient_that_is_refused_keeps_the_letter_from_all(post: Post, tmp_path: Path) -> None:
    post.at["bob@example.org"] = lambda: "550 no bob"
    done = deliver(to(post.port), tmp_path / "box", letter=replace(TO_ANN, to=("ann@example.org", "bob@example.org")))
    assert (done.verdict, done.reply, post.box) == ("refused", "bob@example.org: 550 no bob", [])


def test_a_server_that_is_not_there_is_a_failure_that_says_so(tmp_path: Path) -> None:
    with Stuck() as stuck:
        port = stuck.port
    done = deliver(to(port), tmp_path / "box")
    assert done.verdict == "failed"
    assert "Connection refused" in done.reply


def test_a_server_that_says_nothing_ends_with_the_deadline(tmp_path: Path) -> None:
    with Stuck() as stuck:
        began = time.monotonic()
        done = deliver(to(stuck.port, timeout_s=0.5), tmp_path / "box")
    assert (done.verdict, done.reply) == ("timed_out", "no answer within 0.5 s")
    assert time.monotonic() - began < 5


def test_a_server_that_takes_the_message_and_says_nothing_leaves_it_open_whether_it_arrived(
    post: Post, tmp_path: Path
) -> None:
    go = threading.Event()
    post.at["data"] = lambda: (go.wait(20), None)[1]
    try:
        done = deliver(to(post.port, timeout_s=0.7), tmp_path / "box")
    finally:
        go.set()
    assert done.verdict == "timed_out"
    assert "whether the letter arrived is not known" in done.reply
    post.at.clear()
    again = deliver(to(post.port), tmp_path / "box", 2)
    assert again.verdict == "accepted"
    assert "not known whether" in again.warnings[0]
    assert TO_ANN.message_id in again.warnings[0]
    assert set(post.ids) == {TO_ANN.message_id}


# ------------------------------------------------------------------------------------------------------ logins and tls


def test_starttls_and_a_login_with_the_password_of_a_file(safe: Post, certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(f"{PASSWORD}\n")
    more: dict[str, Any] = {"tls": "starttls", "user": "flow", "ca_file": certificate.with_suffix(".crt")}
    done = deliver(to(safe.port, password_file=tmp_path / "pw", **more), tmp_path / "box")
    assert (done.verdict, len(safe.box)) == ("accepted", 1), done
    said = [sys.executable, "-c", f"print({PASSWORD!r})"]
    told = deliver(to(safe.port, password_command=tuple(said), **more), tmp_path / "other")
    assert (told.verdict, len(safe.box)) == ("accepted", 2), told
    for file in [*(tmp_path / "box").iterdir(), *(tmp_path / "other").iterdir()]:
        assert PASSWORD.encode() not in file.read_bytes()
        assert file.stat().st_mode & 0o077 == 0


def test_a_wrong_password_is_refused_in_the_servers_words(safe: Post, certificate: Path, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("wrong")
    more: dict[str, Any] = {"tls": "starttls", "user": "flow", "ca_file": certificate.with_suffix(".crt")}
    done = deliver(to(safe.port, password_file=tmp_path / "pw", **more), tmp_path / "box")
    assert (done.verdict, safe.box) == ("refused", [])
    assert "535" in done.reply
    assert "wrong" not in done.reply


def test_a_certificate_that_nobody_vouches_for_ends_it_before_the_login(safe: Post, tmp_path: Path) -> None:
    (tmp_path / "pw").write_text(PASSWORD)
    done = deliver(to(safe.port, tls="starttls", user="flow", password_file=tmp_path / "pw"), tmp_path / "box")
    assert (done.verdict, safe.box) == ("refused", [])
    assert "certificate" in done.reply


def test_a_server_without_starttls_gets_nothing(post: Post, tmp_path: Path) -> None:
    done = deliver(to(post.port, tls="starttls"), tmp_path / "box")
    assert (done.verdict, post.data) == ("refused", [])
    assert "STARTTLS" in done.reply


@pytest.mark.parametrize(
    "more",
    [
        {"password_file": Path("/no/such/file")},
        {"password_command": ("/no/such/program",)},
        {"password_command": ("false",)},
    ],
)
def test_a_password_that_cannot_be_had_ends_it_before_anything_is_sent(
    post: Post, tmp_path: Path, more: dict[str, Any]
) -> None:
    with pytest.raises(WfconsoleError) as raised:
        deliver(to(post.port, user="flow", **more), tmp_path / "box")
    assert raised.value.code == "EFFECT_FAILED"


# ----------------------------------------------------------------------------------------------------------- who dies when
