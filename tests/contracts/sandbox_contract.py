"""What every sandbox keeps, said once: the suite runs against the scripted fake and against a real engine.

A `Rig` knows how to make a sandbox do something; the tests know only the port.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from wfconsole.domain.policy.classify import classify
from wfconsole.ports import Sandbox, SandboxHandle, SandboxLimits, SandboxSpec, WfconsoleError


class Rig(ABC):
    """One kind of sandbox. Each method gives a spec of the behaviour that its name says, in folders under `top`."""

    def __init__(self, top: Path) -> None:
        self.top = top

    @abstractmethod
    def sandbox(self) -> Sandbox:
        """An adapter; two of one rig see the same containers. Made inside the running loop."""

    @abstractmethod
    def exits(self, *codes: int, stdout: tuple[bytes, ...] = ()) -> SandboxSpec: ...

    @abstractmethod
    def unknown(self) -> SandboxSpec: ...

    @abstractmethod
    def hangs(self) -> SandboxSpec: ...

    @abstractmethod
    def oom(self) -> SandboxSpec: ...

    @abstractmethod
    async def take_away(self, handle: SandboxHandle) -> None:
        """Remove the container behind the sandbox's back."""

    @abstractmethod
    def leftovers(self) -> int:
        """How many containers there are."""

    def spec(self, **changes: object) -> SandboxSpec:
        plain = SandboxSpec(
            run_id="run-1",
            step_id="group/step",
            attempt=1,
            template="busybox-test",
            commands=(("true",),),
            in_dir=self.top / "in",
            out_dir=self.top / "out",
            scratch=self.top / "scratch",
            workdir="/",
        )
        return replace(plain, **changes)  # type: ignore[arg-type]  # names are checked by replace itself


def outcome(spec: SandboxSpec, end: object) -> tuple[str, str | None]:
    status, cause = classify(
        end,  # type: ignore[arg-type]  # only ends come here
        timeout_ms=spec.timeout_ms,
        output_limit=spec.limits.output_bytes,
        commands=spec.commands,
    )
    return status, cause.code if cause else None


async def until(fact: Callable[[], bool]) -> None:
    """Wait for a fact that only a file shows; fails after 30 s."""
    async with asyncio.timeout(30):
        while not fact():  # noqa: ASYNC110  # the fact is a file that a container makes
            await asyncio.sleep(0.01)


class SandboxContract:
    """Inherit, and give a fixture `rig`."""

    def scene(self, rig: Rig, spec: SandboxSpec, play: Callable[[Sandbox, SandboxHandle], Awaitable[None]]) -> None:
        async def whole() -> None:
            sandbox = rig.sandbox()
            handle = await sandbox.prepare(spec)
            try:
                await play(sandbox, handle)
            finally:
                await sandbox.stop(handle, force=True)
                await sandbox.remove(handle)
                await sandbox.close()

        asyncio.run(whole())
        assert rig.leftovers() == 0

    def finish(self, rig: Rig, spec: SandboxSpec) -> object:
        ends: list[object] = []

        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            assert await sandbox.go(handle)
            ends.append(await sandbox.wait(handle))

        self.scene(rig, spec, play)
        return ends[0]

    def test_zero_is_success_and_logs_stay_after_removal(self, rig: Rig) -> None:
        spec = rig.exits(0, stdout=(b"hello\n",))
        assert outcome(spec, self.finish(rig, spec)) == ("succeeded", None)
        assert (spec.out_dir / "0.stdout").read_bytes() == b"hello\n"
        assert (spec.out_dir / "0.stderr").read_bytes() == b""
        assert not spec.in_dir.exists()
        assert not spec.scratch.exists()

    def test_exec_block_01_each_command_has_its_own_record(self, rig: Rig) -> None:
        spec = rig.exits(0, 0, stdout=(b"one", b"two"))
        end = self.finish(rig, spec)
        commands = end.commands  # type: ignore[attr-defined]
        assert [(c.index, c.exit_code, c.error) for c in commands] == [(0, 0, None), (1, 0, None)]
        assert all(c.started_at <= c.finished_at for c in commands)
        assert [(spec.out_dir / f"{k}.stdout").read_bytes() for k in (0, 1)] == [b"one", b"two"]

    def test_halt_on_error_stops_at_the_first_failure(self, rig: Rig) -> None:
        spec = rig.exits(0, 3, 0)
        end = self.finish(rig, spec)
        assert [c.exit_code for c in end.commands] == [0, 3]  # type: ignore[attr-defined]
        assert end.exit_code == 3  # type: ignore[attr-defined]
        assert outcome(spec, end) == ("failed", "STEP_FAILED")

    def test_without_halt_all_run_and_the_first_failure_is_the_verdict(self, rig: Rig) -> None:
        spec = replace(rig.exits(0, 3, 0, 4), halt_on_error=False)
        end = self.finish(rig, spec)
        assert [c.exit_code for c in end.commands] == [0, 3, 0, 4]  # type: ignore[attr-defined]
        assert end.exit_code == 3  # type: ignore[attr-defined]

    def test_exec_block_18_output_that_is_no_utf8_is_kept_as_it_is(self, rig: Rig) -> None:
        raw = bytes(range(256)) * 3
        spec = rig.exits(0, stdout=(raw,))
        self.finish(rig, spec)
        assert (spec.out_dir / "0.stdout").read_bytes() == raw

    def test_exec_block_20_unknown_executable_is_told_apart(self, rig: Rig) -> None:
        spec = rig.unknown()
        end = self.finish(rig, spec)
        assert outcome(spec, end) == ("failed", "COMMAND_NOT_FOUND")
        assert end.commands[0].error == "COMMAND_NOT_FOUND"  # type: ignore[attr-defined]

    def test_a_program_that_itself_exits_127_is_no_unknown_executable(self, rig: Rig) -> None:
        spec = rig.exits(127)
        assert outcome(spec, self.finish(rig, spec)) == ("failed", "STEP_FAILED")

    def test_out_of_memory_is_told_apart(self, rig: Rig) -> None:
        spec = rig.oom()
        assert outcome(spec, self.finish(rig, spec)) == ("failed", "OOM_KILLED")

    def test_the_deadline_ends_a_step_that_hangs(self, rig: Rig) -> None:
        spec = replace(rig.hangs(), timeout_ms=300)
        end = self.finish(rig, spec)
        assert end.ended_by == "timeout"  # type: ignore[attr-defined]
        assert outcome(spec, end) == ("timed_out", "STEP_TIMED_OUT")

    def test_more_output_than_allowed_fails_even_when_the_step_was_quick(self, rig: Rig) -> None:
        spec = replace(rig.exits(0, stdout=(b"x" * 5000,)), limits=SandboxLimits(output_bytes=4096))
        assert outcome(spec, self.finish(rig, spec)) == ("failed", "OUTPUT_LIMIT")

    def test_go_is_given_once_and_says_so_again(self, rig: Rig) -> None:
        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            assert await sandbox.go(handle)
            assert await sandbox.go(handle)
            assert (await sandbox.wait(handle)).exit_code == 0
            assert await sandbox.go(handle)

        self.scene(rig, rig.exits(0), play)

    def test_nothing_runs_before_go(self, rig: Rig) -> None:
        spec = rig.exits(0, stdout=(b"ran",))

        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            await sandbox.stop(handle)
            assert not await sandbox.go(handle)
            end = await sandbox.wait(handle)
            assert not end.started
            assert outcome(spec, end) == ("cancelled", None)

        self.scene(rig, spec, play)
        assert not (spec.out_dir / "0.stdout").exists()

    @pytest.mark.parametrize("force", [False, True])
    def test_stop_ends_a_running_step_and_may_be_repeated(self, rig: Rig, force: bool) -> None:
        spec = rig.hangs()

        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            assert await sandbox.go(handle)
            await until((spec.out_dir / "started").exists)
            waiting = asyncio.create_task(sandbox.wait(handle))
            await sandbox.stop(handle, force=force)
            await sandbox.stop(handle, force=force)
            assert outcome(spec, await waiting) == ("cancelled", None)
            assert outcome(spec, await sandbox.wait(handle)) == ("cancelled", None)

        self.scene(rig, spec, play)

    def test_a_cancelled_wait_stops_nothing_and_another_owner_adopts(self, rig: Rig) -> None:
        spec = rig.hangs()

        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            assert await sandbox.go(handle)
            waiting = asyncio.create_task(sandbox.wait(handle))
            await until((spec.out_dir / "started").exists)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            successor = rig.sandbox()
            adopted = await successor.prepare(spec)
            assert adopted.container_id == handle.container_id
            assert await successor.go(adopted)
            await successor.stop(adopted, force=True)
            assert outcome(spec, await successor.wait(adopted)) == ("cancelled", None)
            await successor.close()

        self.scene(rig, spec, play)

    def test_prepare_before_go_may_be_repeated(self, rig: Rig) -> None:
        spec = rig.exits(0)

        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            again = await sandbox.prepare(spec)
            assert await sandbox.go(again)
            assert (await sandbox.wait(again)).exit_code == 0
            await sandbox.remove(again)

        self.scene(rig, spec, play)

    def test_a_container_that_was_taken_away_is_lost(self, rig: Rig) -> None:
        spec = rig.hangs()

        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            assert await sandbox.go(handle)
            await until((spec.out_dir / "started").exists)
            await rig.take_away(handle)
            assert outcome(spec, await sandbox.wait(handle)) == ("abandoned", "SANDBOX_LOST")
            with pytest.raises(WfconsoleError) as refusal:
                await sandbox.prepare(spec)
            assert refusal.value.code == "SANDBOX_LOST"

        self.scene(rig, spec, play)

    def test_remove_may_be_repeated(self, rig: Rig) -> None:
        async def play(sandbox: Sandbox, handle: SandboxHandle) -> None:
            await sandbox.remove(handle)
            await sandbox.remove(handle)
            assert not await sandbox.go(handle)

        self.scene(rig, rig.exits(0), play)
