"""A Docker client that leaves no socket behind: neither a connect that fails nor a construction that fails keeps one open.

Owns the connection class below the SDK's local transport. Refuses to know what is asked of the engine. What would surprise: the
SDK creates its adapter inside its constructor and asks the engine for its version there, so `mount` is where ours replaces it.
"""

from __future__ import annotations

import socket
from typing import Any

import requests
from docker import APIClient, DockerClient
from docker.transport import UnixHTTPAdapter
from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool


class LocalClient(APIClient):
    """`docker.APIClient` on a ``unix://`` socket; other addresses keep the SDK's transport."""

    def __init__(self, **options: Any) -> None:
        try:
            super().__init__(**options)
        except BaseException:
            self.close()  # else a pool with the connection that asked for the version stays for the garbage collector
            raise

    def mount(self, prefix: str | bytes, adapter: requests.adapters.BaseAdapter) -> None:
        if isinstance(adapter, UnixHTTPAdapter):
            adapter = _Adapter(
                f"http+unix://{adapter.socket_path}", adapter.timeout, max_pool_size=adapter.max_pool_size
            )
        super().mount(prefix, adapter)

    def close(self) -> None:
        if hasattr(self, "adapters"):  # the options may have been refused before there were any
            super().close()


class LocalDocker(DockerClient):
    """`docker.DockerClient` over a `LocalClient`; `LocalDocker.from_env()` reads the environment as the original does."""

    def __init__(self, **options: Any) -> None:  # the original's constructor does nothing but make its own client
        self.api = LocalClient(**options)


class _Adapter(UnixHTTPAdapter):
    """One pool: the SDK's keeps one for each URL, reuses next to nothing, and may close one that a thread has just been given."""

    def get_connection(self, url: bytes | str, proxies: Any = None) -> UnixHTTPConnectionPool:  # noqa: ARG002  # theirs
        with self.pools.lock:
            pool: UnixHTTPConnectionPool | None = self.pools.get(self.socket_path)
            if pool is None:
                pool = _Pool("http+docker://localhost", self.socket_path, self.timeout, maxsize=self.max_pool_size)
                self.pools[self.socket_path] = pool
        return pool


class _Pool(UnixHTTPConnectionPool):
    def __init__(self, base_url: str, socket_path: str, timeout: int, maxsize: int) -> None:
        super().__init__(base_url, socket_path, timeout, maxsize)
        self._seconds = timeout

    def _new_conn(self) -> UnixHTTPConnection:  # type: ignore[override]  # as the SDK's own; the stubs leave it out
        return _Connection(self.base_url, self.socket_path, self._seconds)


class _Connection(UnixHTTPConnection):
    def connect(self) -> None:
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            fresh.settimeout(self.timeout)
            fresh.connect(self.unix_socket)
        except BaseException:
            fresh.close()
            raise
        self.sock = fresh
