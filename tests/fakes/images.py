"""Tiny images for tests on a real engine, imported from a tar made here: no registry, no build."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

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
