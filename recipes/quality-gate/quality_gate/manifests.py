"""Reading what a repository depends on: declared requirements and locked versions, Python and npm.

Owns file formats. It asks no index and judges nothing. The one decision that would surprise: a requirements file whose
every line is pinned by `==` counts as a lock, since that is what it is used as.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from quality_gate.project import Project

_REQUIREMENT = re.compile(
    r"^\s*(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[[^\]]*\])?\s*\(?(?P<spec>[^;#@()]*)\)?\s*(?P<url>@[^;#]*)?"
)
_PINNED = re.compile(r"^={2,3}\s*(?P<version>[^*,\s]+)$")
_REQUIREMENTS_FILE = re.compile(r"(.*[-_.])?requirements([-_.].*)?\.(txt|in)")
_TOML_LOCKS = ("uv.lock", "poetry.lock", "pdm.lock")
_NPM_LOCKS = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock")


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One declared dependency; `version` is set when exactly one is allowed; `direct` means a URL or a repository."""

    ecosystem: str
    name: str
    spec: str
    source: str
    version: str | None = None
    direct: bool = False
    must_pin: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """One version that a lock file chose."""

    ecosystem: str
    name: str
    version: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifests:
    """All that was read; `declared_in` and `locks` are file names, `broken` those that could not be read."""

    requirements: tuple[Requirement, ...] = ()
    locked: tuple[Locked, ...] = ()
    declared_in: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def read(project: Project) -> Manifests:
    """Read every manifest and lock that the repository has at its top level or under requirements/."""
    requirements: list[Requirement] = []
    locked: list[Locked] = []
    declared: list[str] = []
    locks: list[str] = []
    broken: list[str] = []
    for name in (file for file in project.files if _is_near(file)):
        try:
            found = list(_declared(project, name))
            chosen = list(_locked(project, name))
        except (ValueError, TypeError, AttributeError, KeyError):
            broken.append(name)
            continue
        declared += [name] if found or _is_manifest(project, name) else []
        pinned_file = bool(found) and name.endswith(".txt") and all(item.version for item in found)
        locks += [name] if _is_lock(name) or pinned_file else []
        requirements += found
        locked += chosen
    return Manifests(
        requirements=tuple(requirements), locked=tuple(locked), declared_in=tuple(declared), locks=tuple(locks),
        broken=tuple(broken),
    )  # fmt: skip


def requirement(line: str, source: str, *, must_pin: bool = False) -> Requirement | None:
    """Return the requirement in one line of PEP 508, or None for blank lines, comments and options."""
    text = line.split(" #", 1)[0].strip()
    if re.match(r"(-e|--editable)[ =]|(git|hg|svn|https?|file)[+:]|\.{1,2}/", text):
        return Requirement(ecosystem="python", name=text[:200], spec="", source=source, direct=True, must_pin=must_pin)
    match = _REQUIREMENT.match(text)
    if not text or text.startswith(("#", "-")) or match is None:
        return None
    spec = match["spec"].split(" --hash", 1)[0].strip().rstrip("\\").strip()
    pinned = _PINNED.match(spec)
    return Requirement(
        ecosystem="python", name=normal(match["name"]), spec=spec, source=source, must_pin=must_pin,
        version=pinned["version"] if pinned else None, direct=match["url"] is not None,
    )  # fmt: skip


def normal(name: str) -> str:
    """Return a Python distribution's name in its normal form."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _declared(project: Project, name: str) -> Iterator[Requirement]:
    base = PurePosixPath(name).name
    if base == "pyproject.toml":
        for line in _pyproject_lines(tomllib.loads(project.text(name))):
            found = requirement(line, name)
            if found:
                yield found
    elif base == "package.json":
        data = json.loads(project.text(name))
        for group in ("dependencies", "devDependencies", "optionalDependencies"):
            for package, spec in (data.get(group) or {}).items():
                direct = bool(re.match(r"git|https?:|file:|[\w-]+/[\w-]+", str(spec)))
                yield Requirement(ecosystem="npm", name=package, spec=str(spec), source=name, direct=direct)
    elif _REQUIREMENTS_FILE.fullmatch(base) or (name.startswith("requirements/") and name.endswith((".txt", ".in"))):
        text = project.text(name).replace("\\\n", " ")
        for line in text.splitlines():
            found = requirement(line, name, must_pin=name.endswith(".txt"))
            if found:
                yield found


def _pyproject_lines(data: dict[str, Any]) -> Iterator[str]:
    project, poetry = data.get("project") or {}, (data.get("tool") or {}).get("poetry") or {}
    yield from project.get("dependencies") or []
    for group in (project.get("optional-dependencies") or {}).values():
        yield from group
    for group in (data.get("dependency-groups") or {}).values():
        yield from (item for item in group if isinstance(item, str))
    for package, spec in (poetry.get("dependencies") or {}).items():
        if package != "python":
            version = spec if isinstance(spec, str) else spec.get("version", "")
            yield f"{package}{version}" if version[:1] in set("=<>~!") else package


def _locked(project: Project, name: str) -> Iterator[Locked]:
    base = PurePosixPath(name).name
    if base in _TOML_LOCKS or re.fullmatch(r"pylock(\..+)?\.toml", base):
        data = tomllib.loads(project.text(name))
        for item in data.get("package", data.get("packages", [])):
            if item.get("version"):
                yield Locked(ecosystem="python", name=normal(item["name"]), version=item["version"], source=name)
    elif base == "Pipfile.lock":
        data = json.loads(project.text(name))
        for package, item in ((data.get("default") or {}) | (data.get("develop") or {})).items():
            version = str(item.get("version", "")).removeprefix("==")
            yield Locked(ecosystem="python", name=normal(package), version=version, source=name)
    elif base in {"package-lock.json", "npm-shrinkwrap.json"}:
        for path, item in (json.loads(project.text(name)).get("packages") or {}).items():
            if path and item.get("version"):
                package = path.rsplit("node_modules/", 1)[-1]
                yield Locked(ecosystem="npm", name=package, version=item["version"], source=name)


def _is_manifest(project: Project, name: str) -> bool:
    return name in {"package.json", "Pipfile", "setup.py"} or (
        name == "pyproject.toml" and bool(project.table("project"))
    )


def _is_lock(name: str) -> bool:
    base = PurePosixPath(name).name
    return base in {*_TOML_LOCKS, *_NPM_LOCKS, "Pipfile.lock"} or bool(re.fullmatch(r"pylock(\..+)?\.toml", base))


def _is_near(name: str) -> bool:
    return "/" not in name or (name.count("/") == 1 and name.startswith("requirements/"))
