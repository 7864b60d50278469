"""The host's locks: what each template's sandbox is on this machine, in the state folder, one file a template.

Owns the file's shape, its own digest, and whether it is out of date. Refuses to make a lock: that is `templates.lock`, which
only the operator's command calls. The decision that would surprise: whether a template file has changed is seen from its
bytes, so that no run has to read YAML before its first container.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from wfconsole.domain.codec import from_json, to_json
from wfconsole.domain.plan import Json
from wfconsole.domain.policy.drift import Difference, Drift
from wfconsole.ports import DriftError, WfconsoleError
from wfconsole.sandbox.fingerprint import digest
from wfconsole.sandbox.policy import Policy

LOCK_VERSION = 1
"""Raised when locks of before cannot be compared with: they are then out of date."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostLock:
    """One template on this machine.

    `files` are the sha256 of the template's files by name; `image`, `request` and `made` are fingerprints, `probe` what a look
    from inside gave, `tools` has version, path and sha256 of each promised program, `engine` who said so.
    """

    schema_version: int
    template: str
    template_digest: str
    files: dict[str, str]
    image: dict[str, Json]
    request: dict[str, Json]
    made: dict[str, Json]
    probe: dict[str, Json]
    tools: dict[str, Json]
    engine: dict[str, Json]
    policy: Policy
    by: str = ""
    at: str = ""
    digest: str = ""

    @property
    def image_id(self) -> str:
        return str(self.image["id"])

    @property
    def tag(self) -> str:
        return f"wfconsole/{self.template}"

    @property
    def fingerprint(self) -> str:
        """The digest of what a step's environment is made of; equal for all steps of this template on this host."""
        parts = {
            "image": self.image,
            "request": self.request,
            "made": self.made,
            "probe": self.probe,
            "env": self.policy.env,
        }
        return f"sha256:{digest(parts)}"

    def sealed(self) -> HostLock:
        """With the digest of everything else."""
        return replace(self, digest=_digest(to_json(self)))


@dataclass(slots=True)
class _Known:
    """A lock as it was read; `stamp` tells whether one of the files has changed since."""

    stamp: tuple[Any, ...]
    lock: HostLock


@dataclass(slots=True)
class HostLocks:
    """The locks in `folder`; `templates` are the folders of template files, the first that has a name wins."""

    folder: Path
    templates: Sequence[Path] = ()
    _known: dict[str, _Known] = field(default_factory=dict)

    def path(self, template: str) -> Path:
        return self.folder / f"{template}.lock.json"

    def find(self, template: str) -> HostLock | None:
        """The lock as it is, also when it is out of date; None when there is none that can be read as one."""
        try:
            data = json.loads(self.path(template).read_bytes())
            lock: HostLock = from_json(HostLock, data)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError, AttributeError):
            return None
        return lock

    def read(self, template: str) -> HostLock:
        """The lock to hold a sandbox to. Raises TEMPLATE_MISSING with the command that mends it; DriftError for one edited."""
        stamp = self._stamp(template)
        known = self._known.get(template)
        if known is not None and known.stamp == stamp:
            return known.lock
        lock = self.find(template)
        if lock is None:
            raise missing(template, f"the template {template} has no lock on this machine")
        why = self.stale(lock)
        if why is not None:
            raise missing(template, f"the lock of template {template} is out of date: {why}")
        now = _digest(to_json(lock))
        if now != lock.digest:
            difference = Difference(field="lock.digest", expected=lock.digest, observed=now)
            policy = lock.policy
            raise DriftError(
                Drift(
                    template=template,
                    phase="lock",
                    differences=(difference,),
                    on_mismatch=policy.on_mismatch,
                    fallback_template=policy.fallback_template,
                    lock=lock.digest,
                )
            )
        self._known[template] = _Known(stamp, lock)
        return lock

    def stale(self, lock: HostLock) -> str | None:
        """Why the lock is not of the template file that is there now; None when it is."""
        if lock.schema_version != LOCK_VERSION:
            return "another version of wfconsole made it"
        place = self._place(lock.template)
        if place is None:
            return "its template file is gone" if lock.files else None
        for name, before in lock.files.items():
            try:
                now = hashlib.sha256((place / name).read_bytes()).hexdigest()
            except FileNotFoundError:
                return f"{name} is gone"
            if now != before:
                return f"{name} has changed"
        return None

    def write(self, lock: HostLock) -> None:
        """Whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(to_json(lock), sort_keys=True, indent=1, ensure_ascii=False) + "\n"
        put(self.path(lock.template), text)

    def _place(self, template: str) -> Path | None:
        return next((folder for folder in self.templates if (folder / f"{template}.yaml").is_file()), None)

    def _stamp(self, template: str) -> tuple[Any, ...]:
        place = self._place(template)
        known = self._known.get(template)
        beside = [place / name for name in known.lock.files] if known is not None and place is not None else []
        return (place, *(_seen(path) for path in (self.path(template), *beside)))


def put(path: Path, text: str) -> None:
    """Write a file by rename: nobody ever reads half of it."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    with os.fdopen(descriptor, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(descriptor)
    Path(draft).chmod(0o644)
    Path(draft).replace(path)


def missing(template: str, message: str, *, image: bool = True) -> WfconsoleError:
    """TEMPLATE_MISSING with the command that mends it; without an `image` it has to be built."""
    return WfconsoleError("TEMPLATE_MISSING", message, f"wfconsole templates {'lock' if image else 'build'} {template}")


def _digest(document: dict[str, Json]) -> str:
    return digest({name: value for name, value in document.items() if name != "digest"})


def _seen(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
