"""What identifies a sandbox: an image, and a container's configuration, from the engine's own words, in one plain form.

Pure: JSON of requests and inspections in, plain mappings out. Owns what is left out (ids, times, states, host paths where a
lock is made) and the empty values that the engine spells in several ways. Refuses to judge a difference. The decision that
would surprise: the engine fills in dozens of defaults, so a lock keeps what it made of a plain request, and an attempt is
expected to differ from that in nothing but what its own request says.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from wfconsole.domain.codec import canonical
from wfconsole.domain.plan import Json
from wfconsole.sandbox.labels import ATTEMPT, DATABASE, OWNER, RUN, STEP

Fields = dict[str, Any]
PLACEHOLDER = "*"
_PER_ATTEMPT = frozenset({RUN, STEP, ATTEMPT, OWNER, DATABASE})
_APART = frozenset({"Mounts", "Binds"})
"""Told as `mounts`, which has what is really mounted."""
_LONGEST = 200
"""Longer texts (a seccomp profile) are told by their digest."""
_CONFIG_APART = frozenset({"Image", "Labels", "AttachStdin", "AttachStdout", "AttachStderr", "Domainname", "Volumes"})


def digest(value: Json) -> str:
    """The sha256 of its canonical form."""
    return hashlib.sha256(canonical(value)).hexdigest()


def of_image(found: Mapping[str, Any]) -> Fields:
    """An image: its id, its layers, its platform and its configuration."""
    config = found.get("Config") or {}
    return {
        "id": found["Id"],
        "layers": list((found.get("RootFS") or {}).get("Layers") or ()),
        "platform": f"{found.get('Os')}/{found.get('Architecture')}",
        "config": {
            "env": sorted(config.get("Env") or ()),
            "entrypoint": list(config.get("Entrypoint") or ()),
            "cmd": list(config.get("Cmd") or ()),
            "workdir": config.get("WorkingDir") or "",
            "user": config.get("User") or "",
            "labels": dict(config.get("Labels") or {}),
        },
    }


def of_request(body: Mapping[str, Any]) -> Fields:
    """What a request asks for, comparable with another request."""
    host = body["HostConfig"]
    return {
        "image": body["Image"],
        "config": _compact({name: value for name, value in body.items() if name not in {*_CONFIG_APART, "HostConfig"}}),
        "labels": dict(body["Labels"]),
        "host": _compact({name: value for name, value in host.items() if name not in _APART}),
        "mounts": {mount["Target"]: _mount(mount["Source"], not mount.get("ReadOnly")) for mount in host["Mounts"]},
        "networks": [host["NetworkMode"]],
    }


def of_container(found: Mapping[str, Any]) -> Fields:
    """What a container is, from its inspection."""
    config, host = found["Config"], found["HostConfig"]
    return {
        "image": found["Image"],
        "config": _compact({name: value for name, value in config.items() if name not in _CONFIG_APART}),
        "labels": dict(config.get("Labels") or {}),
        "host": _compact({name: value for name, value in host.items() if name not in _APART}),
        "mounts": {mount["Destination"]: _mount(mount["Source"], mount["RW"]) for mount in found.get("Mounts") or ()},
        "networks": sorted((found.get("NetworkSettings") or {}).get("Networks") or {}),
    }


def plain(fields: Fields) -> Fields:
    """A fingerprint as a lock keeps it: ids and host paths are placeholders."""
    return {
        **fields,
        "image": PLACEHOLDER,
        "labels": {name: PLACEHOLDER if name in _PER_ATTEMPT else value for name, value in fields["labels"].items()},
        "mounts": {target: f"{PLACEHOLDER} {kind.rpartition(' ')[2]}" for target, kind in fields["mounts"].items()},
    }


def expected(asked: Fields, base_asked: Fields, base_made: Fields, image_labels: Mapping[str, str]) -> Fields:
    """What the engine has to make of `asked`, when it made `base_made` of `base_asked`."""
    host = dict(base_made["host"])
    for name in asked["host"].keys() | base_asked["host"].keys():
        if asked["host"].get(name) != base_asked["host"].get(name):
            host[name] = asked["host"].get(name)
    return {
        "image": asked["image"],
        "config": {**base_made["config"], **{name: asked["config"][name] for name in ("User",)}},
        "labels": {**image_labels, **asked["labels"]},
        "host": {name: value for name, value in host.items() if value is not None},
        "mounts": asked["mounts"],
        "networks": asked["networks"],
    }


def _mount(source: str, writable: bool) -> str:
    return f"{source} {'rw' if writable else 'ro'}"


def _compact(values: Mapping[str, Any]) -> Fields:
    """Without what is empty, in whatever way it is spelled; lists of named things by name."""
    return {name: _plain(value) for name, value in values.items() if not _empty(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items() if not _empty(inner)}
    if isinstance(value, str) and len(value) > _LONGEST:
        return f"sha256:{hashlib.sha256(value.encode()).hexdigest()}"
    if isinstance(value, list):
        items = [_plain(item) for item in value]
        return (
            sorted(items, key=lambda item: str(item.get("Name"))) if items and isinstance(items[0], Mapping) else items
        )
    return value


def _empty(value: Any) -> bool:
    if isinstance(value, list):
        return all(_empty(item) for item in value)
    return value in (None, "", 0, False) or value == {}
