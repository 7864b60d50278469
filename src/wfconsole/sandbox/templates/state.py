"""Which templates have an image on this engine, and whether it is the one that the template file describes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from wfconsole.sandbox.templates.engine import Engine, translated
from wfconsole.sandbox.templates.shape import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateState:
    """`ok`: the image's labels carry this template's digest; `stale`: another one; `missing`: no image of that tag."""

    name: str
    state: Literal["ok", "stale", "missing"]
    image_id: str | None = None
    digest: str
    built_digest: str | None = None

    @property
    def remedy(self) -> str:
        return "" if self.state == "ok" else f"wfconsole templates build {self.name}"


async def check(templates: Sequence[Template]) -> tuple[TemplateState, ...]:
    """The state of each, in order. Raises WfconsoleError SANDBOX_UNAVAILABLE without an engine."""
    return await asyncio.to_thread(_check, templates)


def _check(templates: Sequence[Template]) -> tuple[TemplateState, ...]:
    engine = Engine()
    try:
        with translated():
            return tuple(_state(engine, template) for template in templates)
    finally:
        engine.close()


def _state(engine: Engine, template: Template) -> TemplateState:
    found = engine.image(template.tag)
    if found is None:
        return TemplateState(name=template.name, state="missing", digest=template.digest)
    image_id, labels = found
    built = labels.get("wfconsole.template_digest")
    return TemplateState(
        name=template.name,
        state="ok" if built == template.digest else "stale",
        image_id=image_id,
        digest=template.digest,
        built_digest=built,
    )
