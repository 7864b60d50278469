"""Tiny images for tests on a real engine, imported from a tar made here: no registry, no build."""

from __future__ import annotations

import asyncio
import atexit
import io
import shutil
import tarfile
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

from wfconsole.sandbox.engine import Engine
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.locks import HostLock, HostLocks
from wfconsole.sandbox.templates.lock import Workshop
from wfconsole.sandbox.templates.shape import Template

BUSYBOX_TEST = "busybox-test"
"""Template name of an image that has a busybox with links for its applets, /etc, /usr/bin, and nothing else."""

APPLETS = (
    "awk", "cat", "chmod", "cut", "dd", "echo", "env", "false", "grep", "head", "id", "kill", "ln", "ls", "mkdir", "mkfifo",
    "mount", "mv", "nc", "od", "printf", "ps", "pwd", "rm", "sed", "seq", "setsid", "sh", "sha256sum", "sleep", "stat",
    "tail", "test", "touch", "tr", "true", "unshare", "wc", "wget", "yes",
)  # fmt: skip


def rootfs(busybox: Path = Path("/bin/busybox")) -> bytes:
    """A root file system as a tar, the same bytes each time."""
    content = busybox.read_bytes()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "usr", "usr/bin", "tmp", "workspace", "home"):
            entry = tarfile.TarInfo(folder)
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(entry)
        program = tarfile.TarInfo("bin/busybox")
        program.size, program.mode = len(content), 0o755
        tar.addfile(program, io.BytesIO(content))
        for applet in APPLETS:
            link = tarfile.TarInfo(f"bin/{applet}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
        plain = tarfile.TarInfo("usr/bin/not-executable")
        plain.size, plain.mode = 3, 0o644
        tar.addfile(plain, io.BytesIO(b"hi\n"))
        for name, text in (("no-interpreter", b"#!/no/such/thing\n"), ("no-format", b"plain text\n")):
            script = tarfile.TarInfo(f"usr/bin/{name}")
            script.size, script.mode = len(text), 0o755
            tar.addfile(script, io.BytesIO(text))
    return buffer.getvalue()


@cache
def locks() -> HostLocks:
    """The locks of the tests' process, with that of ``busybox-test`` on the default engine, which has the image already."""
    folder = Path(tempfile.mkdtemp(prefix="wfconsole-locks-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    kept = HostLocks(folder)
    lock(kept)
    return kept


def lock(kept: HostLocks, template: Template | None = None, *, host: str | None = None) -> HostLock:
    """Make the lock of an image that is there, as `templates lock` does; also from within an event loop."""
    made = template or Template(name=BUSYBOX_TEST, description="", digest="")

    async def make() -> HostLock:
        engine, cache = Engine(host), kept.folder / "cache"
        try:
            return await Workshop(engine, Gate(cache / "gates"), cache / "sandbox", kept).lock(made, made.tag, {})
        finally:
            await engine.close()

    with ThreadPoolExecutor(1) as apart:
        return apart.submit(lambda: asyncio.run(make())).result()


def ensure_busybox_test(client: Any) -> str:
    """The image id of ``wfconsole/busybox-test``, imported when it is not there. `client` is a `docker.APIClient`."""
    from docker.errors import ImageNotFound

    tag = f"wfconsole/{BUSYBOX_TEST}"
    try:
        found = client.inspect_image(tag)
    except ImageNotFound:
        client.import_image_from_data(rootfs(), repository=tag, tag="latest")
        found = client.inspect_image(tag)
    return str(found["Id"])
