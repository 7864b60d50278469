"""Exporting a bundle: one tar.gz that carries its own manifest, verified file by file while it is written.

Refuses to make a manifest: that was sealed when the run ended. A bundle that no longer agrees with its manifest is not exported.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Mapping
from pathlib import Path

from wfconsole.domain.plan import Json
from wfconsole.ports import WfconsoleError


def write_export(bundle: Path, run_id: str, target: Path) -> Mapping[str, Json]:
    """Write `bundle` as `target`; what went in. Raises WfconsoleError when it is not complete or has been changed."""
    try:
        text = (bundle / "manifest.json").read_bytes()
    except FileNotFoundError as error:
        raise WfconsoleError(
            "NOT_FOUND", f"run {run_id} has no bundle yet", "a bundle is complete when its run is over"
        ) from error
    files = _listed(text)
    if target.exists():
        raise WfconsoleError("INPUT_INVALID", f"{target} exists", "give another name")
    temporary = target.with_name(f".{target.name}.new")
    try:
        with tarfile.open(temporary, "w:gz", format=tarfile.PAX_FORMAT) as archive:
            for entry in files:
                _add(archive, bundle, run_id, entry)
            archive.addfile(_plain(f"{run_id}/manifest.json", len(text), 0), io.BytesIO(text))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return {
        "run_id": run_id,
        "path": str(target),
        "bytes": target.stat().st_size,
        "files": len(files) + 1,
        "manifest_sha256": hashlib.sha256(text).hexdigest(),
    }


def _listed(manifest: bytes) -> list[tuple[str, str]]:
    """Path and sha256 of every file in the manifest."""
    try:
        return [(str(entry["path"]), str(entry["sha256"])) for entry in json.loads(manifest)["files"]]
    except (ValueError, TypeError, KeyError) as error:
        raise _changed("manifest.json cannot be read") from error


def _add(archive: tarfile.TarFile, bundle: Path, run_id: str, entry: tuple[str, str]) -> None:
    name, expected = entry
    if name.startswith("/") or ".." in name.split("/"):
        raise _changed(f"the manifest names {name}")
    try:
        descriptor = os.open(bundle / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _changed(f"{name} cannot be read ({error.strerror})") from error
    with os.fdopen(descriptor, "rb") as source:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or hashlib.file_digest(source, "sha256").hexdigest() != expected:
            raise _changed(f"{name} is not what the manifest says")
        source.seek(0)
        archive.addfile(_plain(f"{run_id}/{name}", found.st_size, int(found.st_mtime)), source)


def _changed(message: str) -> WfconsoleError:
    return WfconsoleError("STORE_CORRUPT", message, "the bundle was changed after the run")


def _plain(name: str, size: int, modified: int) -> tarfile.TarInfo:
    """An ordinary file of nobody in particular: `TarInfo` says root, mode 644."""
    info = tarfile.TarInfo(name)
    info.size, info.mtime = size, modified
    return info
