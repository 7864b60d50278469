"""Sandbox templates for the command line: which there are, whether their images are right, and making them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from wfconsole.cli.wiring import Templates
from wfconsole.compiler.load import load
from wfconsole.compiler.tree import plain
from wfconsole.config import Settings
from wfconsole.main.recipes import template_names
from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.templates.build import build
from wfconsole.sandbox.templates.shape import Template, parse
from wfconsole.sandbox.templates.state import TemplateState, check

_WORDS = {"ok": "ok", "stale": "drift", "missing": "missing"}


class TemplateShelf(Templates):
    """`cli.wiring.Templates` over the template files and the engine."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def list(self) -> Sequence[Mapping[str, Any]]:
        templates = [self._template(name) for name in sorted(template_names(self._settings))]
        states = await check(templates)
        return [_document(template, state) for template, state in zip(templates, states, strict=True)]

    async def show(self, name: str) -> Mapping[str, Any]:
        template = self._template(name)
        (state,) = await check([template])
        return {**_document(template, state), "tools": dict(template.tools), "env": dict(template.env)}

    async def build(self, name: str, progress: Callable[[str], None]) -> Mapping[str, Any]:
        built = await build(self._template(name), cache=self._settings.cache, progress=progress)
        return {
            "name": built.name,
            "state": "ok",
            "image_id": built.image_id,
            "way": built.way,
            "seconds": round(built.seconds, 1),
            "tools": dict(built.tools),
        }

    async def check(self, name: str | None) -> Sequence[Mapping[str, Any]]:
        names = [name] if name is not None else sorted(template_names(self._settings))
        templates = [self._template(each) for each in names]
        states = await check(templates)
        return [
            {**_document(template, state), "differences": _differences(state)}
            for template, state in zip(templates, states, strict=True)
        ]

    def _template(self, name: str) -> Template:
        for folder in self._settings.template_folders:
            path = folder / f"{name}.yaml"
            if not path.is_file():
                continue
            document, findings = load(path.read_bytes(), file=str(path))
            if document is None:
                raise WfconsoleError("RECIPE_INVALID", "; ".join(map(str, findings)), "mend the template file")
            return parse(plain(document.root), folder)
        known = ", ".join(sorted(template_names(self._settings)))
        raise WfconsoleError("NOT_FOUND", f"there is no template {name}", f"templates: {known}")


def _document(template: Template, state: TemplateState) -> dict[str, Any]:
    return {
        "name": template.name,
        "description": template.description,
        "state": _WORDS[state.state],
        "image_id": state.image_id,
        "digest": state.digest,
        "remedy": state.remedy,
    }


def _differences(state: TemplateState) -> Sequence[Mapping[str, Any]]:
    if state.state == "ok":
        return []
    return [{"field": "template_digest", "expected": state.digest, "observed": state.built_digest}]
