"""Connections of config.toml: what they become, and what doctor says of them without contacting anybody."""

from __future__ import annotations

from pathlib import Path

import pytest

from wfconsole.config import Settings, read_settings
from wfconsole.main.doctor import _connections
from wfconsole.ports import WfconsoleError
from wfconsole.ports.delivery import SmtpConnection

LEAST = '[connections.mail]\nhost = "mail.example.org"\nfrom = "flow@example.org"\n'


def settings(place: Path, text: str) -> Settings:
    (place / "config.toml").write_text(text)
    return read_settings({"WFCONSOLE_HOME": str(place)})


def test_the_least_that_a_connection_needs_is_safe(tmp_path: Path) -> None:
    found = settings(tmp_path, LEAST).connections
    assert found == {
        "mail": SmtpConnection(host="mail.example.org", port=587, sender="flow@example.org", tls="starttls")
    }


@pytest.mark.parametrize(("tls", "port"), [("tls", 465), ("starttls", 587), ("none", 25)])
def test_the_port_is_that_of_the_way(tmp_path: Path, tls: str, port: int) -> None:
    assert settings(tmp_path, f'{LEAST}tls = "{tls}"\n').connections["mail"].port == port


def test_everything_is_read_and_files_lie_beside_the_configuration(tmp_path: Path) -> None:
    more = 'port = 2525\nuser = "flow"\npassword_file = "pw"\nca_file = "/ca.pem"\ntimeout_s = 5\naliases = {ops = "o@x.org"}\n'
    found = settings(tmp_path, LEAST + more).connections["mail"]
    assert (found.port, found.user, found.password_file) == (2525, "flow", tmp_path / "pw")
    assert (found.ca_file, found.timeout_s, found.aliases) == (Path("/ca.pem"), 5.0, {"ops": "o@x.org"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[connections]\nmail = 1\n", "no table"),
        ("[connections.mail]\nfrom = 'a@b.c'\n", "host is missing"),
        ("[connections.mail]\nhost = 'x'\n", "from is missing"),
        (f"{LEAST}password = 'x'\n", "does not belong here"),
        (f"{LEAST}tls = 'ssl'\n", "tls is ssl"),
        (f"{LEAST}kind = 'imap'\n", "kind imap"),
        (f"{LEAST}port = 0\n", "out of bounds"),
        (f"{LEAST}port = true\n", "wrong type"),
        (f"{LEAST}timeout_s = 0\n", "out of bounds"),
        (f"{LEAST}aliases = {{ops = 1}}\n", "aliases are addresses"),
        (f"{LEAST}tls = 'none'\nuser = 'flow'\n", "in clear"),
        (f"{LEAST}password_file = 'a'\npassword_command = ['b']\n", "two ways"),
    ],
)
def test_what_does_not_hold_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(WfconsoleError) as raised:
        settings(tmp_path, text)
    assert raised.value.code == "INPUT_INVALID"
    assert "connections.mail" in raised.value.message
    assert words in raised.value.message
    assert raised.value.hint


def test_doctor_says_where_letters_go_and_which_password_is_missing(tmp_path: Path) -> None:
    (one,) = _connections(settings(tmp_path, LEAST))
    assert (one.status, one.message) == ("ok", "letters go by mail.example.org:587 (starttls)")
    (two,) = _connections(settings(tmp_path, f"{LEAST}password_file = 'pw'\n"))
    assert (two.status, two.name) == ("warn", "connection mail")
    assert two.remedy
    (three,) = _connections(settings(tmp_path, f"{LEAST}password_command = ['/no/such/program']\n"))
    assert three.status == "warn"
