"""A letter as a card shows it and as it is sent: one function makes what is compared, so that the two cannot drift apart.

Owns how attachments are named and bounded, and the shape of a previewed letter. Refuses to know servers. The decision that would
surprise: the preview holds the addresses behind the aliases and the digest of every attachment, so that neither the configuration
nor a file can change what was approved.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Mapping, Sequence

from wfconsole.domain.plan import Json
from wfconsole.ports import Collector, RunFolder, WfconsoleError
from wfconsole.ports.delivery import Attachment, Mailer

ATTACHED_BYTES = 20 * 1024**2
ARTIFACTS, WORKSPACE = "/artifacts/", "/workspace/"


async def attachments(names: Sequence[str], folder: RunFolder, collector: Collector) -> tuple[Attachment, ...]:
    """The named files, whole. Raises EFFECT_FAILED for one that is missing, no regular file, or too much in all."""
    found: list[Attachment] = []
    left = ATTACHED_BYTES
    for name in names:
        root, path = folder.workspace, name.removeprefix(WORKSPACE)
        if name.startswith(ARTIFACTS):
            root, path = folder.artifacts, name.removeprefix(ARTIFACTS)
        hint = f"let a step write it before; a step's artifact is {ARTIFACTS}STEP/NAME"
        try:
            data = await collector.read(root=root, path=path, limit=max(left, 1))
        except WfconsoleError as error:
            raise _failed(f"{name} cannot be attached: {error.message}", error.hint or hint) from error
        if data is None:
            raise _failed(f"there is no {name} to attach", hint)
        left -= len(data)
        if left < 0:
            raise _failed(f"the attachments are larger than {ATTACHED_BYTES // 1024**2} MiB", "attach less")
        found.append(Attachment(name=posixpath.basename(path), data=data))
    return tuple(found)


async def previewed(shown: Json, folder: RunFolder, collector: Collector, mailer: Mailer | None) -> Json:
    """What a step would do as a card holds it: a letter with its addresses and digests, anything else as it is."""
    if not isinstance(shown, dict) or shown.get("kind") != "email":
        return shown
    if mailer is None:
        raise _failed("this process has no connections", "add [connections.NAME] to config.toml")
    return letter_document(shown, await attachments(shown["attach"], folder, collector), mailer)


def letter_document(resolved: Mapping[str, Json], files: Sequence[Attachment], mailer: Mailer) -> dict[str, Json]:
    """A letter of these resolved values. Raises EFFECT_FAILED."""
    for key in ("subject", "via"):
        if "\n" in resolved[key] or "\r" in resolved[key]:
            raise _failed(f"a line break in the {key}", "keep it on one line")
    return {
        "kind": "email",
        "via": resolved["via"],
        "to": list(mailer.recipients(resolved["via"], resolved["to"])),
        "subject": resolved["subject"],
        "body": resolved["body"],
        "attach": [
            {"name": file.name, "bytes": len(file.data), "sha256": hashlib.sha256(file.data).hexdigest()}
            for file in files
        ],
    }


def differences(shown: Json, now: Mapping[str, Json]) -> list[str]:
    """What of a letter is not as it was shown, by key."""
    if not isinstance(shown, dict):
        return sorted(now)
    return [key for key in sorted({*shown, *now}) if shown.get(key) != now.get(key)]


def _failed(message: str, hint: str) -> WfconsoleError:
    return WfconsoleError("EFFECT_FAILED", message, hint)
