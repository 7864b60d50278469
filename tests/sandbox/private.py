"""A second engine, so that one can be ended, killed or stopped and nobody else's containers are touched."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from docker.errors import DockerException

POSSIBLE = os.geteuid() == 0 and bool(shutil.which("dockerd")) and bool(shutil.which("unshare"))
"""Whether this machine lets us start one."""


class EngineError(RuntimeError):
    """It was started, and no socket came."""


class PrivateEngine:
    """A second dockerd with folders and a network of its own.

    Without its own network namespace ``--bridge none`` would remove the bridge of the engine that is already there.
    """

    def __init__(self, top: Path, *options: str) -> None:
        self.top = top
        self.options = options
        self.host = f"unix://{top}/docker.sock"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        for left in ("docker.pid", "exec/containerd/containerd.pid"):  # of a daemon that was killed
            (self.top / left).unlink(missing_ok=True)
        with (self.top / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [
                    "unshare", "--net", "dockerd", "--data-root", f"{self.top}/data", "--exec-root", f"{self.top}/exec",
                    "--pidfile", f"{self.top}/docker.pid", "-H", self.host, "--bridge", "none", "--iptables=false",
                    *self.options,
                ],
                stdout=log, stderr=log,
            )  # fmt: skip
        self.client().close()

    def client(self) -> Any:
        """Once it answers; a daemon tells nobody that it is up, and may break off what came too early."""
        from wfconsole.sandbox.client import LocalClient

        refused: Exception | None = None
        for _ in range(300):
            try:
                return LocalClient(base_url=self.host, version="auto")
            except DockerException as error:
                refused = error
            if self.process is None or self.process.poll() is not None:
                break
            time.sleep(0.1)
        log = (self.top / "log").read_text()[-300:]
        raise EngineError(f"a private dockerd does not start here: {log}") from refused

    def end(self, number: signal.Signals) -> None:
        """End the daemon; with KILL also its containerd, which it would leave behind."""
        assert self.process is not None
        containerd = self.top / "exec" / "containerd" / "containerd.pid"
        pid = int(containerd.read_text()) if number is signal.SIGKILL and containerd.exists() else None
        self.process.send_signal(number)
        self.process.wait(60)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            while lives(pid):
                time.sleep(0.01)

    def _left(self) -> list[int]:
        """Shims of this engine, which name its folder, and the first process in each of their containers."""
        parents: dict[int, int] = {}
        shims: set[int] = set()
        for place in Path("/proc").glob("[0-9]*"):
            with suppress(OSError, IndexError):
                parents[int(place.name)] = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                words = (place / "cmdline").read_bytes().split(b"\0")
                if b"containerd-shim" in words[0] and any(str(self.top).encode() in word for word in words):
                    shims.add(int(place.name))
        return [*shims, *(pid for pid, parent in parents.items() if parent in shims)]

    def clear(self) -> None:
        """Remove what it kept; a daemon leaves its data folder mounted on itself, and one that was killed its containers."""
        for pid in self._left():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for place in (self.top / "exec" / "netns").glob("*"):
            subprocess.run(["umount", "--lazy", str(place)], check=False, capture_output=True)
        subprocess.run(["umount", "--lazy", f"{self.top}/data"], check=False, capture_output=True)
        shutil.rmtree(self.top, ignore_errors=True)


def lives(pid: int) -> bool:
    """Where nobody reaps them, the dead stay in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def running(*options: str) -> Iterator[PrivateEngine]:
    """One with these options, up; gone with all its data afterwards, in whatever state it was left. Raises EngineError."""
    engine = PrivateEngine(Path(tempfile.mkdtemp(prefix="wfd-")), *options)
    try:
        engine.start()
        yield engine
    finally:
        if engine.process is not None and engine.process.poll() is None:
            engine.process.send_signal(signal.SIGCONT)
            engine.end(signal.SIGTERM)
        engine.clear()
