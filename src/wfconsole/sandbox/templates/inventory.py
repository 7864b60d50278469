"""What is in an image, package by package, and how that compares with the lock that the template's author committed.

Owns the shape of ``recipes/templates/NAME.lock.json``. Refuses to decide whether other packages will do: they are told, and
whoever asked for `--frozen` gets an error. Surprising: hashes are those of the packages as they were fetched, found in the
cache folder; an image that was pulled has versions alone.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from wfconsole.sandbox.locks import put
from wfconsole.sandbox.templates.shape import BUILDER, Template

LOCK_VERSION = 1
DPKG_STATUS = "/var/lib/dpkg/status"
_BUSYBOX = re.compile(rb"BusyBox v(\d+\.\d+[.\d]*)[^\0)]*\)")

Packages = dict[str, dict[str, Any]]


def of_debian(status: bytes, fetched: Path) -> Packages:
    """Installed packages by name: version, and the sha256 of the package file when it lies in `fetched`."""
    found: Packages = {}
    for paragraph in status.decode("utf-8", "replace").split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines() if re.match(r"[A-Za-z-]+: ", line))
        if "installed" not in fields.get("Status", "") or "Package" not in fields:
            continue
        name, version = fields["Package"], fields["Version"]
        file = fetched / f"{name}_{version.replace(':', '%3a')}_{fields.get('Architecture', '')}.deb"
        found[name] = {"version": version, "sha256": _sha256(file)}
    return dict(sorted(found.items()))


def of_busybox(program: bytes) -> Packages:
    """The one package of an image made of busybox alone."""
    match = _BUSYBOX.search(program)
    version = match[1].decode() if match else None
    return {"busybox-static": {"version": version, "sha256": hashlib.sha256(program).hexdigest()}}


def document(
    template: Template, platform: str, layers: Sequence[str], packages: Packages, before: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The committed lock: what went in on this platform, beside what is known of other platforms."""
    others = dict((before or {}).get("platforms") or {})
    wheels = None
    if template.wheels is not None:
        wheels = {"file": template.wheels.name, "sha256": template.wheels_digest}
    rootfs = template.rootfs
    return {
        "schema_version": LOCK_VERSION,
        "template": template.name,
        "template_digest": template.image_digest,
        "builder": {"name": rootfs.builder if rootfs is not None else None, "version": BUILDER},
        "suite": rootfs.suite or None if rootfs is not None else None,
        "wheels": wheels,
        "platforms": {**others, platform: {"layers": list(layers), "packages": packages}},
    }


def differences(
    committed: Mapping[str, Any] | None, template: Template, platform: str, layers: Sequence[str], packages: Packages
) -> Iterator[str]:
    """What an image has that the committed lock does not say, a line each; nothing when the layers are the committed ones."""
    if committed is None:
        yield "there is no committed lock to compare with"
        return
    if committed.get("template_digest") != template.image_digest:
        yield "the committed lock is of another template file"
    there = (committed.get("platforms") or {}).get(platform)
    if there is None:
        yield f"the committed lock knows nothing of {platform}"
        return
    if list(layers) == there["layers"]:
        return
    before: Packages = there["packages"]
    for name in sorted(before.keys() | packages.keys()):
        old, new = before.get(name), packages.get(name)
        if old == new or (old and new and old["version"] == new["version"] and not (old["sha256"] and new["sha256"])):
            continue
        yield f"package {name}: committed {_told(old)}, here {_told(new)}"
    yield f"layers: committed {_short(there['layers'])}, here {_short(layers)}"


def path(template: Template, folder: Path) -> Path:
    return folder / f"{template.name}.lock.json"


def read(place: Path) -> dict[str, Any] | None:
    """The committed lock, None when there is none. ValueError when it is no JSON."""
    try:
        found: dict[str, Any] = json.loads(place.read_bytes())
    except FileNotFoundError:
        return None
    return found


def write(place: Path, data: Mapping[str, Any]) -> None:
    put(place, json.dumps(data, sort_keys=True, indent=1) + "\n")


def _told(package: Mapping[str, Any] | None) -> str:
    if package is None:
        return "none"
    return f"{package['version']}" + (f" (sha256 {package['sha256'][:12]})" if package["sha256"] else "")


def _short(layers: Sequence[str]) -> str:
    return ", ".join(layer.removeprefix("sha256:")[:12] for layer in layers) or "none"


def _sha256(file: Path) -> str | None:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None
