"""A recipe may tighten its template, never loosen it; and what a fingerprint leaves out. Pure: no engine."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.plan import NETWORKS
from wfconsole.ports import NO_WISH, Mount, SandboxLimits, SandboxSpec, WfconsoleError
from wfconsole.sandbox import fingerprint, probe
from wfconsole.sandbox.policy import Policy, tightened, tighter

numbers = st.integers(1, 2**50)
limits = st.builds(
    SandboxLimits,
    **{field.name: st.floats(0.1, 64) if field.name == "cpus" else numbers for field in fields(SandboxLimits)},
)


def spec(**more: Any) -> SandboxSpec:
    top = Path("/x")
    plain = SandboxSpec(
        run_id="r", step_id="s", attempt=1, template="t", commands=(("true",),), in_dir=top, out_dir=top, scratch=top
    )
    return replace(plain, **more)


@given(limits, limits)
def test_no_limit_is_ever_above_the_templates(asked: SandboxLimits, allowed: SandboxLimits) -> None:
    found = tightened(spec(limits=asked), Policy(limits=allowed)).limits
    for field in fields(SandboxLimits):
        assert getattr(found, field.name) == min(getattr(asked, field.name), getattr(allowed, field.name))


@given(limits)
def test_a_step_that_wishes_nothing_has_the_templates_limits(allowed: SandboxLimits) -> None:
    assert tighter(NO_WISH, allowed) == allowed


@given(st.sampled_from(["none", "bridge", ("a:1",)]), st.sampled_from(NETWORKS))
def test_no_network_is_ever_wider_than_the_templates(asked: str | tuple[str, ...], allowed: str) -> None:
    width = NETWORKS.index(asked if isinstance(asked, str) else "hosts")
    if width <= NETWORKS.index(allowed):
        assert tightened(spec(network=asked), Policy(network=allowed)).network == asked
    else:
        with pytest.raises(WfconsoleError) as caught:
            tightened(spec(network=asked), Policy(network=allowed))
        assert caught.value.code == "POLICY_BLOCKED"


def test_mounts_lose_what_their_class_does_not_have() -> None:
    mounts = (
        Mount(source=Path("/w"), target="/workspace", read_only=False),
        Mount(source=Path("/i"), target="/inputs/repo"),
        Mount(source=Path("/a"), target="/artifacts/a"),
    )
    policy = Policy(mounts={"workspace": "ro", "inputs": "none", "artifacts": "ro", "recipe": "ro"})
    found = tightened(spec(mounts=mounts), policy).mounts
    assert [(mount.target, mount.read_only) for mount in found] == [("/workspace", True), ("/artifacts/a", True)]


def test_a_lock_holds_no_id_and_no_path() -> None:
    body = {
        "Image": "sha256:1", "User": "1:1", "Labels": {"wfconsole.run": "r", "wfconsole.managed": "true"},
        "HostConfig": {
            "NetworkMode": "none", "Privileged": False, "SecurityOpt": ["x" * 500],
            "Mounts": [{"Source": "/somewhere", "Target": "/in", "ReadOnly": True}],
        },
    }  # fmt: skip
    told = fingerprint.plain(fingerprint.of_request(body))
    assert (told["image"], told["labels"]["wfconsole.run"], told["labels"]["wfconsole.managed"]) == ("*", "*", "true")
    assert told["mounts"] == {"/in": "* ro"}
    assert set(told["host"]) == {"NetworkMode", "SecurityOpt"}
    assert told["host"]["SecurityOpt"][0].startswith("sha256:")


def test_the_look_from_inside_is_read_with_suspicion() -> None:
    text = "os=Debian\nmount=/ ro\nenv=HOME\nenv=PWD\ntool=git /usr/bin/git abc\ntool=odd\nnonsense\nuid=1\n"
    facts, tools = probe.read(text)
    assert facts == {"os": "Debian", "uid": "1", "mounts": ["/ ro"], "env": ["HOME"]}
    assert tools == {"git": {"path": "/usr/bin/git", "sha256": "abc"}}


def test_another_start_of_the_engine_has_another_name(tmp_path: Path) -> None:
    first = probe.boot(str(tmp_path / "none.sock"), "engine-1")
    assert first == probe.boot(str(tmp_path / "none.sock"), "engine-1")
    assert first != probe.boot(str(tmp_path / "none.sock"), "engine-2")
