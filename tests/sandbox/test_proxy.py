"""The proxy's decisions, without an engine: what a request names, what may be reached, what is told."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.network import places
from wfconsole.sandbox.proxy import TOLD, Gatekeeper, _target, direct, serve_http


@pytest.mark.parametrize(
    ("method", "address", "wanted"),
    [
        (b"CONNECT", b"example.test:443", ("example.test", 443, b"")),
        (b"CONNECT", b"[::1]:443", ("[::1]", 443, b"")),
        (b"GET", b"http://example.test/a?b=c", ("example.test", 80, b"/a?b=c")),
        (b"GET", b"HTTP://example.test:8080", ("example.test", 8080, b"/")),
        (b"GET", b"http://example.test?q", ("example.test", 80, b"/?q")),
        (b"CONNECT", b"example.test", None), (b"CONNECT", b"example.test:x", None), (b"GET", b"/path", None),
        (b"GET", b"http://user@example.test/", None), (b"GET", b"ftp://example.test/", None), (b"GET", b"http://\xff/", None),
    ],
)  # fmt: skip
def test_what_a_request_names(method: bytes, address: bytes, wanted: object) -> None:
    assert _target(method, address) == wanted


@given(st.sampled_from([b"CONNECT", b"GET"]), st.binary(max_size=60))
def test_no_address_breaks_it(method: bytes, address: bytes) -> None:
    found = _target(method, address)
    assert found is None or isinstance(found[1], int)


def keeper(tmp_path: Path, *allowed: tuple[str, int], gateways: tuple[str, ...] = ("172.17.0.1",)) -> Gatekeeper:
    return Gatekeeper(allowed, tmp_path / "refused", gateways)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.1.2.3", "0.0.0.0", "169.254.169.254", "172.17.0.1", "224.0.0.1", "::1", "::", "fe80::1%eth0",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:172.17.0.1",
    ],
)  # fmt: skip
def test_addresses_of_the_machine_itself_are_not_elsewhere(tmp_path: Path, address: str) -> None:
    assert not keeper(tmp_path)._is_elsewhere(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "172.17.0.2", "2001:db8::1"])
def test_others_are(tmp_path: Path, address: str) -> None:
    assert keeper(tmp_path)._is_elsewhere(address)


def test_a_listed_name_that_leads_to_the_machine_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        guard = keeper(tmp_path, ("localhost", port))
        assert asyncio.run(guard.open("LocalHost.", port)) is None
    assert (tmp_path / "refused").read_text() == f"localhost:{port}\n"


def test_what_is_refused_is_told_once_and_in_plain_characters(tmp_path: Path) -> None:
    guard = keeper(tmp_path, ("example.test", 443))
    for host in ("other.test", "other.test", "a\x1b[2Jb\n", "example.test"):
        assert asyncio.run(guard.open(host, 80)) is None
    assert (tmp_path / "refused").read_text().splitlines() == ["other.test:80", "a??2jb?:80", "example.test:80"]
    for number in range(TOLD * 2):
        asyncio.run(guard.open(f"h{number}", 1))
    assert len((tmp_path / "refused").read_text().splitlines()) == TOLD


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"CONNECT other.test:443 HTTP/1.1\r\n\r\n", b"403"),
        (b"GET http://other.test/ HTTP/1.1\r\nHost: example.test\r\n\r\n", b"403"),
        (b"nonsense\r\n\r\n", b"400"), (b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n", b"400"),
        (b"CONNECT nowhere.invalid:443 HTTP/1.1\r\n\r\n", b"502"),
    ],
)  # fmt: skip
def test_answers(tmp_path: Path, request_: bytes, status: bytes) -> None:
    async def whole() -> bytes:
        guard = keeper(tmp_path, ("example.test", 80), ("nowhere.invalid", 443))

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await serve_http(guard, reader, writer)
            writer.close()

        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(request_)
            answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            await writer.wait_closed()
            return answer

    assert asyncio.run(whole()).split()[1] == status


def test_a_port_stands_for_its_host_only_when_no_other_has_it() -> None:
    assert direct([("a", 443), ("b", 443), ("db", 5432), ("db", 5432), ("x", 3128)]) == {5432: ("db", 5432)}


@pytest.mark.parametrize("text", ["example.test:443", "[2001:db8::1]:80", "10.0.0.1:65535", "a_b-c:1"])
def test_places(text: str) -> None:
    ((host, port),) = places([text])
    assert text in {f"{host}:{port}", f"[{host}]:{port}"}


@pytest.mark.parametrize(
    "text", ["example.test", "a b:1", ":1", "x:0", "x:65536", "x:1/", "x:-1", "http://x:1", "*:443", "x:1\n"]
)
def test_what_is_no_place(text: str) -> None:
    with pytest.raises(WfconsoleError, match="is no host:port"):
        places([text])
