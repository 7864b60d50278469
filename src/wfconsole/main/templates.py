"""Sandbox templates for the command line: which there are, whether they are what their locks say, making and locking them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wfconsole.compiler.load import load
from wfconsole.compiler.tree import Document, Listing, Node, Table, plain
from wfconsole.config import Settings
from wfconsole.control.wiring import Templates
from wfconsole.main.recipes import template_names
from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.engine import Engine
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.locks import HostLock, HostLocks
from wfconsole.sandbox.templates import build as building, engine as builder, inventory
from wfconsole.sandbox.templates.lock import Workshop
from wfconsole.sandbox.templates.shape import Template, described, parse


class TemplateShelf(Templates):
    """`control.wiring.Templates` over the template files, the host's locks and the engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def list(self) -> Sequence[Mapping[str, Any]]:
        async with self._workshop() as shop:
            return [await self._state(shop, self._template(name)) for name in sorted(template_names(self._settings))]

    async def show(self, name: str) -> Mapping[str, Any]:
        template = self._template(name)
        async with self._workshop() as shop:
            lock = shop.locks.find(name)
            return {**await self._state(shop, template), **described(template), "lock": _lock_document(lock)}

    async def check(self, name: str | None) -> Sequence[Mapping[str, Any]]:
        names = [name] if name is not None else sorted(template_names(self._settings))
        async with self._workshop() as shop:
            return [await self._state(shop, self._template(each)) for each in names]

    async def build(
        self, name: str, progress: Callable[[str], None], *, frozen: bool = False, update: bool = False
    ) -> Mapping[str, Any]:
        template, folder = self._template(name), self._folder(name)
        place = inventory.path(template, folder)
        if frozen and template.pull is not None and "@" not in template.pull:
            template = replace(template, pull=None)  # what a tag means today is not what anybody committed
        async with self._workshop() as shop:
            built = await building.build(
                template,
                cache=self._settings.cache,
                progress=progress,
                seal=shop.lock,
                committed=_committed(place),
                frozen=frozen,
            )
        if update:
            inventory.write(place, built.committed)
            progress(f"committed lock: {place}")
        return {
            "name": built.name,
            "state": "ok",
            "image_id": built.image_id,
            "way": built.way,
            "seconds": round(built.seconds, 1),
            "tools": dict(built.tools),
            "differences": [] if update else list(built.differences),
            "lock": str(shop.locks.path(name)),
        }

    async def lock(self, name: str, progress: Callable[[str], None]) -> Mapping[str, Any]:
        template = self._template(name)
        async with self._workshop() as shop:
            image = await shop.image(template, template.tag)
            versions = await asyncio.to_thread(_versions, template, image["id"])
            lock = await shop.lock(template, image["id"], versions)
            progress(f"template {name}: locked to {lock.image_id.removeprefix('sha256:')[:12]}")
            return {**await self._state(shop, template), "lock": str(shop.locks.path(name)), "tools": dict(lock.tools)}

    async def _state(self, shop: Workshop, template: Template) -> Mapping[str, Any]:
        found = await shop.compare(template)
        lock = shop.locks.find(template.name)
        return {
            "name": template.name,
            "description": template.description,
            "state": found.state,
            "reason": found.reason,
            "image_id": None if lock is None else lock.image_id,
            "digest": template.digest,
            "fingerprint": None if lock is None else lock.fingerprint,
            "fallback_template": template.fallback_template,
            "differences": [
                {"field": each.field, "expected": each.expected, "observed": each.observed}
                for each in found.differences
            ],
            "remedy": f"wfconsole templates {found.command} {template.name}" if found.command else "",
        }

    @asynccontextmanager
    async def _workshop(self) -> AsyncIterator[Workshop]:
        engine = Engine(self._settings.environ.get("DOCKER_HOST"))
        try:
            settings = self._settings
            locks = HostLocks(settings.template_locks, settings.template_folders)
            yield Workshop(engine, Gate(settings.account / "gates"), settings.cache / "sandbox", locks)
        finally:
            await engine.close()

    def _folder(self, name: str) -> Path:
        found = next((each for each in self._settings.template_folders if (each / f"{name}.yaml").is_file()), None)
        if found is None:
            known = ", ".join(sorted(template_names(self._settings)))
            raise WfconsoleError("NOT_FOUND", f"there is no template {name}", f"templates: {known}")
        return found

    def _template(self, name: str) -> Template:
        folder = self._folder(name)
        path = folder / f"{name}.yaml"
        data = path.read_bytes()
        document, findings = load(data, file=str(path))
        if document is None or findings:
            raise WfconsoleError("RECIPE_INVALID", "; ".join(map(str, findings)), "mend the template file")
        template = parse(plain(document.root), folder, lambda at: _place(document, at))
        if template.name != name:
            raise WfconsoleError(
                "RECIPE_INVALID", f"{path} describes the template {template.name}", "rename one of them"
            )
        return replace(template, files={**template.files, path.name: hashlib.sha256(data).hexdigest()})


def _versions(template: Template, image_id: str) -> Mapping[str, str]:
    engine = builder.Engine()
    try:
        with builder.translated():
            return building.versions(engine, template, image_id)
    finally:
        engine.close()


def _committed(place: Path) -> Mapping[str, Any] | None:
    try:
        return inventory.read(place)
    except ValueError as error:
        raise WfconsoleError(
            "RECIPE_INVALID", f"{place} is no JSON: {error}", "take it from version control"
        ) from error


def _lock_document(lock: HostLock | None) -> Mapping[str, Any] | None:
    if lock is None:
        return None
    return {
        "at": lock.at,
        "by": lock.by,
        "digest": lock.digest,
        "image": lock.image,
        "tools": lock.tools,
        "probe": lock.probe,
        "engine": lock.engine,
    }


def _place(document: Document, path: tuple[str | int, ...]) -> str:
    """``FILE:LINE:COLUMN: `` of the value at this path, or of the nearest thing around it that is there."""
    node: Node = document.root
    place = node.place
    for part in path:
        if isinstance(node, Table):
            entry = next(((key, value) for key, value in node.entries if key.text == part), None)
            if entry is None:
                break
            key, node = entry
            place = key.place
        elif isinstance(node, Listing) and isinstance(part, int) and part < len(node.items):
            node = node.items[part]
            place = node.place
        else:
            break
    return f"{document.file}:{place.line}:{place.column}: "
