"""The conformance suite on the engine of these tests: the same checks as `doctor sandbox`, and that it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.sandbox.lab import Lab
from wfconsole.ports import SandboxEnd, SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox.conformance.bench import TABLE, Bench, Conformity
from wfconsole.sandbox.conformance.suite import Finding, conformance


async def findings(sandbox: object, folder: Path, checks: Sequence[Conformity]) -> list[Finding]:
    return [finding async for finding in conformance(sandbox, folder, checks)]  # type: ignore[arg-type]


@pytest.mark.engine
def test_every_check_holds_on_this_engine(python_lab: Lab) -> None:
    async def whole() -> list[Finding]:
        sandbox = python_lab.sandbox()
        try:
            return await findings(sandbox, python_lab.top / "doctor", TABLE)
        finally:
            await sandbox.close()

    found = asyncio.run(whole())
    assert {finding.check.name: finding.problem for finding in found if finding.problem} == {}
    assert len(found) == len(TABLE)
    assert not (python_lab.top / "doctor").exists()


def test_the_table_has_what_was_promised() -> None:
    names = [each.name for each in TABLE]
    assert len(names) == len(set(names)) >= 40
    assert {each.area for each in TABLE} == {"runs", "limits", "walls", "network", "secrets"}


class Lawless:
    """A sandbox that lets everything through and says nothing."""

    async def prepare(self, spec: SandboxSpec) -> SandboxHandle:
        spec.out_dir.mkdir(parents=True)
        return SandboxHandle(container_id="x", name="x", image_id="x", spec=spec)

    async def go(self, handle: SandboxHandle) -> bool:
        return True

    async def wait(self, handle: SandboxHandle) -> SandboxEnd:
        return SandboxEnd(started=True, exit_code=0)

    async def stop(self, handle: SandboxHandle, *, force: bool = False) -> None: ...

    async def remove(self, handle: SandboxHandle) -> None: ...

    async def close(self) -> None: ...


def test_a_sandbox_that_keeps_nothing_fails_nearly_all(tmp_path: Path) -> None:
    passed = {
        finding.check.name for finding in asyncio.run(findings(Lawless(), tmp_path / "x", TABLE)) if not finding.problem
    }
    # nothing was done, so what must not happen has not happened either
    assert passed <= {"exit-zero", "host-files", "engine-socket", "read-only-system", "no-core", "no-setuid", "sockets"}


def test_a_check_that_breaks_has_failed(tmp_path: Path) -> None:
    async def breaks(bench: Bench) -> str | None:
        raise ValueError("nonsense")

    async def drifts(bench: Bench) -> str | None:
        raise WfconsoleError("ENV_DRIFT", "not as locked")

    checks = [
        Conformity(area="runs", name=name, claim="", attempt=each) for name, each in (("a", breaks), ("b", drifts))
    ]
    found = {
        finding.check.name: finding.problem for finding in asyncio.run(findings(Lawless(), tmp_path / "x", checks))
    }
    assert found == {"a": "what came back cannot be read: ValueError: nonsense", "b": "ENV_DRIFT: not as locked"}


def test_no_engine_is_no_finding(tmp_path: Path) -> None:
    async def absent(bench: Bench) -> str | None:
        raise WfconsoleError("SANDBOX_UNAVAILABLE", "there is no Docker engine")

    checks = [Conformity(area="runs", name="a", claim="", attempt=absent)]
    with pytest.raises(WfconsoleError, match="no Docker engine"):
        asyncio.run(findings(Lawless(), tmp_path / "x", checks))
