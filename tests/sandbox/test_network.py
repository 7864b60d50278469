"""An allow-list on a real engine: the listed places are reached, and nothing else is, the host's own services least of all."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.lab import Lab
from wfconsole.ports import DriftError, WfconsoleError
from wfconsole.sandbox.docker import DockerSandbox
from wfconsole.sandbox.labels import container_name
from wfconsole.sandbox.locks import HostLocks

pytestmark = [pytest.mark.engine, pytest.mark.usefixtures("python_lab")]
PYTHON = "python"


class Echo:
    """A server on every address of the host: tells who came, and answers like a web server."""

    def __init__(self) -> None:
        self.came: list[str] = []
        self._listening = socket.create_server(("0.0.0.0", 0), backlog=16)
        self.port = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                client, address = self._listening.accept()
            except OSError:
                return
            self.came.append(address[0])
            client.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()


@pytest.fixture
def host_service() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


SERVER = r"""
import http.server, socketserver, threading
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"page {self.path} for {self.headers['Host']}\n".encode()
        self.send_response(200); self.send_header("Content-Length", str(len(body))); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
class Line(socketserver.BaseRequestHandler):
    def handle(self): self.request.sendall(b"line " + self.request.recv(100))
http.server.ThreadingHTTPServer.allow_reuse_address = True
threading.Thread(target=socketserver.ThreadingTCPServer(("0.0.0.0", 7777), Line).serve_forever).start()
http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Page).serve_forever()
"""


@pytest.fixture
def server(lab: Lab) -> Iterator[str]:
    """The address of a machine elsewhere: a container on the default bridge with a web server and a service that is none."""
    client: Any = lab.client
    made = client.create_container(
        f"wfconsole/{PYTHON}", ["python3", "-c", SERVER], host_config=client.create_host_config(network_mode="bridge")
    )
    client.start(made["Id"])
    address = client.inspect_container(made["Id"])["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
    until = asyncio.run(_answers(address, 8080))
    assert until
    yield address
    client.remove_container(made["Id"], force=True)


async def _answers(address: str, port: int) -> bool:
    for _ in range(200):
        with suppress(OSError):
            _, writer = await asyncio.open_connection(address, port)
            writer.close()
            return True
        await asyncio.sleep(0.05)  # a server of another container tells nobody that it is ready
    return False


def python(lab: Lab, script: str, **changes: Any) -> str:
    result = lab.run(("python3", "-c", script), template=PYTHON, **changes)
    assert result.end.exit_code == 0, result.err().decode()
    return result.out().decode()


GET = """
import urllib.request, urllib.error
def get(url):
    try:
        return urllib.request.urlopen(url, timeout=5).read().decode().strip()
    except urllib.error.HTTPError as error:
        return f"refused {error.code}"
    except Exception as error:
        return "nothing"
"""
CONNECT = """
import os, socket
def through(place, say=b""):
    host, port = os.environ["HTTPS_PROXY"].removeprefix("http://").split(":")
    s = socket.create_connection((host, int(port)), 5)
    s.sendall(f"CONNECT {place} HTTP/1.1\\r\\n\\r\\n".encode())
    answer = s.recv(1000).split(b"\\r\\n")[0]
    s.sendall(say)
    return (answer + b" " + (s.recv(1000) if say else b"")).decode()
def gateway():
    rows = [line.split() for line in open("/proc/net/route").readlines()[1:]]
    return socket.inet_ntoa(bytes.fromhex(next(row[2] for row in rows if row[1] == "0" * 8))[::-1])
def direct(host, port, timeout=3):
    try:
        socket.create_connection((host, port), timeout).close()
        return "reached"
    except OSError as error:
        return "closed"
"""


def test_listed_places_are_reached_by_proxy_and_others_are_not(lab: Lab, server: str) -> None:
    script = (
        f"{GET}{CONNECT}\n"
        f"print(get('http://{server}:8080/a?b')); print(through('{server}:7777', b'hello'))\n"
        f"print(get('http://{server}:7777/')); print(get('http://other.test/')); print(through('{server}:22'))\n"
        f"print(direct('{server}', 8080))"
    )
    spec = lab.spec(("python3", "-c", script), template=PYTHON, network=(f"{server}:8080", f"{server}:7777"))
    told = lab.play(spec)
    lines = told.out().decode().splitlines()
    assert lines[0] == f"page /a?b for {server}:8080"
    assert lines[1] == "HTTP/1.1 200 Connection established line hello"
    assert lines[3] == "refused 403"
    assert lines[4].startswith("HTTP/1.1 403")
    assert lines[5] == "closed"  # it is the proxy or nothing
    assert told.end.refused == ("other.test:80", f"{server}:22")


def test_a_program_that_knows_no_proxy_finds_a_listed_name_at_the_proxy(lab: Lab, server: str) -> None:
    """The name leads to the proxy; that it leads nowhere from there shows that the proxy resolved it, not the sandbox."""
    script = f"{CONNECT}\nprint(socket.gethostbyname('db.test')); print(direct('db.test', 5432)); print(direct('db.test', 5433))"
    lines = python(lab, script, network=("db.test:5432",)).splitlines()
    assert lines[0].count(".") == 3
    assert lines[1:] == ["reached", "closed"]


def test_the_hosts_own_services_are_closed(lab: Lab, host_service: Echo) -> None:
    """Neither by the sandbox itself nor through its proxy, also where the list names them (but for the machine's own address)."""
    bridge = lab.client.inspect_network("bridge")["IPAM"]["Config"][0]["Gateway"]
    port = host_service.port
    script = (
        f"{CONNECT}\n"
        f"for place in (gateway(), '{bridge}', '{_own_address()}', '169.254.169.254', '127.0.0.1'):\n"
        f"    print(direct(place, {port}, 1), through(f'{{place}}:{port}').split()[1])"
    )
    listed = tuple(f"{place}:{port}" for place in (bridge, "169.254.169.254", "127.0.0.1"))
    lines = python(lab, script, network=(*listed, "example.test:443")).splitlines()
    assert len(lines) == 5
    assert {line.split()[0] for line in lines} == {"closed"}
    assert {line.split()[1] for line in lines} == {"403"}
    assert host_service.came == []


def _own_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        with suppress(OSError):
            probe.connect(("192.0.2.1", 9))
        return str(probe.getsockname()[0])


ASK = r"""
import socket
try: socket.gethostbyname('secret.leak.test')
except OSError: print('unknown')
query = bytes.fromhex('abcd01000001000000000000') + b'\x04leak\x04test\x00\x00\x01\x00\x01'
asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
asking.settimeout(1)
asking.sendto(query, ('127.0.0.11', 53))
try: print('answer', asking.recv(1000)[3] & 15)
except TimeoutError: print('nothing')
"""


def test_no_name_leaves_by_dns(lab: Lab) -> None:
    """The engine's resolver in the sandbox asks nobody: a name server of the host's loopback, or of the host, hears nothing."""
    heard: list[bytes] = []
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        server.bind(("127.0.0.1", 53))
    except OSError:
        server.close()
        pytest.skip("port 53 of the loopback cannot be had here")
    server.settimeout(0.2)
    with server:
        told = python(lab, ASK, network=("example.test:443",)).splitlines()
        assert told[0] == "unknown"
        assert told[1] in {"nothing", "answer 2"}  # 2: the resolver could ask nobody
        with suppress(TimeoutError):
            heard.append(server.recv(1000))
    assert heard == []


def test_network_and_proxy_go_with_the_container(lab: Lab) -> None:
    spec = lab.spec(("true",), network=("example.test:443",))
    name = container_name(lab.database_id, spec)
    during: list[int] = []

    async def look(_: DockerSandbox, __: object) -> None:
        during.append(len(lab.client.networks(names=[f"{name}-net"])))

    lab.play(spec, look)
    assert during == [1]
    assert lab.client.networks(names=[f"{name}-net"]) == []
    assert not (spec.in_dir.parent / "proxy").exists()


def test_a_network_whose_container_cannot_be_made_is_taken_away(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = lab.spec(("true",), network=("example.test:443",))

    async def broken(*_: object) -> str:
        raise WfconsoleError("SANDBOX_UNAVAILABLE", "no more containers")

    monkeypatch.setattr(DockerSandbox, "_launch", broken)
    with pytest.raises(WfconsoleError, match="no more containers"):
        lab.play(spec)
    assert lab.client.networks(names=[f"{container_name(lab.database_id, spec)}-net"]) == []


def test_the_sandbox_has_no_way_but_its_proxy(lab: Lab) -> None:
    script = (
        "grep -c '^nameserver 127.0.0.1$' /etc/resolv.conf; ls /sys/class/net; cat /proc/net/if_inet6 | grep -v ' lo$'"
    )
    assert lab.sh(script, network=("example.test:443",)).out().split() == [b"1", b"eth0", b"lo"]


def test_the_program_of_the_proxy_is_read_only(lab: Lab, tmp_path: Path) -> None:
    spec = lab.spec(("sleep", "600"), network=("example.test:443",))
    folder = spec.in_dir.parent / "proxy"
    seen: list[Any] = []

    async def look(sandbox: DockerSandbox, handle: Any) -> None:
        seen.append(lab.client.inspect_container(f"{handle.name}-proxy"))
        await sandbox.stop(handle, force=True)

    lab.play(spec, look)
    mounts = {mount["Destination"]: mount["RW"] for mount in seen[0]["Mounts"]}
    assert mounts == {"/proxy": False, "/proxy/out": True}
    assert seen[0]["HostConfig"]["CapDrop"] == ["ALL"]
    assert not folder.exists()


def test_a_network_that_has_lost_its_container_is_swept(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = lab.spec(("true",), network=("example.test:443",))
    name = container_name(lab.database_id, spec)

    async def whole() -> list[int]:
        dead = lab.sandbox()
        handle = await dead.prepare(spec)
        lab.client.remove_container(handle.container_id, force=True)
        await dead.close()
        living = lab.sandbox()
        young = await living.sweep()
        monkeypatch.setattr("wfconsole.sandbox.sweep.YOUNG_S", -1.0)
        swept = [young, await living.sweep(), await living.sweep()]
        await living.close()
        return swept

    assert asyncio.run(whole()) == [0, 1, 0]
    assert lab.client.networks(names=[f"{name}-net"]) == []


def test_the_proxy_is_made_from_the_locked_image(lab: Lab) -> None:
    lock = lab.locks.read(PYTHON)
    spec = lab.spec(("sleep", "600"), network=("example.test:443",))
    seen: list[str] = []

    async def look(sandbox: DockerSandbox, handle: Any) -> None:
        seen.append(lab.client.inspect_container(f"{handle.name}-proxy")["Image"])
        await sandbox.stop(handle, force=True)

    lab.play(spec, look)
    assert seen == [lock.image_id]


@pytest.mark.parametrize("how", ["no lock", "edited", "image gone"])
def test_without_an_intact_lock_of_its_template_there_is_no_proxy(lab: Lab, tmp_path: Path, how: str) -> None:
    lab.locks = HostLocks(Path(shutil.copytree(lab.locks.folder, tmp_path / "locks")))
    path = lab.locks.path(PYTHON)
    lock = lab.locks.find(PYTHON)
    assert lock is not None
    lock = replace(lock, files={}, policy=replace(lock.policy, on_mismatch="fallback", fallback_template="base"))
    if how == "no lock":
        path.unlink()
    elif how == "edited":
        lab.locks.write(lock)
    else:
        gone = replace(lock, image={**lock.image, "id": f"sha256:{'0' * 64}"}).sealed()
        lab.locks.write(gone)
        stamp = lab.locks.folder / f"{PYTHON}.probed.json"
        stamp.write_text(json.dumps({**json.loads(stamp.read_text()), "lock": gone.digest}))
    spec = lab.spec(("true",), network=("example.test:443",))
    with pytest.raises(WfconsoleError) as caught:
        lab.play(spec)
    assert caught.value.code == ("ENV_DRIFT" if how == "edited" else "TEMPLATE_MISSING")
    if isinstance(caught.value, DriftError):
        assert caught.value.drift.fallback_template is None
    assert lab.client.networks(names=[f"{container_name(lab.database_id, spec)}-net"]) == []
