"""Templates as images: from a template's name to the id that containers are created from.

Refuses to build or pull anything: a missing template is said, with the command that makes it. Containers are created by id,
since a tag can move between two attempts.
"""

from __future__ import annotations

from typing import Any

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.engine import Engine, Missing

REPOSITORY = "wfconsole"


async def resolve(engine: Engine, template: str) -> str:
    """The image id of ``wfconsole/TEMPLATE``. Raises TEMPLATE_MISSING."""
    try:
        found: dict[str, Any] = await engine.call(lambda client: client.inspect_image(f"{REPOSITORY}/{template}"))
    except Missing:
        raise missing(template) from None
    return str(found["Id"])


def missing(template: str) -> WfconsoleError:
    return WfconsoleError(
        "TEMPLATE_MISSING",
        f"the template {template} is not on this machine",
        f"wfconsole templates build {template}",
    )
