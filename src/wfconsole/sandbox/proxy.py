"""The proxy of one attempt's network: a program of its own that runs in a container, and lets through what its list names.

It is read as a file and imports nothing of this package. Owns the decision about each connection. What would surprise: a name
on the list that leads to the machine itself (its loopback, the bridge's gateway, link-local addresses as those of metadata
services) is refused like one that is not listed.

Three ways in: CONNECT and plain HTTP requests on port 3128, and, for programs that know no proxy, each listed port itself
where only one listed host has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import pathlib
import re
import socket
import sys
from collections.abc import Sequence

PORT = 3128
HEAD_BYTES = 65536
HEAD_S = 30.0
CONNECT_S = 20.0
CHUNK = 65536
TOLD = 50
_LINE = re.compile(rb"([A-Z]{1,20}) (\S{1,8192}) (HTTP/1\.[01])")
_HOP = (b"proxy-", b"connection:", b"keep-alive:")


class Gatekeeper:
    """What may be reached; remembers what was refused, in a file that the host reads."""

    def __init__(self, allowed: Sequence[tuple[str, int]], told: pathlib.Path, gateways: Sequence[str]) -> None:
        self._allowed = {(host.lower().rstrip("."), port) for host, port in allowed}
        self._told = told
        self._gateways = {ipaddress.ip_address(gateway) for gateway in gateways}
        self._refused: set[str] = set()

    async def open(self, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection, or None when it is not allowed. Raises OSError when it cannot be made."""
        host = host.lower().strip("[]").rstrip(".")
        if (host, port) not in self._allowed:
            self._refuse(host, port)
            return None
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        fit = [str(place[4][0]) for place in found if self._is_elsewhere(str(place[4][0]))]
        if not fit:
            self._refuse(host, port)
            return None
        failure: Exception = OSError("nothing to connect to")
        for address in dict.fromkeys(fit):
            try:
                return await asyncio.wait_for(asyncio.open_connection(address, port), CONNECT_S)
            except (OSError, TimeoutError) as error:
                failure = error
        raise OSError(str(failure))

    def _is_elsewhere(self, text: str) -> bool:
        address = ipaddress.ip_address(text.partition("%")[0])
        address = getattr(address, "ipv4_mapped", None) or address
        own = address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
        return not own and address not in self._gateways

    def _refuse(self, host: str, port: int) -> None:
        name = re.sub(r"[^A-Za-z0-9.:_-]", "?", host)[:253] + f":{port}"
        if name not in self._refused and len(self._refused) < TOLD:
            self._refused.add(name)
            with contextlib.suppress(OSError), self._told.open("a") as file:
                file.write(name + "\n")


async def serve_http(keeper: Gatekeeper, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One client of the proxy: CONNECT, or a request with a whole address."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HEAD_S)
    first, *headers = head[:-4].split(b"\r\n")
    line = _LINE.fullmatch(first)
    where = _target(line[1], line[2]) if line else None
    if line is None or where is None:
        await _answer(writer, "400 Bad Request")
        return
    host, port, path = where
    try:
        opened = await keeper.open(host, port)
    except OSError:
        await _answer(writer, "502 Bad Gateway")
        return
    if opened is None:
        await _answer(writer, "403 Forbidden")
        return
    upstream, downstream = opened
    if line[1] == b"CONNECT":
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
    else:
        kept = [header for header in headers if not header.lower().startswith(_HOP)]
        request = b" ".join((line[1], path, line[3]))
        downstream.write(b"\r\n".join((request, *kept, b"Connection: close", b"", b"")))
    await _relay(reader, writer, upstream, downstream)


async def serve_port(
    keeper: Gatekeeper, place: tuple[str, int], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """One client that believes to talk to `place` itself."""
    opened = await keeper.open(*place)
    if opened is not None:
        await _relay(reader, writer, *opened)


def _target(method: bytes, address: bytes) -> tuple[str, int, bytes] | None:
    """Host, port and path that a request names."""
    try:
        text = address.decode("ascii")
        if method == b"CONNECT":
            host, _, port = text.rpartition(":")
            return (host, int(port), b"") if host else None
        match = re.fullmatch(r"http://([^/?#@\s]+?)(?::(\d{1,5}))?([/?].*)?", text, re.IGNORECASE)
        if match is None:
            return None
        path = match[3] or "/"
        return match[1], int(match[2] or 80), (path if path.startswith("/") else "/" + path).encode()
    except ValueError:
        return None


async def _answer(writer: asyncio.StreamWriter, status: str) -> None:
    text = f"{status}: see `network` of the step\n".encode()
    writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode() + text)
    await writer.drain()


async def _relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    upstream: asyncio.StreamReader,
    downstream: asyncio.StreamWriter,
) -> None:
    try:
        await asyncio.gather(_copy(reader, downstream), _copy(upstream, writer))
    finally:
        downstream.close()


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()


def gateways() -> list[str]:
    """Addresses of this machine's default gateways, which are the host."""
    found = []
    for line in pathlib.Path("/proc/net/route").read_text().splitlines()[1:]:
        words = line.split()
        if words[1] == "00000000" and words[2] != "00000000":
            found.append(socket.inet_ntoa(bytes.fromhex(words[2])[::-1]))
    return found


def direct(allowed: Sequence[tuple[str, int]]) -> dict[int, tuple[str, int]]:
    """The ports that stand for one host alone."""
    ports: dict[int, set[str]] = {}
    for host, port in allowed:
        ports.setdefault(port, set()).add(host)
    return {port: (hosts.pop(), port) for port, hosts in ports.items() if len(hosts) == 1 and port != PORT}


async def main(folder: pathlib.Path) -> None:
    """Serve until killed. `folder` holds list.json; `refused` and `ready` are written there."""
    allowed = [(host, port) for host, port in json.loads((folder / "list.json").read_text())]
    keeper = Gatekeeper(allowed, folder / "out" / "refused", gateways())

    async def guarded(work: object, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
            if isinstance(work, tuple):
                await serve_port(keeper, work, reader, writer)
            else:
                await serve_http(keeper, reader, writer)
        writer.close()

    async def listen(port: int, work: object) -> None:
        await asyncio.start_server(lambda r, w: guarded(work, r, w), "0.0.0.0", port, limit=HEAD_BYTES)  # noqa: S104

    await listen(PORT, None)
    for port, place in direct(allowed).items():
        await listen(port, place)
    (folder / "out" / "ready").write_text("ready\n")
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(pathlib.Path(sys.argv[1])))
