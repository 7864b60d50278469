"""The real ssh-keygen and a real agent, with keys of several people."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wfconsole.signing.openssh import OpenSshSigner

MakeKey = Callable[..., Path]
MakeSigner = Callable[..., OpenSshSigner]


@pytest.fixture
def make_key(tmp_path: Path) -> MakeKey:
    """A key pair of somebody; the path of its private half."""

    def make(name: str, *, passphrase: str = "", kind: str = "ed25519") -> Path:
        path = tmp_path / "people" / name
        path.parent.mkdir(exist_ok=True)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", f"{name}@laptop", "-f", path],
            check=True,
            stdin=subprocess.DEVNULL,
        )
        return path

    return make


@pytest.fixture
def make_signer(tmp_path: Path) -> MakeSigner:
    """A signer of the state folder `tmp_path`; keywords replace what it is made of."""

    def make(**other: object) -> OpenSshSigner:
        values: dict[str, object] = {
            "keys": tmp_path / "state" / "keys",
            "allowed_signers": None,
            "own_key": None,
            "actor_name": "ann@desk",
            "agent_socket": None,
        }
        return OpenSshSigner(**(values | other))  # type: ignore[arg-type]  # keywords of the tests

    return make


@dataclass(frozen=True)
class Agent:
    socket: str

    def add(self, key: Path) -> None:
        environment = {"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": self.socket}
        subprocess.run(["ssh-add", "-q", key], env=environment, check=True, stdin=subprocess.DEVNULL)


@pytest.fixture
def agent() -> Iterator[Agent]:
    with tempfile.TemporaryDirectory(prefix="wf-agent-") as folder:  # pytest's own paths are too long for a socket
        socket = f"{folder}/socket"
        with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert "SSH_AUTH_SOCK" in process.stdout.readline(), "said once the socket is there"
            try:
                yield Agent(socket)
            finally:
                process.terminate()


def public(private: Path) -> str:
    return private.with_name(private.name + ".pub").read_text().strip()


@pytest.fixture
def allow(tmp_path: Path) -> Callable[..., Path]:
    """An allowed_signers file of these lines."""

    def write(*lines: str) -> Path:
        path = tmp_path / "allowed_signers"
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    return write
