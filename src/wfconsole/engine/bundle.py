"""The bundle of an ended run: its folder is complete and says so in `manifest.json`.

The manifest names every file with length and sha256, and holds the RunView, so that the bundle can be read and verified without
wfconsole. It is written last, by rename: a bundle without a manifest is not complete.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wfconsole.domain.codec import canonical, wire
from wfconsole.domain.events import Record, RunCreated
from wfconsole.domain.plan import Json
from wfconsole.engine.local import Sealer
from wfconsole.ports import RunFolder, Store, WfconsoleError

MANIFEST = "manifest.json"
_NEW = ".new"


def sealer(store: Store, folder: Callable[[str], RunFolder], view: Callable[[Sequence[Record]], Json]) -> Sealer:
    """A function that writes an ended run's bundle unless that is complete; `view` makes the RunView of its records."""

    async def seal(run_id: str) -> None:
        bundle = folder(run_id).bundle
        if (bundle / MANIFEST).exists():
            return
        records = await store.load(run_id)
        try:
            await asyncio.to_thread(write_bundle, bundle, records, view(records))
        except OSError as error:
            raise WfconsoleError(
                "DISK_FULL" if error.errno in {errno.ENOSPC, errno.EDQUOT} else "INTERNAL",
                f"the bundle of run {run_id} could not be written: {error}",
                f"the run itself is recorded; `wfconsole export {run_id} FILE` completes the bundle",
            ) from error

    return seal


def write_bundle(bundle: Path, records: Sequence[Record], view: Json) -> None:
    """Write journal, recipe and manifest into `bundle`. Writing it again gives the same bytes."""
    bundle.mkdir(parents=True, exist_ok=True)
    created = records[0].event
    if not isinstance(created, RunCreated):
        raise TypeError("a journal begins with run_created")
    recipe = created.plan.recipe
    lines = [canonical(wire(r, run_id=created.run_id, name=recipe.name, version=recipe.version)) for r in records]
    _write(bundle / "events.jsonl", b"\n".join(lines) + b"\n")
    _write(bundle / "recipe.json", created.plan.text.encode())
    document = {"schema_version": 1, "run": view, "files": [describe(bundle, path) for path in _files(bundle)]}
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1).encode("utf-8", "backslashreplace")
    _write(bundle / MANIFEST, text + b"\n")


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all, also when two processes complete the same bundle."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}{_NEW}")
    with temporary.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def _files(bundle: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(bundle):
        folders.sort()
        for name in folders:
            _open_up(Path(root) / name, 0o700)
        for name in sorted(names):
            path = Path(root) / name
            ours = Path(root) == bundle and (name == MANIFEST or name.endswith(_NEW))
            if not ours and path.is_file() and not path.is_symlink():
                yield path


def describe(bundle: Path, path: Path) -> dict[str, Json]:
    """One line of the manifest: path within the bundle, length in bytes, sha256 in hex."""
    _open_up(path, 0o400)
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    return {"path": str(path.relative_to(bundle)), "bytes": path.stat().st_size, "sha256": digest}


def _open_up(path: Path, mode: int) -> None:
    """A step may have left files in its logs that even their owner cannot read."""
    found = path.lstat().st_mode
    if not stat.S_ISLNK(found) and found & mode != mode:
        path.chmod(stat.S_IMODE(found) | mode)
