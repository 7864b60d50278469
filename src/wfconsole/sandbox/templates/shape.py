"""The template file: its fields, strictly, and its digests.

Owns what may stand in ``recipes/templates/NAME.yaml``. Refuses to read files other than those that the template names beside
itself, and every field that would reach the engine as it stands. Surprising: there are two digests. `image_digest` covers
what the image is made of and stands in its labels; `digest` covers everything, so a changed limit needs a new lock and no
new image.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from wfconsole.ports import WfconsoleError
from wfconsole.sandbox.policy import Policy
from wfconsole.sandbox.templates import fields, settings
from wfconsole.sandbox.templates.fields import Findings

BUILDER = 1
"""Raised when the same template would give another image: it is part of the digest."""

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RANGE = re.compile(r"(>=|<=|==|>|<)\d+(\.\d+)*(\s*,\s*(>=|<=|==|>|<)\d+(\.\d+)*)*")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_KNOWN = (
    "template", "description", "image", "platform", "user", "workdir", "env", "tools", "mounts", "network", "limits", "drift",
)  # fmt: skip
_SHAPING = ("template", "image", "platform", "workdir", "env", "tools")
"""The fields that the image depends on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rootfs:
    """A root file system made on this machine: by debootstrap from a suite's packages, or from the host's static busybox."""

    builder: str = "debootstrap"
    suite: str = ""
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """A root file system as a tar beside the template, pinned by its content."""

    file: Path
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One template file. `digest` covers everything in it, `image_digest` what the image is made of.

    The ways to the image, of which at least one is there, are tried in this order: `archive`, `pull` (where a registry answers),
    `dockerfile`, `rootfs`. `tools` maps a program to the range of versions that will do. `files` are the sha256 of the template
    file and those beside it, by name; `platform` is None for the engine's own.
    """

    name: str
    description: str
    digest: str
    image_digest: str = ""
    pull: str | None = None
    rootfs: Rootfs | None = None
    archive: Archive | None = None
    dockerfile: Path | None = None
    wheels: Path | None = None
    wheels_digest: str = ""
    platform: str | None = None
    tools: Mapping[str, str] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        return f"wfconsole/{self.name}"

    @property
    def env(self) -> Mapping[str, str]:
        return self.policy.env

    @property
    def fallback_template(self) -> str | None:
        return self.policy.fallback_template


def parse(data: Mapping[str, Any], folder: Path, where: Callable[[fields.Path], str] = lambda _: "") -> Template:
    """The template that a parsed file describes; `folder` is where the file lies, `where` tells the place of a path in it.

    Raises WfconsoleError RECIPE_INVALID with all findings at once, in the message and as ``details["findings"]``.
    """
    found = Findings()
    top = found.table(data, (), _KNOWN)
    name = found.text(top.get("template"), ("template",), NAME)
    image = found.table(top.get("image"), ("image",), ("pull", "rootfs", "archive", "dockerfile", "wheels"))
    if not any(image.get(way) for way in ("pull", "rootfs", "archive", "dockerfile")):
        found.add(("image",), "needs one of `pull`, `rootfs`, `archive`, `dockerfile`")
    beside = _Beside(folder, found)
    wheels = beside.file(image.get("wheels"), ("image", "wheels"))
    if wheels is not None:
        _check_wheels(wheels, found)
    policy = settings.policy(top, found)
    if policy.fallback_template == name and name:
        found.add(("drift", "fallback_template"), "a template cannot fall back to itself")
    archive = _archive(image.get("archive"), beside)
    dockerfile = beside.file(image.get("dockerfile"), ("image", "dockerfile"))
    shaping = {key: top[key] for key in _SHAPING if key in top}
    template = Template(
        name=name,
        description=found.optional(top.get("description"), ("description",)) or "",
        digest=_digest(BUILDER, top, beside.digests),
        image_digest=_digest(BUILDER, shaping, beside.digests),
        pull=found.optional(image.get("pull"), ("image", "pull"), _IMAGE),
        rootfs=_rootfs(image["rootfs"], found) if image.get("rootfs") is not None else None,
        archive=archive,
        dockerfile=dockerfile,
        wheels=wheels,
        wheels_digest=beside.digests.get(wheels.name, "") if wheels is not None else "",
        platform=found.optional(top.get("platform"), ("platform",), re.compile(r"linux/(amd64|arm64)")),
        tools=found.texts(top.get("tools"), ("tools",), _PACKAGE, _RANGE),
        policy=policy,
        files=dict(beside.digests),
    )
    if found.found:
        lines = found.lines(where)
        raise WfconsoleError(
            "RECIPE_INVALID",
            f"template {name or '?'}: " + "; ".join(lines),
            "mend the template file; `recipes/templates/python.yaml` shows every field",
            {"findings": lines},
        )
    return template


class _Beside:
    """Files that a template names; they lie beside it, and their content is part of its digest."""

    def __init__(self, folder: Path, found: Findings) -> None:
        self._folder = folder
        self._found = found
        self.digests: dict[str, str] = {}

    def file(self, value: object, path: fields.Path) -> Path | None:
        if value is None:
            return None
        name = self._found.text(value, path, _FILE)
        place = self._folder / name
        if not _FILE.fullmatch(name) or not place.is_file():
            self._found.add(path, f"there is no file `{name}` beside the template")
            return None
        with place.open("rb") as content:
            self.digests[name] = hashlib.file_digest(content, "sha256").hexdigest()
        return place


def _archive(value: object, beside: _Beside) -> Archive | None:
    if value is None:
        return None
    found, path = beside._found, ("image", "archive")  # noqa: SLF001  # of this module
    data = found.table(value, path, ("file", "sha256"))
    sha256 = found.text(data.get("sha256"), (*path, "sha256"), _SHA256)
    file = beside.file(data.get("file") or "", (*path, "file"))
    if file is None:
        return None
    if beside.digests[file.name] != sha256:
        found.add((*path, "sha256"), f"{file.name} has the sha256 {beside.digests[file.name]}")
    return Archive(file=file, sha256=sha256)


def _rootfs(value: object, found: Findings) -> Rootfs:
    path = ("image", "rootfs")
    data = found.table(value, path, ("builder", "suite", "packages"))
    builder = found.word(data.get("builder"), (*path, "builder"), ("debootstrap", "busybox"), "debootstrap")
    if builder == "busybox":
        for name in ("suite", "packages"):
            if name in data:
                found.add((*path, name), "a root file system of busybox has no packages")
        return Rootfs(builder=builder)
    packages = found.listing(data.get("packages"), (*path, "packages"), _PACKAGE)
    return Rootfs(suite=found.text(data.get("suite"), (*path, "suite"), NAME), packages=packages)


def _check_wheels(path: Path, found: Findings) -> None:
    """Every line must pin a version and carry hashes."""
    for line in path.read_bytes().decode("utf-8", "replace").replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#") and ("==" not in line or "--hash=sha256:" not in line):
            found.add(("image", "wheels"), f"`{line.split()[0]}` in {path.name} has no version with a hash")


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def fits(version: str, wanted: str) -> bool:
    """Is ``2.39.5`` within ``>=2.30,<3``?"""
    return all(_holds(_number(version), part.strip()) for part in wanted.split(","))


def _holds(version: tuple[int, ...], condition: str) -> bool:
    match = re.fullmatch(r"(>=|<=|==|>|<)([\d.]+)", condition)
    if match is None:
        return False
    sign, other = match[1], _number(match[2])
    same = version[: len(other)] == other
    return {
        ">=": version >= other, "<=": version <= other or same, "==": same, ">": version > other and not same,
        "<": version < other,
    }[sign]  # fmt: skip


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def described(template: Template) -> dict[str, Any]:
    """What a template says, for people and programs."""
    ways = {
        "archive": template.archive and template.archive.file.name,
        "pull": template.pull,
        "dockerfile": template.dockerfile and template.dockerfile.name,
        "rootfs": template.rootfs and asdict(template.rootfs),
        "wheels": template.wheels and template.wheels.name,
    }
    policy = asdict(template.policy)
    return {
        "image": {name: value for name, value in ways.items() if value},
        "platform": template.platform,
        "tools": dict(template.tools),
        **{name: policy[name] for name in ("workdir", "env", "mounts", "network", "limits")},
        "user": {"uid": template.policy.uid, "gid": template.policy.gid}
        if template.policy.uid is not None
        else "operator",
        "drift": {name: policy[name] for name in ("on_mismatch", "fallback_template", "probe")},
    }
