"""The template file: its fields, strictly, and its digest.

Owns what may stand in ``recipes/templates/NAME.yaml``. Refuses to read files other than the wheel list that the template names.
Surprising: an image has no lock yet; until the locks come, the digest of the template and of its wheels stands in the image's
labels, and an image with another digest is stale.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from wfconsole.ports import WfconsoleError

BUILDER = 1
"""Raised when the same template would give another image: it is part of the digest."""

_T = TypeVar("_T")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RANGE = re.compile(r">=\d+(\.\d+)*")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_IMAGE = re.compile(r"[a-z0-9][a-z0-9._/-]*(:[A-Za-z0-9._-]+)?(@sha256:[0-9a-f]{64})?")
_DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rootfs:
    """A root file system from distribution packages: the suite's name and what is added to its minimal set."""

    suite: str
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """One template file. `digest` covers everything in it; `wheels_digest` is that of the wheel list ("" without one).

    `tools` maps a program to the lowest version that will do. `pull` is an image that serves as the root file system where a
    registry can be reached; None: never ask. At least one of `pull` and `rootfs` is there.
    """

    name: str
    description: str
    digest: str
    pull: str | None
    rootfs: Rootfs | None
    wheels: Path | None = None
    wheels_digest: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    tools: Mapping[str, str] = field(default_factory=dict)
    fallback_template: str | None = None

    @property
    def tag(self) -> str:
        return f"wfconsole/{self.name}"


class _Findings:
    """Collects every finding of one file; `where` is the dotted path of the mapping being read."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, where: str, message: str) -> None:
        self.lines.append(f"{where}: {message}" if where else message)

    def mapping(self, value: object, where: str, known: tuple[str, ...] | None) -> Mapping[str, Any]:
        """The mapping with string keys only; with `known`, other keys are findings with a near name."""
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            self.add(where, "must be a mapping with text keys")
            return {}
        for key in value:
            if known is not None and key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f", did you mean `{near[0]}`?" if near else f"; known: {', '.join(known)}"
                self.add(where, f"unknown key `{key}`{hint}")
        return value

    def text(self, value: object, where: str, shape: re.Pattern[str] | None = None) -> str:
        if not isinstance(value, str):
            self.add(where, "must be text")
            return ""
        if shape is not None and not shape.fullmatch(value):
            self.add(where, f"`{value}` does not match {shape.pattern}")
        return value

    def texts(self, value: object, where: str, key: re.Pattern[str], shape: re.Pattern[str] | None) -> dict[str, str]:
        """A mapping of text to text, as a plain dict in the order of its keys."""
        found = self.mapping(value, where, None)
        for name in found:
            if not key.fullmatch(name):
                self.add(where, f"`{name}` does not match {key.pattern}")
        return {name: self.text(found[name], f"{where}.{name}", shape) for name in sorted(found)}


def parse(data: Mapping[str, Any], folder: Path) -> Template:
    """The template that a parsed file describes; `folder` is where the file lies.

    Raises WfconsoleError RECIPE_INVALID with all findings at once, in the message and as ``details["findings"]``.
    """
    found = _Findings()
    known = ("template", "description", "image", "env", "tools", "fallback_template")
    top = found.mapping(data, "", known)
    name = found.text(top.get("template"), "template", _NAME)
    image = found.mapping(top.get("image"), "image", ("pull", "rootfs", "wheels"))
    if not image.get("pull") and not image.get("rootfs"):
        found.add("image", "needs `pull`, `rootfs` or both")
    wheels, wheels_digest = _wheels(image.get("wheels"), folder, found)
    env = {"PATH": _DEFAULT_PATH, **found.texts(top.get("env"), "env", _VARIABLE, _LINE)}
    template = Template(
        name=name,
        description=_optional(top.get("description"), lambda value: found.text(value, "description")) or "",
        digest=_digest(top, wheels_digest),
        pull=_optional(image.get("pull"), lambda value: found.text(value, "image.pull", _IMAGE)),
        rootfs=_optional(image.get("rootfs"), lambda value: _rootfs(value, found)),
        wheels=wheels,
        wheels_digest=wheels_digest,
        env=dict(sorted(env.items())),
        tools=found.texts(top.get("tools"), "tools", _PACKAGE, _RANGE),
        fallback_template=_optional(
            top.get("fallback_template"), lambda value: found.text(value, "fallback_template", _NAME)
        ),
    )
    if template.fallback_template == name:
        found.add("fallback_template", "a template cannot fall back to itself")
    if found.lines:
        raise WfconsoleError(
            "RECIPE_INVALID",
            f"template {name or '?'}: " + "; ".join(found.lines),
            "mend the template file; `recipes/templates/python.yaml` shows every field",
            {"findings": list(found.lines)},
        )
    return template


def _optional(value: object, read: Callable[[object], _T]) -> _T | None:
    return None if value is None else read(value)


def _rootfs(value: object, found: _Findings) -> Rootfs:
    data = found.mapping(value, "image.rootfs", ("suite", "packages"))
    packages = data.get("packages", [])
    if not isinstance(packages, list):
        found.add("image.rootfs.packages", "must be a list of package names")
        packages = []
    names = (found.text(package, f"image.rootfs.packages[{n}]", _PACKAGE) for n, package in enumerate(packages))
    return Rootfs(suite=found.text(data.get("suite"), "image.rootfs.suite", _NAME), packages=tuple(sorted(set(names))))


def _wheels(value: object, folder: Path, found: _Findings) -> tuple[Path | None, str]:
    """The wheel list beside the template and the sha256 of its bytes. Every line must pin a version and carry hashes."""
    if value is None:
        return None, ""
    name = found.text(value, "image.wheels", re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*"))
    path = folder / name
    if not path.is_file():
        found.add("image.wheels", f"there is no file `{name}` beside the template")
        return None, ""
    content = path.read_bytes()
    for line in content.decode().replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#") and ("==" not in line or "--hash=sha256:" not in line):
            found.add("image.wheels", f"`{line.split()[0]}` in {name} has no version with a hash")
    return path, hashlib.sha256(content).hexdigest()


def _digest(top: Mapping[str, Any], wheels_digest: str) -> str:
    text = json.dumps([BUILDER, top, wheels_digest], sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
