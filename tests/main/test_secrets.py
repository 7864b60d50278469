"""The operator's secrets: from the environment, a file or a command, as config.toml says."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from wfconsole.config import SecretSource, read_settings
from wfconsole.main.secrets import OperatorSecrets
from wfconsole.ports import WfconsoleError

VALUE = b"long-enough-value"


def read(secrets: OperatorSecrets, *names: str) -> dict[str, bytes]:
    return dict(asyncio.run(secrets.read(names)))


def test_the_environment_needs_no_configuration() -> None:
    secrets = OperatorSecrets({}, {"WFCONSOLE_SECRET_TOKEN": VALUE.decode()})
    assert read(secrets, "TOKEN") == {"TOKEN": VALUE}


def test_each_source_gives_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "key").write_bytes(VALUE + b"\n")
    sources = {
        "A": SecretSource(env="MINE"),
        "B": SecretSource(file=tmp_path / "key"),
        "C": SecretSource(command=("printf", "%s\\n\\n", VALUE.decode())),
    }
    found = read(OperatorSecrets(sources, {"MINE": VALUE.decode()}), "A", "B", "C", "A")
    assert found == {"A": VALUE, "B": VALUE + b"\n", "C": VALUE + b"\n"}


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (SecretSource(env="NOPE"), "NOPE is not set"),
        (SecretSource(file=Path("/nonexistent/key")), "No such file"),
        (SecretSource(command=("false",)), "ended with 1"),
        (SecretSource(command=("/nonexistent/program",)), "cannot be run"),
        (SecretSource(command=("true",)), "printed nothing"),
    ],
)
def test_what_cannot_be_read_is_missing(source: SecretSource, told: str) -> None:
    with pytest.raises(WfconsoleError, match=told) as refusal:
        read(OperatorSecrets({"TOKEN": source}, {}), "TOKEN")
    assert refusal.value.code == "SECRET_MISSING"
    assert refusal.value.details == {"secrets": ["TOKEN"]}


def test_all_that_are_missing_are_told_at_once() -> None:
    with pytest.raises(WfconsoleError) as refusal:
        read(OperatorSecrets({}, {"WFCONSOLE_SECRET_B": VALUE.decode()}), "A", "B", "C")
    assert refusal.value.details == {"secrets": ["A", "C"]}


def test_what_a_failing_command_says_is_not_shown() -> None:
    source = SecretSource(command=("sh", "-c", "echo hunter2-hunter2 >&2; echo hunter2-hunter2; exit 1"))
    with pytest.raises(WfconsoleError) as refusal:
        read(OperatorSecrets({"TOKEN": source}, {}), "TOKEN")
    assert "hunter2-hunter2" not in refusal.value.message


@pytest.mark.parametrize("value", ["1234567", "1234567\n", "       1234567   "])
def test_a_value_that_could_not_be_hidden_is_refused(value: str) -> None:
    with pytest.raises(WfconsoleError, match="shorter than 8") as refusal:
        read(OperatorSecrets({}, {"WFCONSOLE_SECRET_TOKEN": value}), "TOKEN")
    assert refusal.value.code == "INPUT_INVALID"
    assert value.strip() not in refusal.value.message


def test_a_changed_value_is_hidden_in_both_its_forms(tmp_path: Path) -> None:
    path = tmp_path / "key"
    secrets = OperatorSecrets({"TOKEN": SecretSource(file=path)}, {})
    for value in (b"first-value-of-it", b"second-value-of-it"):
        path.write_bytes(value)
        assert read(secrets, "TOKEN") == {"TOKEN": value}
    assert asyncio.run(secrets.to_hide(["TOKEN"])) == (b"first-value-of-it", b"second-value-of-it")


def test_config_says_where_secrets_are(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        '[secrets.A]\nenv = "MINE"\n[secrets.B]\nfile = "keys/b"\n[secrets.C]\ncommand = ["pass", "show", "c"]\n'
    )
    assert read_settings({"WFCONSOLE_HOME": str(tmp_path)}).secrets == {
        "A": SecretSource(env="MINE"),
        "B": SecretSource(file=tmp_path / "keys/b"),
        "C": SecretSource(command=("pass", "show", "c")),
    }


@pytest.mark.parametrize(
    "text",
    ['env = ""', 'env = "A"\nfile = "b"', 'value = "hunter2"', "command = []", 'command = "pass"', "command = [1]", ""],
)
def test_a_secret_that_config_does_not_place_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.toml").write_text(f"[secrets.TOKEN]\n{text}\n")
    with pytest.raises(WfconsoleError, match="does not say where"):
        read_settings({"WFCONSOLE_HOME": str(tmp_path)})


def test_a_command_is_not_asked_again_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = f"echo x >>{tmp_path}/asked; echo a-value-that-is-long"
    secrets = OperatorSecrets({"TOKEN": SecretSource(command=("sh", "-c", script))}, {})
    for _ in range(3):
        read(secrets, "TOKEN")
    assert (tmp_path / "asked").read_text() == "x\n"
    monkeypatch.setattr("wfconsole.main.secrets.FRESH_S", -1.0)
    read(secrets, "TOKEN")
    assert (tmp_path / "asked").read_text() == "x\nx\n"
