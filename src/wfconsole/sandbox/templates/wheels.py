"""Python tools from wheels: fetched on the host by the locked list, unpacked for the sandbox's interpreter.

Owns the reading of a wheel. Refuses to install by pip: a wheel is a zip with a known layout, and unpacking it here makes the
same files whichever Python runs this. Surprising: the list is checked by hash at fetch and never resolved again.
"""

from __future__ import annotations

import asyncio
import configparser
import hashlib
import os
import re
import shutil
import sys
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from wfconsole.ports import WfconsoleError

_GLIBC_MINORS = (*range(36, 16, -1), 12, 5)
_SCRIPT = """#!/usr/bin/python3
import sys
from {module} import {name}
sys.argv[0] = sys.argv[0].removesuffix(".exe")
sys.exit({call}())
"""


async def fetch(
    listing: Path, python: str, machine: str, cache: Path, progress: Callable[[str], None]
) -> Sequence[Path]:
    """The wheels of a list, downloaded once per content of the list; `python` is "3.11", `machine` "x86_64" or "aarch64".

    Raises WfconsoleError TEMPLATE_MISSING when the package index cannot be reached or has something else under a hash.
    """
    key = hashlib.sha256(listing.read_bytes() + f"{python} {machine}".encode()).hexdigest()[:16]
    folder = cache / f"wheels-{key}"
    if folder.is_dir():
        progress(f"wheels: {folder.name} from the cache")
        return sorted(folder.glob("*.whl"))
    part = cache / f"wheels-{key}.{os.getpid()}.part"
    part.mkdir(parents=True, exist_ok=True)
    progress("wheels: fetching what the list names")
    argv = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
    argv += ["--require-hashes", "--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    argv += ["--abi", f"cp{python.replace('.', '')}", *_platforms(machine), "-d", str(part), "-r", str(listing)]
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        _, stderr = await process.communicate()
    except asyncio.CancelledError:
        process.terminate()
        await process.wait()
        raise
    if process.returncode:
        lines = [line for line in stderr.decode(errors="backslashreplace").splitlines() if line.startswith("ERROR")]
        raise WfconsoleError(
            "TEMPLATE_MISSING",
            f"the wheels of {listing.name} could not be fetched: {lines[0] if lines else 'pip failed'}",
            "the package index has to be reachable by `pip download`; then build the template again",
        )
    try:
        part.replace(folder)
    except OSError:  # another process was first; it fetched the same hashes
        if not folder.is_dir():
            raise
        shutil.rmtree(part)
    return sorted(folder.glob("*.whl"))


def unpack(wheels: Sequence[Path], root: Path, python: str) -> None:
    """Lay the wheels out below `root` as they stand in the image: libraries, commands, data."""
    libraries = root / f"usr/local/lib/python{python}/dist-packages"
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.infolist():
                if not member.is_dir():
                    target = _target(member.filename, root, libraries)
                    executable = target.parent == root / "usr/local/bin" or bool(member.external_attr >> 16 & 0o111)
                    _write(target, _interpreted(archive.read(member), target), executable=executable)
            for name in archive.namelist():
                if name.endswith(".dist-info/entry_points.txt"):
                    _commands(archive.read(name).decode(), root / "usr/local/bin")


def _platforms(machine: str) -> list[str]:
    names = [f"manylinux_2_{minor}_{machine}" for minor in _GLIBC_MINORS]
    names += [f"manylinux{old}_{machine}" for old in ("2014", "2010", "1")]
    return [word for name in names for word in ("--platform", name)]


def _target(name: str, root: Path, libraries: Path) -> Path:
    """Where a member goes. ``X.data/KIND/...`` is spread by kind, everything else is a library."""
    parts = PurePosixPath(name).parts
    if PurePosixPath(name).is_absolute() or ".." in parts:
        raise WfconsoleError("TEMPLATE_MISSING", f"a wheel has a member outside of it: {name}", "do not use that wheel")
    if len(parts) > 2 and parts[0].endswith(".data"):
        places = {"scripts": root / "usr/local/bin", "data": root / "usr/local", "headers": root / "usr/local/include"}
        return places.get(parts[1], libraries).joinpath(*parts[2:])
    return libraries.joinpath(*parts)


def _interpreted(content: bytes, target: Path) -> bytes:
    """A script that asks for "the" Python gets the sandbox's."""
    if target.parent.name == "bin" and re.match(rb"#!pythonw?\b", content):
        return b"#!/usr/bin/python3" + content[content.index(b"\n") :]
    return content


def _commands(text: str, folder: Path) -> None:
    entries = configparser.ConfigParser(delimiters=("=",), interpolation=None)
    entries.optionxform = str  # type: ignore[assignment,method-assign]  # names of commands keep their case
    entries.read_string(text)
    if not entries.has_section("console_scripts"):
        return
    for command, reference in entries.items("console_scripts"):
        module, _, call = reference.split("[")[0].strip().partition(":")
        script = _SCRIPT.format(module=module.strip(), name=call.split(".")[0].strip(), call=call.strip())
        _write(folder / command, script.encode(), executable=True)


def _write(path: Path, content: bytes, *, executable: bool) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(0o755 if executable else 0o644)
