"""Exporting a bundle: one tar.gz that carries its own manifest, verified file by file while it is written.

Refuses to make a manifest: that was sealed when the run ended. A bundle that no longer agrees with its manifest is not exported.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO

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
    manifest = json.loads(text)
    if target.exists():
        raise WfconsoleError("INPUT_INVALID", f"{target} exists", "give another name")
    temporary = target.with_name(f".{target.name}.new")
    try:
        with tarfile.open(temporary, "w:gz", format=tarfile.PAX_FORMAT) as archive:
            for entry in manifest["files"]:
                _add(archive, bundle, run_id, entry)
            archive.add(bundle / "manifest.json", f"{run_id}/manifest.json", filter=_plain)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    return {
        "run_id": run_id,
        "path": str(target),
        "bytes": target.stat().st_size,
        "files": len(manifest["files"]) + 1,
        "manifest_sha256": hashlib.sha256(text).hexdigest(),
    }


def _add(archive: tarfile.TarFile, bundle: Path, run_id: str, entry: Mapping[str, Json]) -> None:
    path = bundle / entry["path"]
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        if digest != entry["sha256"]:
            raise WfconsoleError(
                "STORE_CORRUPT",
                f"{entry['path']} is not what the manifest says",
                "the bundle was changed after the run",
            )
        source.seek(0)
        _add_open(archive, source, path, f"{run_id}/{entry['path']}")


def _add_open(archive: tarfile.TarFile, source: IO[bytes], path: Path, name: str) -> None:
    info = _plain(archive.gettarinfo(str(path), name))
    archive.addfile(info, source)


def _plain(info: tarfile.TarInfo) -> tarfile.TarInfo:
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mode = 0o644
    return info
