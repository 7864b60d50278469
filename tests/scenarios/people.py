"""People with keys of their own who share one state folder and one allowed_signers file; each has a configuration and a key."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.scenarios.cli import Wfconsole

DECISION = "decision@wfconsole"
LISTED = ("ann", "bob", "cat", "dave")
"""Those whom the allowed_signers file names; dave's key is revoked, and mallory is nobody."""


class People:
    """`wf("ann")` is the program as ann has it."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.sockets: dict[str, str] = {}
        for name in (*LISTED, "mallory"):
            keygen("-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(top / name))
        lines = [f'{name} namespaces="*@wfconsole" {self.public(name)}' for name in LISTED]
        (top / "allowed_signers").write_text("\n".join([*lines, ""]))
        (top / "revoked").write_text(self.public("dave") + "\n")
        (top / "state" / "wfconsole").mkdir(parents=True)

    def public(self, name: str) -> str:
        return (self.top / f"{name}.pub").read_text().strip()

    def wf(self, name: str, **settings: str) -> Wfconsole:
        """The program as this person has it; `settings` go over the configuration, an empty one leaves it out."""
        plain = {
            "signing_key": str(self.top / f"{name}.pub"),
            "allowed_signers": str(self.top / "allowed_signers"),
            "revoked_keys": str(self.top / "revoked"),
        }
        config = self.top / "-".join(["config", name, *settings])
        (config / "wfconsole").mkdir(parents=True, exist_ok=True)
        lines = [f"{key} = {json.dumps(value)}" for key, value in {**plain, **settings}.items() if value]
        (config / "wfconsole" / "config.toml").write_text("\n".join([*lines, ""]))
        folders = {"XDG_STATE_HOME": "state", "XDG_DATA_HOME": "data", "XDG_CACHE_HOME": "cache"}
        extra = {variable: str(self.top / folder) for variable, folder in folders.items()}
        extra |= {"WFCONSOLE_HOME": "", "XDG_CONFIG_HOME": str(config), "SSH_AUTH_SOCK": self.sockets.get(name, "")}
        return Wfconsole(self.top / "state" / "wfconsole", extra)

    @contextmanager
    def agent(self, name: str) -> Iterator[None]:
        """An agent of this person's own, which from here on is the only place where the private key is."""
        with tempfile.TemporaryDirectory(prefix="wf-agent-") as folder:
            socket = f"{folder}/socket"
            with subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert "SSH_AUTH_SOCK" in process.stdout.readline()
                key = self.top / name
                environment = {"PATH": os.environ["PATH"], "SSH_AUTH_SOCK": socket}
                subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, stdin=subprocess.DEVNULL)
                content = key.read_bytes()
                key.unlink()
                self.sockets[name] = socket
                try:
                    yield
                finally:
                    del self.sockets[name]
                    key.touch(0o600)
                    key.write_bytes(content)
                    process.terminate()

    def signed(
        self,
        name: str,
        wf: Wfconsole,
        run_id: str,
        gate: str,
        *more: str,
        claimed: str | None = None,
        namespace: str = DECISION,
        change: Mapping[str, Any] | None = None,
    ) -> bytes:
        """A decision that this person signed by hand with ssh-keygen, as `decide --payload` takes it; `change` comes after.

        `claimed` is in whose name.
        """
        shown = wf.run("approvals", run_id, gate, "--payload", "--as", claimed or name, *more)
        assert shown.code == 0, shown.err
        signature = keygen("-q", "-Y", "sign", "-f", str(self.top / name), "-n", namespace, stdin=shown.stdout)
        payload = {**json.loads(shown.stdout), **(change or {})}
        return json.dumps({"payload": payload, "signature": signature.decode()}).encode()


def keygen(*argv: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["ssh-keygen", *argv], input=stdin, capture_output=True, check=True).stdout


def principals(view: Mapping[str, Any], gate: int = 0) -> Sequence[tuple[str, str]]:
    """Who decided what, in order."""
    return [(each["actor"], each["choice"]) for each in view["approvals"][gate]["decisions"]]
