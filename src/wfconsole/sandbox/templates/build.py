"""Make the image of a template: take it from its archive, pull it, or build it; prove that its tools run; have it locked.

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
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates import inventory, pack, rootfs, small, wheels
from wfconsole.sandbox.templates.engine import Engine, translated
from wfconsole.sandbox.templates.shape import Template, fits

Way = Literal["pulled", "built from packages", "made from its Dockerfile", "taken from its archive"]
Progress = Callable[[str], None]
Seal = Callable[[Template, str, Mapping[str, str]], Awaitable[Any]]
"""Makes the host's lock of (template, image id, versions of its tools); what it raises keeps the image from being tagged."""

_VERSION = re.compile(r"\d+(?:\.\d+)+")
_PYTHON = "import sys; print('%d.%d' % sys.version_info[:2])"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltTemplate:
    """A ready image. `tools` maps each program of the template to the version it reported; `seconds` is wall time.

    `differences` are what it has that the committed lock does not say; `committed` is the lock that its author would commit.
    """

    name: str
    image_id: str
    way: Way
    seconds: float
    tools: Mapping[str, str]
    differences: tuple[str, ...]
    committed: Mapping[str, Any]


async def build(
    template: Template,
    *,
    cache: Path,
    progress: Progress,
    seal: Seal,
    committed: Mapping[str, Any] | None = None,
    frozen: bool = False,
) -> BuiltTemplate:
    """Make `wfconsole/NAME` and its lock, replacing the tag when it is there. Root file systems and wheels stay in `cache`.

    Raises WfconsoleError SANDBOX_UNAVAILABLE without an engine, TEMPLATE_MISSING when no way leads to the image, or with `frozen`
    when it is not the one of the `committed` lock.
    """
    began = time.monotonic()
    engine = Engine()
    try:
        before = await asyncio.to_thread(engine.image, template.tag)
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as work, translated():
            job = _Build(template, engine, cache, Path(work), progress)
            image_id, way, tools = await _first_way(job)
            try:
                lock, told = await _compared(job, image_id, committed, frozen=frozen)
                await seal(template, image_id, tools)
                await asyncio.to_thread(engine.tag, image_id, template.tag)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(engine.forget, image_id))
                raise
        if before is not None and before[0] != image_id:
            await asyncio.to_thread(engine.forget, before[0])
    finally:
        engine.close()
    seconds = round(time.monotonic() - began, 1)
    progress(f"template {template.name}: {way}, {seconds} s, {image_id.removeprefix('sha256:')[:12]}")
    return BuiltTemplate(
        name=template.name, image_id=image_id, way=way, seconds=seconds, tools=tools, differences=told, committed=lock
    )


@dataclass(frozen=True, slots=True)
class _Build:
    template: Template
    engine: Engine
    cache: Path
    work: Path
    progress: Progress


async def _compared(
    job: _Build, image_id: str, committed: Mapping[str, Any] | None, *, frozen: bool
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The image beside the committed lock: what differs is told, and refused with `frozen`."""
    template, engine = job.template, job.engine
    platform, layers = await asyncio.to_thread(engine.details, image_id)
    packages = await asyncio.to_thread(_packages, job, image_id)
    told = tuple(inventory.differences(committed, template, platform, layers, packages))
    for line in told:
        job.progress(line)
    if told and frozen:
        raise WfconsoleError(
            "TEMPLATE_MISSING",
            f"the image of template {template.name} is not the committed one: {'; '.join(told)[:600]}",
            f"`wfconsole templates build {template.name}` without --frozen takes it as it is",
            {"differences": list(told)},
        )
    return inventory.document(template, platform, layers, packages, committed), told


def _packages(job: _Build, image_id: str) -> inventory.Packages:
    if job.template.rootfs is not None and job.template.rootfs.builder == "busybox":
        return inventory.of_busybox(small.program())
    status = job.engine.read(image_id, inventory.DPKG_STATUS)
    return {} if status is None else inventory.of_debian(status, job.cache / "packages")


async def _first_way(job: _Build) -> tuple[str, Way, Mapping[str, str]]:
    """The archive; else pull where that works and has what the template promises; else build."""
    template, refusal = job.template, ""
    if template.archive is not None:
        return await _proven(job, await _from_tar(job, template.archive.file), "taken from its archive")
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
    if template.dockerfile is not None:
        context = job.work / "dockerfile.tar"
        await asyncio.to_thread(pack.alone, template.dockerfile.read_bytes(), context)
        base = await asyncio.to_thread(job.engine.build_on, context)
        return await _proven(job, await _on_top(job, base), "made from its Dockerfile")
    if template.rootfs is None:
        raise WfconsoleError(
            "TEMPLATE_MISSING", refusal, f"make the registry reachable, or pull {template.pull} by hand"
        )
    base_tar = await rootfs.make(template.rootfs, job.cache, job.progress)
    return await _proven(job, await _from_tar(job, base_tar), "built from packages")


async def _from_tar(job: _Build, base: Path) -> str:
    template = job.template
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
    """The image once every promised tool has told its version; forgotten when one is missing or of another version."""
    try:
        tools = await asyncio.to_thread(versions, job.engine, job.template, image_id)
    except BaseException:
        await asyncio.shield(asyncio.to_thread(job.engine.forget, image_id))
        raise
    return image_id, way, tools


def versions(engine: Engine, template: Template, image_id: str) -> dict[str, str]:
    """What each tool says of itself, asked as any user and in one container. Raises TEMPLATE_MISSING for one out of its range."""
    wanted = template.tools
    if not wanted:
        return {}
    asked = [
        f"printf '%s\\t' {tool}; {{ {tool} --version 2>&1 || {tool} --help 2>&1; }} | tr '\\n' ' '; echo"
        for tool in wanted
    ]
    output = engine.run(image_id, ["/bin/sh", "-c", "\n".join(asked)], {}, "65532:65532")
    found = {}
    for line in output.splitlines():
        tool, _, said = line.partition("\t")
        match = _VERSION.search(said)
        if match is None or not fits(match[0], wanted[tool]):
            said = said.strip()[:200] or "it said nothing"
            raise WfconsoleError("TEMPLATE_MISSING", f"the image has no {tool} {wanted[tool]}: {said}")
        found[tool] = match[0]
    return found


def _changes(template: Template) -> list[str]:
    """The image's configuration, as Dockerfile lines; `docker import` takes the same words."""
    labels = {
        "wfconsole.template": template.name,
        "wfconsole.template_digest": template.image_digest,
        "wfconsole.wheels_digest": template.wheels_digest,
    }
    lines = [f"ENV {name}={_quoted(value)}" for name, value in template.env.items()]
    lines += [f"LABEL {name}={_quoted(value)}" for name, value in labels.items()]
    return [*lines, f"WORKDIR {template.policy.workdir}", 'CMD ["/bin/sh"]']


def _quoted(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("$", "\\$")
