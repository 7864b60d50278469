"""A network that is taken from a running step: the step fails by its own words, and the record says what was done to it."""

from __future__ import annotations

import asyncio

import pytest

from tests.contracts.sandbox_contract import until
from tests.sandbox.lab import Lab
from wfconsole.ports import SandboxHandle
from wfconsole.sandbox.docker import DockerSandbox

pytestmark = pytest.mark.engine

ROUTES = "wc -l </proc/net/route"
SCRIPT = f"""
there=$({ROUTES})
[ "$there" -gt 1 ] || exit 9
echo begun
until [ -e cut ]; do sleep 0.05; done
wget -q -T 2 -O /dev/null http://192.0.2.1/ || echo no network >&2
[ "$({ROUTES})" -gt 1 ] || exit 7
"""


def test_fault_43_a_step_whose_network_is_cut_fails_by_itself_and_is_tainted(lab: Lab) -> None:
    spec = lab.spec(("sh", "-c", SCRIPT), network="bridge")

    async def cut(_: DockerSandbox, handle: SandboxHandle) -> None:
        out = spec.out_dir / "0.stdout"
        await until(lambda: out.exists() and out.read_bytes() == b"begun\n")
        await asyncio.to_thread(lab.client.disconnect_container_from_network, handle.container_id, "bridge")
        (lab.workspace / "cut").touch()

    result = lab.play(spec, cut)

    assert result.said == ("failed", "STEP_FAILED")
    assert result.end.exit_code == 7
    assert b"no network" in result.err()
    assert result.end.drift is not None
    assert (result.end.drift.phase, result.end.drift.fields) == ("exit", ("container.networks",))
    assert lab.sh("echo neighbour").out() == b"neighbour\n"
