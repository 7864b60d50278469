"""The connection to the local Docker engine: made at the first call, each call with a deadline, errors translated.

Refuses to know containers' meaning, and any engine that is not on this machine: bind mounts and the start gate would
silently mean another host's files. What would surprise: a call that times out is SANDBOX_UNAVAILABLE, never retried here.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.threads import Threads

T = TypeVar("T")
Client = Any
"""A `LocalClient`: imported at the first call, and its stubs leave half of what we use untyped."""
DEFAULT_HOST = "unix:///var/run/docker.sock"
CALL_S = 30.0
"""How long an engine may take to answer before it counts as wedged."""

CALLS, WAITS = 16, 256
"""Calls and waits at once; each has a connection, and the pool holds them all, or it would complain on stderr."""


class Missing(Exception):  # noqa: N818  # an answer of the engine, not a failure
    """The engine does not know the object."""


class Conflict(Exception):  # noqa: N818  # an answer of the engine, not a failure
    """The engine refuses because of the object's present state: a name in use, a container that is not running."""


class AwayError(WfconsoleError):
    """SANDBOX_UNAVAILABLE because nothing answers: it may be starting, stopping, or stuck."""


class Engine:
    """One lazily made client. `host` is a ``unix://`` address; None reads DOCKER_HOST at the first call."""

    def __init__(self, host: str | None = None) -> None:
        self._host = host
        self._client: Client | None = None
        self._first = threading.Lock()
        self._identity: str | None = None
        self._threads = Threads(CALLS, "wfconsole-docker")
        self._waits = Threads(WAITS, "wfconsole-docker-wait")

    @property
    def has_answered(self) -> bool:
        """Whether this process has ever reached it."""
        return self._client is not None

    @property
    def socket_path(self) -> str:
        """The engine's socket; refuses every address that is not a local socket."""
        host = self._host or os.environ.get("DOCKER_HOST") or DEFAULT_HOST
        if not host.startswith("unix://"):
            raise WfconsoleError(
                "SANDBOX_UNAVAILABLE",
                f"DOCKER_HOST is {host}: sandboxes mount folders of this machine, so the engine must run on it",
                "unset DOCKER_HOST, or set it to unix:///var/run/docker.sock",
            )
        return host.removeprefix("unix://")

    async def call(self, function: Callable[[Client], T], *, seconds: float = CALL_S, waiting: bool = False) -> T:
        """`function(client)` in a thread. Raises Missing, Conflict, or WfconsoleError SANDBOX_UNAVAILABLE."""
        threads = self._waits if waiting else self._threads
        try:
            return await threads.call(lambda: self._guarded(function), deadline=seconds + 5)
        except TimeoutError:
            raise wedged(seconds) from None

    async def offload(self, function: Callable[[], T], *, seconds: float = 600.0) -> T:
        """Work on files in a thread of this adapter, so that the event loop goes on."""
        return await self._threads.call(function, deadline=seconds)

    async def identity(self) -> str:
        """The engine's own id: names the gate that all processes share. Refuses Docker Desktop."""
        if self._identity is None:
            info: dict[str, Any] = await self.call(lambda client: client.info())
            refuse_desktop(info)
            self._identity = str(info.get("ID") or info.get("Name") or "engine")
        return self._identity

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _guarded(self, function: Callable[[Client], T]) -> T:
        from docker.errors import APIError, DockerException
        from requests.exceptions import RequestException, Timeout as RequestTimeout

        try:
            return function(self._connect())
        except APIError as error:
            raise _answer(error) from error
        except RequestTimeout as error:
            raise wedged(CALL_S) from error
        except (DockerException, RequestException, OSError) as error:
            raise self.unreachable(error) from error

    def _connect(self) -> Client:
        path = self.socket_path
        with socket.socket(socket.AF_UNIX) as probe:  # 30 us; the SDK hides why a socket refuses
            probe.settimeout(CALL_S)
            probe.connect(path)
        with self._first:
            if self._client is None:
                from wfconsole.sandbox.client import LocalClient

                self._client = LocalClient(
                    base_url=f"unix://{path}", version="auto", timeout=int(CALL_S), max_pool_size=CALLS + WAITS
                )
            return self._client

    def unreachable(self, error: Exception) -> WfconsoleError:
        """Why the engine did not answer, and what to do about it."""
        path = self.socket_path
        if isinstance(error, PermissionError):
            return WfconsoleError(
                "SANDBOX_UNAVAILABLE",
                f"no permission to use the Docker engine at {path}",
                "add your account to the group docker and log in again, or run as root",
            )
        if isinstance(error, FileNotFoundError):
            return AwayError(
                "SANDBOX_UNAVAILABLE",
                f"there is no Docker engine at {path}",
                "install and start Docker (Debian: apt-get install docker.io), then run `wfconsole doctor`",
            )
        return AwayError(
            "SANDBOX_UNAVAILABLE",
            f"the Docker engine at {path} does not answer: {error}",
            "start it (systemctl start docker), then run `wfconsole doctor`",
        )


def refuse_desktop(info: Mapping[str, Any]) -> None:
    """Raises SANDBOX_UNAVAILABLE for Docker Desktop, whose socket is of this machine and whose engine is not."""
    if "docker desktop" in str(info.get("OperatingSystem", "")).lower() or info.get("Name") == "docker-desktop":
        raise WfconsoleError(
            "SANDBOX_UNAVAILABLE",
            "this is Docker Desktop: its engine runs in a virtual machine, with folders and limits of its own",
            "use an engine of this machine itself: set DOCKER_HOST=unix:///var/run/docker.sock, or run wfconsole on a Linux host",
        )


def wedged(seconds: float) -> WfconsoleError:
    return AwayError(
        "SANDBOX_UNAVAILABLE",
        f"the Docker engine gave no answer within {seconds:.0f} s",
        "it may be overloaded or stuck: look at `docker info` and restart the engine",
    )


def _answer(error: Any) -> Exception:
    status = error.response.status_code if error.response is not None else 0
    text = str(error.explanation or error)
    if status == 404:
        return Missing(text)
    if status in (304, 409):
        return Conflict(text)
    return WfconsoleError("SANDBOX_UNAVAILABLE", f"the Docker engine refused: {text}", "run `wfconsole doctor`")
