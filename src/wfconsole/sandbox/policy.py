"""What a template allows its sandboxes, and what a step asks for within that.

Pure. Owns the merge: of each limit the tighter one holds, a mount class may lose rights, and a network wider than the
template's is refused. Refuses every option that is not a field of its own: there is none for raw engine arguments.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from wfconsole.domain.plan import NETWORKS
from wfconsole.domain.policy.drift import Policy as OnMismatch
from wfconsole.ports import Mount, SandboxLimits, SandboxSpec, WfconsoleError

MOUNTS: Mapping[str, str] = {"workspace": "rw", "inputs": "ro", "artifacts": "ro", "recipe": "ro"}
"""The classes of mounts, each with the most that there is of it; a class is what its target begins with."""

OUTPUT_BYTES = 4 * 1024**3
"""What a template that says nothing lets a step write: the recipe's own limit is far below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`uid` and `gid` are None for the operator's own account. `network` is the widest that a step may ask for.

    `env` is complete: beside it there are the variables of `options.environment` and the step's own.
    """

    uid: int | None = None
    gid: int | None = None
    workdir: str = "/workspace"
    env: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, str] = field(default_factory=lambda: dict(MOUNTS))
    network: str = "bridge"
    limits: SandboxLimits = field(default_factory=lambda: SandboxLimits(output_bytes=OUTPUT_BYTES))
    on_mismatch: OnMismatch = "fail"
    fallback_template: str | None = None
    probe: str = "first_use"


def tightened(spec: SandboxSpec, policy: Policy) -> SandboxSpec:
    """The spec within the policy. Raises POLICY_BLOCKED for a network that the template does not allow."""
    asked = spec.network if isinstance(spec.network, str) else "hosts"
    if asked in NETWORKS and NETWORKS.index(asked) > NETWORKS.index(policy.network):
        raise WfconsoleError(
            "POLICY_BLOCKED",
            f"step {spec.step_id} asks for the network {asked}, and its template {spec.template} allows {policy.network}",
            "a recipe may tighten its template, never loosen it: use another template, or no network",
        )
    mounts = tuple(allowed for mount in spec.mounts if (allowed := _mount(mount, policy)) is not None)
    return replace(spec, limits=tighter(spec.limits, policy.limits), mounts=mounts)


def tighter(one: SandboxLimits, other: SandboxLimits) -> SandboxLimits:
    """Field by field the smaller."""
    return SandboxLimits(
        **{each.name: min(getattr(one, each.name), getattr(other, each.name)) for each in fields(SandboxLimits)}
    )


def _mount(mount: Mount, policy: Policy) -> Mount | None:
    """The mount with the rights of its class; None when the template has no such mount. Other mounts are not a recipe's."""
    name = mount.target.split("/")[1] if mount.target.startswith("/") else ""
    rights = policy.mounts.get(name)
    if rights is None or rights == "rw":
        return mount
    return None if rights == "none" else replace(mount, read_only=True)
