"""What a template file says of the container: user, environment, mounts, network, limits, and what follows from drift.

Owns these fields' spelling and defaults. Refuses to apply them: that is `sandbox.policy`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from wfconsole.domain.plan import NETWORKS
from wfconsole.domain.policy.drift import Policy as OnMismatch
from wfconsole.ports import SandboxLimits
from wfconsole.sandbox.policy import MOUNTS, OUTPUT_BYTES, Policy
from wfconsole.sandbox.templates.fields import Findings

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_LINE = re.compile(r"[^\x00-\x1f\x7f]*")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_FOLDER = re.compile(r"(/[A-Za-z0-9_-][A-Za-z0-9._-]*)+")
_SIZES = {
    "memory": "memory_bytes",
    "tmp": "tmp_bytes",
    "home": "home_bytes",
    "file": "file_bytes",
    "output": "output_bytes",
}
DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin"


def policy(top: Mapping[str, Any], found: Findings) -> Policy:
    """The policy that these fields give; what is not said has the default."""
    uid, gid = _user(top.get("user"), found)
    drift = found.table(top.get("drift"), ("drift",), ("on_mismatch", "fallback_template", "probe"))
    fallback = found.optional(drift.get("fallback_template"), ("drift", "fallback_template"), _NAME)
    on_mismatch = found.word(
        drift.get("on_mismatch"), ("drift", "on_mismatch"), ("fallback", "fail"), "fallback" if fallback else "fail"
    )
    if on_mismatch == "fallback" and fallback is None:
        found.add(("drift", "on_mismatch"), "`fallback` needs a `fallback_template`")
    env = found.texts(top.get("env"), ("env",), _VARIABLE, _LINE)
    return Policy(
        uid=uid,
        gid=gid,
        workdir=found.optional(top.get("workdir"), ("workdir",), _FOLDER) or "/workspace",
        env=dict(sorted({"PATH": DEFAULT_PATH, **env}.items())),
        mounts=_mounts(top.get("mounts"), found),
        network=found.word(top.get("network"), ("network",), NETWORKS, "none"),
        limits=_limits(top.get("limits"), found),
        on_mismatch=cast("OnMismatch", on_mismatch),
        fallback_template=fallback,
        probe=found.word(drift.get("probe"), ("drift", "probe"), ("first_use", "always"), "first_use"),
    )


def _user(value: object, found: Findings) -> tuple[int | None, int | None]:
    """`operator`, or numbers; root is refused."""
    if value in (None, "operator"):
        return None, None
    if not isinstance(value, Mapping):
        found.add(("user",), "must be `operator` or {uid: NUMBER, gid: NUMBER}")
        return None, None
    data = found.table(value, ("user",), ("uid", "gid"))
    uid, gid = (found.whole(data.get(name), ("user", name), 1, 1) for name in ("uid", "gid"))
    if "uid" not in data or "gid" not in data:
        found.add(("user",), "needs `uid` and `gid`")
    return uid, gid


def _mounts(value: object, found: Findings) -> dict[str, str]:
    data = found.table(value, ("mounts",), tuple(MOUNTS))
    return {
        name: found.word(
            data.get(name), ("mounts", name), ("none", "ro", "rw") if most == "rw" else ("none", "ro"), most
        )
        for name, most in MOUNTS.items()
    }


def _limits(value: object, found: Findings) -> SandboxLimits:
    plain = SandboxLimits(output_bytes=OUTPUT_BYTES)
    data = found.table(value, ("limits",), ("cpus", "pids", *_SIZES))
    sizes = {
        field: found.size(data.get(name), ("limits", name), getattr(plain, field)) for name, field in _SIZES.items()
    }
    return SandboxLimits(
        cpus=found.number(data.get("cpus"), ("limits", "cpus"), plain.cpus),
        pids=found.whole(data.get("pids"), ("limits", "pids"), plain.pids, 1),
        **sizes,
    )
