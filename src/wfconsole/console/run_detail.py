"""What is read beside or over the tables of a run: a step in full, the head of an artifact.

Owns how much of a file is read, and that it is read in a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

from wfconsole.console.bridge import Engine
from wfconsole.console.model import RunPicture
from wfconsole.control.door import Door
from wfconsole.domain.codec import wire
from wfconsole.domain.plan import Json, Plan
from wfconsole.views.run_head import Line
from wfconsole.views.run_parts import json_lines, step_detail, text_lines
from wfconsole.views.words import size

HEAD = 256 * 1024
"""Bytes of an artifact that are shown."""
_DIFFS = frozenset({"diff", "patch"})


def detail_of(step: Mapping[str, Json] | None, view: Mapping[str, Json], plan: Plan, *, ascii_only: bool) -> list[Line]:
    """The lines about a step; what to do when there is none."""
    if step is None:
        return [("no step under the cursor", "muted")]
    return step_detail(step["step_id"], view, plan, ascii_only=ascii_only)


def event_lines(picture: RunPicture, seq: int) -> list[Line]:
    """One event as its subscribers get it."""
    recipe, record = picture.view["recipe"], picture.records[seq - 1]
    data = wire(record, run_id=picture.run_id, name=recipe["name"], version=recipe["version"])
    return [(f"event {seq}", "title"), *json_lines(data)]


async def artifact_lines(engine: Engine, artifact: Mapping[str, Json]) -> list[Line]:
    """The head of a text artifact, where it lies, and what it is; of one that is no text, the latter alone."""
    lines: list[Line] = [(f"{artifact['name']}  {artifact['kind']}", "title")]
    sha256 = artifact["sha256"]
    if sha256 is None:
        return [*lines, (artifact.get("reason") or "the step left nothing", "muted")]

    async def where(door: Door) -> Path:
        return door.artifacts.path(sha256)

    lines.append((f"{size(artifact['bytes'])}  sha256 {sha256}", "muted"))
    try:
        path = await engine.call(where)
        lines.append((f"file  {path}", "muted"))
        data = await asyncio.to_thread(_read, path)
    except OSError as error:
        return [*lines, (f"it cannot be read: {error.strerror or error}", "failed")]
    lines.append(("", "text"))
    if b"\0" in data:
        return [*lines, ("no text; the file above has it", "muted")]
    text = data[:HEAD].decode("utf-8", "surrogateescape").removesuffix("\n")
    lines += text_lines(text, as_diff=artifact["kind"] in _DIFFS)
    if len(data) > HEAD:
        lines.append((f"... the first {size(HEAD)} of {size(artifact['bytes'])}; the file above has all", "muted"))
    return lines


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD + 1)
