"""A throw-away container of an image: made exactly as an attempt's, used once to look at it from outside and inside.

Owns its folders and its end. Refuses to know locks. Surprising: the look from inside is an ordinary command of an ordinary
attempt, so what it sees is what a step will see, and no code of a step can have been there before.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wfconsole.ports import SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import folders, marks, options, runner
from wfconsole.sandbox.busybox import interpreter
from wfconsole.sandbox.engine import Conflict, Engine, Missing
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.gate import Gate
from wfconsole.sandbox.labels import labels
from wfconsole.sandbox.policy import Policy, tightened
from wfconsole.sandbox.wait import wait as wait_for

TIMEOUT_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """`body` is what was asked for, `made` the inspection before the start; `output` is the script's stdout."""

    body: dict[str, Any]
    made: dict[str, Any]
    output: str


async def trial(engine: Engine, gate: Gate, cache: Path, image_id: str, policy: Policy, script: str) -> Trial:
    """Run `script` by the runner's busybox. Raises TEMPLATE_MISSING without the image, SANDBOX_UNAVAILABLE when it cannot run."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="trial-", dir=cache))
    folder.chmod(0o755)
    spec = plain_spec(folder, policy, script)
    name = f"wfc-trial-{uuid.uuid4().hex[:12]}"
    try:
        return await _run(engine, gate, cache, spec, name, image_id, policy)
    finally:
        async with gate.slot(await engine.identity()):
            with suppress(Missing, Conflict):
                await engine.call(lambda client: client.remove_container(name, force=True, v=True))
        await engine.offload(lambda: shutil.rmtree(folder, ignore_errors=True))


def plain_spec(folder: Path, policy: Policy, script: str = "") -> SandboxSpec:
    """The attempt that asks for nothing: no mounts of its own, no network, the template's limits."""
    from wfconsole.ports import NO_WISH

    spec = SandboxSpec(
        run_id="trial",
        step_id="trial",
        attempt=1,
        template="trial",
        commands=((runner.BUSYBOX, "sh", "-c", script),),
        in_dir=folder / "in",
        out_dir=folder / "out",
        scratch=folder / "scratch",
        workdir="/",
        limits=NO_WISH,
        timeout_ms=TIMEOUT_MS,
    )
    return tightened(spec, policy)


async def _run(
    engine: Engine, gate: Gate, cache: Path, spec: SandboxSpec, name: str, image_id: str, policy: Policy
) -> Trial:
    account = Account.of(policy.uid, policy.gid)
    env = options.environment(spec, policy.env)
    busybox = await engine.offload(lambda: interpreter(cache))
    await engine.offload(lambda: folders.write(spec, env, account, folders.secrets_folder(name)))
    body = plain_body(spec, image_id, account, busybox)

    async with gate.slot(await engine.identity()):
        created = await engine.call(lambda client: client.create_container_from_config(body, name))
        container_id = str(created["Id"])
        made: dict[str, Any] = await engine.call(lambda client: client.inspect_container(container_id))
        await engine.call(lambda client: client.start(container_id))
    handle = SandboxHandle(container_id=container_id, name=name, image_id=image_id, spec=spec)
    await engine.offload(lambda: marks.make(spec.in_dir, marks.GO, marks.BEGIN))
    marks.wake(spec.in_dir)
    end = await wait_for(engine, gate, handle)
    output = await asyncio.to_thread((spec.out_dir / "0.stdout").read_bytes) if end.commands else b""
    if end.exit_code != 0:
        why = await asyncio.to_thread((spec.out_dir / "0.stderr").read_bytes) if end.commands else b""
        told = why.decode("utf-8", "backslashreplace").strip()[-200:]
        raise WfconsoleError("SANDBOX_UNAVAILABLE", f"a trial of the image ended with {end.exit_code}: {told}")
    return Trial(body=body, made=made, output=output.decode("utf-8", "backslashreplace"))


def plain_body(spec: SandboxSpec, image_id: str, account: Account, busybox: Path) -> dict[str, Any]:
    """The request of a trial: what every attempt's request is measured against."""
    named = labels("trial", "trial", spec)
    return options.body(spec, image_id=image_id, labels=named, account=account, busybox=busybox, secrets=None)
