"""Make the image of a template: pull its root file system or build it, add the Python tools, prove that they run.

Owns the order of the ways and the image's labels. Refuses to update an image on its own: only `build` makes one, a run never
does. Surprising: the tools' byte code is compiled in a container of the new root file system, so any host Python will do.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates import pack, rootfs, wheels
from wfconsole.sandbox.templates.engine import Engine, translated
from wfconsole.sandbox.templates.shape import Template

Way = Literal["pulled", "built from packages"]
Progress = Callable[[str], None]

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_PYTHON = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltTemplate:
    """A ready image. `tools` maps each program of the template to the version it reported; `seconds` is wall time."""

    name: str
    image_id: str
    way: Way
    seconds: float
    tools: Mapping[str, str]


async def build(template: Template, *, cache: Path, progress: Progress) -> BuiltTemplate:
    """Make `wfconsole/NAME`, replacing the tag when it is there. Root file systems and wheels stay in `cache`.

    Raises WfconsoleError SANDBOX_UNAVAILABLE without an engine, TEMPLATE_MISSING when no way leads to the image.
    """
    began = time.monotonic()
    engine = Engine()
    try:
        before = await asyncio.to_thread(engine.image, template.tag)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work, translated():
            image_id, way, tools = await _first_way(_Build(template, engine, cache, Path(work), progress))
        if before is not None and before[0] != image_id:
            await asyncio.to_thread(engine.forget, before[0])
    finally:
        engine.close()
    seconds = round(time.monotonic() - began, 1)
    progress(f"template {template.name}: {way}, {seconds} s, {image_id.removeprefix('sha256:')[:12]}")
    return BuiltTemplate(name=template.name, image_id=image_id, way=way, seconds=seconds, tools=tools)


@dataclass(frozen=True, slots=True)
class _Build:
    template: Template
    engine: Engine
    cache: Path
    work: Path
    progress: Progress


async def _first_way(job: _Build) -> tuple[str, Way, Mapping[str, str]]:
    """Pull where that works and has what the template promises, else build from packages."""
    template, refusal = job.template, ""
    if template.pull is not None:
        job.progress(f"template {template.name}: asking the registry for {template.pull}")
        base = await asyncio.to_thread(job.engine.pull, template.pull)
        if base is not None:
            try:
                return await _proven(job, await _on_top(job, base), "pulled")
            except WfconsoleError as error:
                refusal = f"the pulled {template.pull} does not serve: {error.message}"
        else:
            refusal = f"no registry answered with {template.pull}"
        job.progress(refusal)
    if template.rootfs is None:
        raise WfconsoleError(
            "TEMPLATE_MISSING", refusal, f"make the registry reachable, or pull {template.pull} by hand"
        )
    return await _proven(job, await _from_packages(job), "built from packages")


async def _from_packages(job: _Build) -> str:
    template = job.template
    assert template.rootfs is not None  # noqa: S101  # the caller looked
    base = await rootfs.make(template.rootfs, job.cache, job.progress)
    tools = None
    if template.wheels is not None:
        plain = await asyncio.to_thread(job.engine.load, base, ())
        try:
            tools = await _tools(job, plain)
        finally:
            await asyncio.to_thread(job.engine.forget, plain)
    job.progress("image: docker import")
    tar = job.work / "image.tar"
    await asyncio.to_thread(pack.joined, base, tools, tar)
    return await asyncio.to_thread(job.engine.load, tar, _changes(template))


async def _on_top(job: _Build, base: str) -> str:
    tools = await _tools(job, base) if job.template.wheels is not None else None
    context = job.work / "context.tar"
    lines = [f"FROM {base}", "ADD overlay.tar /", *_changes(job.template)]
    await asyncio.to_thread(pack.context, "\n".join(lines) + "\n", tools, context)
    return await asyncio.to_thread(job.engine.build_on, context)


async def _tools(job: _Build, base: str) -> Path:
    """A folder that lies over the root file system: the unpacked wheels with byte code for the interpreter in `base`."""
    listing = job.template.wheels
    assert listing is not None  # noqa: S101  # the caller looked
    run, engine = asyncio.to_thread, job.engine
    python = (await run(engine.run, base, ["/usr/bin/python3", "-c", _PYTHON], {}, "65532:65532")).strip()
    found = await wheels.fetch(listing, python, await run(engine.machine), job.cache, job.progress)
    folder = job.work / "tools"
    shutil.rmtree(folder, ignore_errors=True)
    await run(wheels.unpack, found, folder, python)
    job.progress(f"tools: {len(found)} wheels unpacked for Python {python}, compiling")
    libraries = f"usr/local/lib/python{python}/dist-packages"
    # Files that do not compile (templates, test data of another Python) are no failure: they are left without byte code.
    options = "-B -I -S -m compileall -f -q -j 2 --invalidation-mode unchecked-hash"
    compile_all = f"python3 {options} /{libraries} >/dev/null 2>&1 || :"
    owner = f"{os.geteuid()}:{os.getegid()}"
    await run(engine.run, base, ["/bin/sh", "-c", compile_all], {folder / libraries: f"/{libraries}"}, owner)
    return folder


async def _proven(job: _Build, image_id: str, way: Way) -> tuple[str, Way, Mapping[str, str]]:
    """Tag the image once every promised tool has told its version; forget it, untagged, when one is missing or too old."""
    try:
        tools = await _versions(job, image_id)
        await asyncio.to_thread(job.engine.tag, image_id, job.template.tag)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(job.engine.forget, image_id))
        raise
    return image_id, way, tools


async def _versions(job: _Build, image_id: str) -> Mapping[str, str]:
    """What each tool says to ``--version``, asked as any user and in one container."""
    wanted = job.template.tools
    asked = [f"printf '%s\\t' {tool}; {tool} --version 2>&1 | tr '\\n' ' '; echo" for tool in wanted]
    output = await asyncio.to_thread(job.engine.run, image_id, ["/bin/sh", "-c", "\n".join(asked)], {}, "65532:65532")
    versions = {}
    for line in output.splitlines():
        tool, _, said = line.partition("\t")
        match = _VERSION.search(said)
        if match is None or _number(match[0]) < _number(wanted[tool].removeprefix(">=")):
            said = said.strip()[:200] or "it said nothing"
            raise WfconsoleError("TEMPLATE_MISSING", f"the new image has no {tool} {wanted[tool]}: {said}")
        versions[tool] = match[0]
    return versions


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _changes(template: Template) -> list[str]:
    """The image's configuration, as Dockerfile lines; `docker import` takes the same words."""
    labels = {
        "wfconsole.template": template.name,
        "wfconsole.template_digest": template.digest,
        "wfconsole.wheels_digest": template.wheels_digest,
    }
    lines = [f"ENV {name}={_quoted(value)}" for name, value in template.env.items()]
    lines += [f"LABEL {name}={_quoted(value)}" for name, value in labels.items()]
    return [*lines, "WORKDIR /workspace", 'CMD ["/bin/sh"]']


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")
