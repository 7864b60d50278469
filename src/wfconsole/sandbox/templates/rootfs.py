"""A root file system from distribution packages, as one reproducible tar in the cache folder.

Owns debootstrap and what of its result goes into the tar. Refuses to know Docker and Python wheels. Surprising: byte code is
compiled anew with unchecked hashes, since the tar sets all times to zero and every byte code file would count as stale.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates import small
from wfconsole.sandbox.templates.shape import BUILDER, Rootfs

_PYTHON_FOLDERS = "/usr/lib/python3 /usr/lib/python3.[0-9]*"
_LEFT_OUT = (
    "debootstrap", "dev/*", "proc/*", "run/*", "sys/*", "tmp/*",
    "etc/hostname", "etc/machine-id", "etc/resolv.conf",  # of the machine that built it
    "usr/share/info/*", "usr/share/locale/*", "usr/share/man/*",
    "var/cache/*", "var/lib/apt/lists/*", "var/log/*",
)  # fmt: skip

# $1 suite, $2 packages with commas, $3 work folder, $4 result, $5 package cache. Runs as root, writes nowhere else.
_SCRIPT = r"""
set -eu
umask 022
trap 'exit 143' INT TERM
trap 'umount "$3/proc" "$3/sys" 2>/dev/null || :; rm -rf --one-file-system "$3"' EXIT
mkdir -p "$3" "$5"
debootstrap --variant=minbase --include="$2" --cache-dir="$5" "$1" "$3"
if [ -e "$3/usr/bin/python3" ]; then
    chroot "$3" /bin/sh -c 'env -i PATH=/usr/bin:/bin python3 -B -I -S -m compileall -f -q \
        --invalidation-mode unchecked-hash PYTHON || :'
fi
sed -i -E 's/^([^:]*:[^:]*:)[0-9]+:/\119000:/' "$3/etc/shadow"
rm -f "$3/etc/shadow-"
tar -C "$3" --format=gnu --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u-s,g-s EXCLUDES -cf "$4" .
chmod 644 "$4"
"""


def cached(rootfs: Rootfs, cache: Path) -> Path:
    """Where the tar of this root file system lies once it was built; the name covers suite, packages and builder."""
    if rootfs.builder == "busybox":
        return cache / f"rootfs-busybox-{hashlib.sha256(small.program()).hexdigest()[:16]}.tar"
    key = "\n".join((str(BUILDER), _architecture(), rootfs.suite, *rootfs.packages))
    return cache / f"rootfs-{rootfs.suite}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.tar"


async def make(rootfs: Rootfs, cache: Path, progress: Callable[[str], None]) -> Path:
    """The tar, from the cache or built now (about a minute, a network and root or sudo are needed).

    Raises WfconsoleError TEMPLATE_MISSING with the way out when something is missing or the build fails.
    """
    target = cached(rootfs, cache)
    if target.is_file():
        progress(f"root file system: {target.name} from the cache")
        return target
    if rootfs.builder == "busybox":
        cache.mkdir(parents=True, exist_ok=True)
        draft = target.with_suffix(f".{os.getpid()}.part")
        await asyncio.to_thread(small.write, draft)
        draft.replace(target)
        return target
    prefix = await _root_prefix()
    if shutil.which("debootstrap", path=_path_with_sbin()) is None:
        raise WfconsoleError(
            "TEMPLATE_MISSING",
            "debootstrap is not installed, and no registry had the image",
            "install the package debootstrap, then `wfconsole templates build NAME`",
        )
    cache.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(f".{os.getpid()}.part")
    work = cache / f"{target.stem}.{os.getpid()}.work"
    script = _SCRIPT.replace("EXCLUDES", " ".join(f"--exclude='./{name}'" for name in _LEFT_OUT))
    script = script.replace("PYTHON", _PYTHON_FOLDERS)
    progress(f"root file system: debootstrap {rootfs.suite} with {', '.join(rootfs.packages)}, about a minute")
    arguments = (rootfs.suite, ",".join(rootfs.packages), work, part, cache / "packages")
    try:
        await _run([*prefix, "/bin/sh", "-c", script, "sh", *map(str, arguments)], cache / f"{target.stem}.log")
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return target


async def _root_prefix() -> list[str]:
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo"):
        check = await asyncio.create_subprocess_exec(
            "sudo", "-n", "true", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        if await check.wait() == 0:
            return ["sudo", "-n"]
    raise WfconsoleError(
        "TEMPLATE_MISSING",
        "building a root file system needs root",
        "run `sudo -v` and then `wfconsole templates build NAME`, or let root build it once on this engine",
    )


async def _run(argv: list[str], log: Path) -> None:
    """Run it with its output in `log`. When this is cancelled it gets TERM, with all that it started, and cleans up.

    Under sudo we may end nothing: it stays in the terminal's group, whose own Ctrl-C reaches it.
    """
    is_ours = os.geteuid() == 0
    with log.open("wb") as sink:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            env={"PATH": _path_with_sbin(), "LC_ALL": "C", **_proxies()},
            start_new_session=is_ours,
        )
        try:
            code = await process.wait()
        except asyncio.CancelledError:
            if is_ours:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGTERM)
            await process.wait()
            raise
    if code:
        tail = log.read_text(errors="backslashreplace").strip().splitlines()[-1:]
        raise WfconsoleError(
            "TEMPLATE_MISSING",
            f"debootstrap failed with status {code}: {tail[0] if tail else 'it said nothing'}",
            f"see {log}; the distribution's package mirror has to be reachable",
        )


def _proxies() -> dict[str, str]:
    names = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    return {name: os.environ[name] for name in names if name in os.environ}


def _path_with_sbin() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin:/usr/bin:/bin"


def _architecture() -> str:
    return os.uname().machine
