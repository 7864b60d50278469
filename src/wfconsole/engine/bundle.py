"""The bundle of an ended run: its folder is complete and says so in `manifest.json`.

The manifest names every file with length and sha256, and holds the RunView, so that the bundle can be read and verified without
wfconsole. It is written last, by rename: a bundle without a manifest is not complete.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from wfconsole.domain.codec import canonical, wire
from wfconsole.domain.events import Record, RunCreated
from wfconsole.domain.plan import Json
from wfconsole.engine.local import Sealer
from wfconsole.ports import RunFolder, Store

MANIFEST = "manifest.json"


def sealer(store: Store, folder: Callable[[str], RunFolder], view: Callable[[Sequence[Record]], Json]) -> Sealer:
    """A function that writes a run's bundle; `view` makes the RunView of its records."""

    async def seal(run_id: str) -> None:
        records = await store.load(run_id)
        await asyncio.to_thread(write_bundle, folder(run_id).bundle, records, view(records))

    return seal


def write_bundle(bundle: Path, records: Sequence[Record], view: Json) -> None:
    """Write journal, recipe and manifest into `bundle`. Writing it again gives the same bytes."""
    bundle.mkdir(parents=True, exist_ok=True)
    created = records[0].event
    if not isinstance(created, RunCreated):
        raise TypeError("a journal begins with run_created")
    recipe = created.plan.recipe
    lines = [canonical(wire(r, run_id=created.run_id, name=recipe.name, version=recipe.version)) for r in records]
    (bundle / "events.jsonl").write_bytes(b"\n".join(lines) + b"\n")
    (bundle / "recipe.json").write_text(created.plan.text)
    document = {"schema_version": 1, "run": view, "files": [describe(bundle, path) for path in _files(bundle)]}
    text = json.dumps(document, ensure_ascii=False, sort_keys=True, indent=1).encode("utf-8", "backslashreplace")
    temporary = bundle / f".{MANIFEST}.new"
    with temporary.open("wb") as out:
        out.write(text + b"\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(bundle / MANIFEST)


def _files(bundle: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(bundle):
        folders.sort()
        for name in sorted(names):
            path = Path(root) / name
            if path.is_symlink() or not path.is_file() or path.name in {MANIFEST, f".{MANIFEST}.new"}:
                continue
            yield path


def describe(bundle: Path, path: Path) -> dict[str, Json]:
    """One line of the manifest: path within the bundle, length in bytes, sha256 in hex."""
    with path.open("rb") as source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
    name = os.fsencode(path.relative_to(bundle)).decode("utf-8", "backslashreplace")
    return {"path": name, "bytes": path.stat().st_size, "sha256": digest}
