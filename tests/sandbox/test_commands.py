"""Commands on a real engine: what reaches them exactly, what they leave, how they end."""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import time
from pathlib import Path

import pytest

from tests.contracts.sandbox_contract import until
from tests.sandbox.lab import Lab
from wfconsole.domain.policy.classify import classify, warnings
from wfconsole.ports import SandboxHandle, SandboxLimits
from wfconsole.sandbox.docker import DockerSandbox

pytestmark = pytest.mark.engine

EVERY_BYTE = os.fsdecode(bytes(range(1, 256)))
AWKWARD = (
    "", " ", "-n", "a\nb\n", "'", "''\"", "\\", "$HOME", "`id`", "$(id)", "*", "~", "!", "#x", "a;b", "\r\n", "\x1b[31m",
    EVERY_BYTE, EVERY_BYTE[::-1], os.fsdecode(b"\x81\x82\x88\xff\xfe"), "é漢🙂", "--", "{a,b}",
)  # fmt: skip


def test_every_awkward_argument_arrives_byte_for_byte(lab: Lab) -> None:
    result = lab.run(("printf", r"%s\0", *AWKWARD))
    assert result.said == ("succeeded", None)
    assert result.out().split(b"\0")[:-1] == [os.fsencode(word) for word in AWKWARD]


def test_the_environment_is_ours_and_exact(lab: Lab) -> None:
    values = {
        "AWKWARD": EVERY_BYTE,
        "IFS": "x",
        "NEWLINE": "\n'\n",
        "k": "1",
        "CDPATH": "/tmp",
        "OPTIND": "9",
        "WFCONSOLE_RUN_ID": "r",
    }
    out = lab.run(("od", "-An", "-v", "-tx1", "/proc/self/environ"), env=values).out()
    pairs = dict(entry.split(b"=", 1) for entry in bytes.fromhex(out.decode()).split(b"\0")[:-1])
    for name, value in values.items():
        assert pairs.pop(name.encode()) == os.fsencode(value)
    assert pairs[b"HOME"] == b"/home/sandbox"
    assert pairs[b"CI"] == b"true"
    assert pairs[b"TZ"] == b"UTC"
    assert pairs[b"LANG"] == b"C.UTF-8"
    assert pairs[b"TMPDIR"] == b"/tmp"
    assert not {b"PWD", b"OLDPWD", b"SHLVL", b"HOSTNAME", b"_"} & pairs.keys()


def test_stdin_is_what_was_given_to_each_command_else_empty(lab: Lab) -> None:
    raw = bytes(range(256)) * 500
    result = lab.run(("cat",), ("cat",), stdin=raw)
    assert result.out(0) == raw
    assert result.out(1) == raw
    assert lab.run(("cat",)).out() == b""


def test_the_name_that_was_written_is_the_name_a_program_sees(lab: Lab) -> None:
    assert lab.run(("cat", "/proc/self/cmdline")).out() == b"cat\0/proc/self/cmdline\0"


def test_exec_block_18_raw_output_of_both_streams_is_kept_apart(lab: Lab) -> None:
    result = lab.sh("printf '\\377\\376\\000a'; printf '\\201b' >&2; printf end")
    assert result.out() == b"\xff\xfe\x00aend"
    assert result.err() == b"\x81b"


@pytest.mark.parametrize(
    ("command", "code", "error"),
    [
        (("no-such-program",), 127, "COMMAND_NOT_FOUND"),
        (("/no/such/program",), 127, "COMMAND_NOT_FOUND"),
        (("",), 127, "COMMAND_NOT_FOUND"),
        (("not-executable",), 126, "SPAWN_ERROR"),
        (("/usr/bin",), 126, "SPAWN_ERROR"),
        (("no-interpreter",), 126, "SPAWN_ERROR"),
        (("no-format",), 126, "SPAWN_ERROR"),
        (("echo", "x" * 200_000), 126, "SPAWN_ERROR"),
        (("sh", "-c", "exit 127"), 127, None),
        (("sh", "-c", "exit 126"), 126, None),
        (("sh", "-c", "no-such-program"), 127, None),
    ],
)
def test_exec_block_20_what_could_not_be_started_is_told_from_what_failed(
    lab: Lab, command: tuple[str, ...], code: int, error: str | None
) -> None:
    end = lab.run(command).end
    if error == "SPAWN_ERROR":
        assert end.commands[0].exit_code in {126, 127}
    else:
        assert (end.exit_code, end.commands[0].exit_code) == (code, code)
    assert end.commands[0].error == error


def test_exec_block_20_a_command_whose_output_cannot_be_kept_is_not_started(lab: Lab) -> None:
    result = lab.run(("mkdir", "/out/1.stdout"), ("touch", "/workspace/reached"))
    assert [command.error for command in result.end.commands] == [None, "SPAWN_ERROR"]
    assert result.said == ("failed", "STEP_FAILED")
    assert not (lab.workspace / "reached").exists()


def test_a_folder_that_is_not_there_is_a_spawn_error(lab: Lab) -> None:
    result = lab.run(("true",), workdir="/workspace/missing")
    assert result.end.commands[0].error == "SPAWN_ERROR"
    assert b"/workspace/missing" in result.err()
    assert not (lab.workspace / "missing").exists()


def test_exec_block_19_a_link_out_of_the_workspace_is_no_folder_to_work_in(lab: Lab) -> None:
    (lab.workspace / "sub").mkdir()
    (lab.workspace / "inside").symlink_to("sub")
    (lab.workspace / "outside").symlink_to("/etc")
    assert lab.run(("pwd",), workdir="/workspace/inside").out() == b"/workspace/sub\n"
    out = lab.run(("touch", "/workspace/reached"), workdir="/workspace/outside")
    assert (out.said, out.end.commands[0].error) == (("failed", "POLICY_BLOCKED"), "POLICY_BLOCKED")
    assert b"/workspace/outside" in out.err()
    assert not (lab.workspace / "reached").exists()


def test_exec_block_19_the_boundary_holds_for_each_command_of_a_step(lab: Lab) -> None:
    (lab.workspace / "sub").mkdir()
    swap = "cd /workspace && mv sub old && ln -s / sub"
    result = lab.run(("sh", "-c", swap), ("touch", "/workspace/reached"), workdir="/workspace/sub")
    assert [command.error for command in result.end.commands] == [None, "POLICY_BLOCKED"]
    assert result.said == ("failed", "POLICY_BLOCKED")
    assert not (lab.workspace / "reached").exists()


def test_workdir_and_workspace_are_the_callers(lab: Lab) -> None:
    (lab.workspace / "sub dir").mkdir()
    result = lab.sh("pwd; echo written >here", workdir="/workspace/sub dir")
    assert result.out() == b"/workspace/sub dir\n"
    assert (lab.workspace / "sub dir" / "here").read_text() == "written\n"


def test_no_signal_is_ignored_or_blocked_and_no_file_is_left_open(lab: Lab) -> None:
    result = lab.run(("grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"), ("ls", "/proc/self/fd"))
    assert result.out(0).split() == [b"SigBlk:", b"0" * 16, b"SigIgn:", b"0" * 16]
    assert result.out(1).split() == [b"0", b"1", b"2", b"3"]  # 3 is the folder that ls reads


def test_signals_show_as_128_and_more(lab: Lab) -> None:
    kill = 'kill "-$0" $$; exit 0'
    result = lab.run(
        *(("sh", "-c", kill, name) for name in ("TERM", "INT", "KILL", "SEGV", "USR1")), halt_on_error=False
    )
    assert [c.exit_code for c in result.end.commands] == [143, 130, 137, 139, 138]
    assert result.said == ("failed", "STEP_FAILED")


def test_a_command_that_kills_itself_is_not_a_lost_container(lab: Lab) -> None:
    assert lab.sh("kill -KILL $$").said == ("failed", "STEP_FAILED")


def test_a_timeout_ends_children_too(lab: Lab) -> None:
    (lab.workspace / "beat").write_bytes(b"")
    child = "setsid sh -c 'while :; do echo x >>/workspace/beat; sleep 0.05; done'"
    script = f"trap '' TERM; for i in 1 2 3; do {child} & done; wait"
    result = lab.sh(script, timeout_ms=1000)
    assert result.said == ("timed_out", "STEP_TIMED_OUT")
    assert 1000 <= result.ms < 1000 + 5000 + 3000
    size = (lab.workspace / "beat").stat().st_size
    assert size > 0
    time.sleep(0.3)  # nothing may beat any more: there is no fact to wait for
    assert (lab.workspace / "beat").stat().st_size == size


def test_a_timeout_leaves_five_seconds_to_tidy_up(lab: Lab) -> None:
    result = lab.sh("trap 'echo tidy; exit 0' TERM; while :; do sleep 0.05; done", timeout_ms=500)
    assert result.said == ("timed_out", "STEP_TIMED_OUT")
    assert result.out() == b"tidy\n"
    assert result.ms < 3000


def test_background_children_live_between_commands_and_die_at_the_end(lab: Lab) -> None:
    result = lab.run(
        ("sh", "-c", "sleep 600 & (setsid sleep 601 &) ; echo started"),
        ("sh", "-c", "ps | grep -c '[s]leep 60'"),
        timeout_ms=20_000,
    )
    assert result.said == ("succeeded", None)
    assert result.out(1) == b"2\n"
    assert result.ms < 10_000


def test_orphans_are_reaped(lab: Lab) -> None:
    zombies = "cat /proc/[0-9]*/stat 2>/dev/null | grep -c ') Z '"
    make = "for i in $(seq 200); do (sh -c 'true' &) ; done"
    script = f"{make}; i=0; while [ $({zombies}) != 0 ] && [ $i -lt 100 ]; do sleep 0.05; i=$((i + 1)); done; {zombies}"
    assert lab.sh(script, limits=SandboxLimits(pids=400)).out() == b"0\n"


def test_no_command_follows_a_stop(lab: Lab) -> None:
    spec = lab.spec(("sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"), ("echo", "second"))

    async def stop(sandbox: DockerSandbox, handle: SandboxHandle) -> None:
        await until(lambda: (spec.out_dir / "0.stdout").exists() and (spec.out_dir / "0.stdout").stat().st_size > 0)
        await sandbox.stop(handle)

    result = lab.play(spec, stop)
    assert result.said == ("cancelled", None)
    assert [c.exit_code for c in result.end.commands] == [0]


def test_a_stop_that_is_not_heard_becomes_a_kill(lab: Lab) -> None:
    spec = lab.spec(("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"))

    async def stop(sandbox: DockerSandbox, handle: SandboxHandle) -> None:
        await until(lambda: (spec.out_dir / "0.stdout").exists() and (spec.out_dir / "0.stdout").stat().st_size > 0)
        before = time.monotonic()
        await sandbox.stop(handle)
        assert 4 < time.monotonic() - before < 9

    result = lab.play(spec, stop)
    assert result.said == ("cancelled", None)
    assert result.end.exit_code == 137


def test_out_of_memory_of_a_child_is_a_warning_on_success(lab: Lab) -> None:
    eat = """awk 'BEGIN { s = "x"; while (1) s = s s }' & wait $!; exit 0"""
    result = lab.sh(eat, limits=SandboxLimits(memory_bytes=32 * 1024**2))
    assert result.said == ("succeeded", None)
    assert len(warnings(result.end)) == 1


def test_the_output_limit_ends_a_flood(lab: Lab) -> None:
    result = lab.run(("yes", "flood"), limits=SandboxLimits(output_bytes=1024**2, file_bytes=4 * 1024**3))
    assert result.said == ("failed", "OUTPUT_LIMIT")
    assert result.end.ended_by == "output_limit"


def test_a_file_over_its_limit_is_a_named_signal(lab: Lab) -> None:
    result = lab.run(
        ("dd", "if=/dev/zero", "of=/scratch/big", "bs=64k", "count=100"), limits=SandboxLimits(file_bytes=1024**2)
    )
    _, cause = classify(result.end, timeout_ms=None, output_limit=1, commands=result.spec.commands)
    assert cause is not None
    assert cause.details["signal"] == 25


def test_a_gigabyte_of_output_never_passes_through_this_process(lab: Lab) -> None:
    size = 1024**3
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    limits = SandboxLimits(output_bytes=2 * size, file_bytes=2 * size)
    result = lab.run(("dd", "if=/dev/zero", "bs=1M", "count=1024"), limits=limits)
    assert result.said == ("succeeded", None)
    assert (result.spec.out_dir / "0.stdout").stat().st_size == size
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50 * 1024  # kilobytes
    (result.spec.out_dir / "0.stdout").unlink()


def test_an_exited_container_that_is_started_again_runs_nothing_twice(lab: Lab) -> None:
    spec = lab.spec(("sh", "-c", "echo once >>/workspace/marks"))

    async def restart(sandbox: DockerSandbox, handle: SandboxHandle) -> None:
        await sandbox.wait(handle)
        lab.client.start(handle.container_id)

    result = lab.play(spec, restart)
    assert (lab.workspace / "marks").read_text() == "once\n"
    assert result.end.exit_code == 125
    assert result.said == ("abandoned", "SANDBOX_LOST")


def test_a_container_that_somebody_killed_is_lost(lab: Lab) -> None:
    async def kill(_: DockerSandbox, handle: SandboxHandle) -> None:
        await until((handle.spec.out_dir / "0.start").exists)
        await asyncio.to_thread(lab.client.kill, handle.container_id)

    assert lab.play(lab.spec(("sleep", "600")), kill).said == ("abandoned", "SANDBOX_LOST")


def test_the_deadline_holds_for_a_container_that_somebody_paused(lab: Lab) -> None:
    async def pause(_: DockerSandbox, handle: SandboxHandle) -> None:
        await until((handle.spec.out_dir / "0.start").exists)
        await asyncio.to_thread(lab.client.pause, handle.container_id)

    assert lab.play(lab.spec(("sleep", "600"), timeout_ms=500), pause).said == ("timed_out", "STEP_TIMED_OUT")


def test_logs_are_readable_while_the_step_runs(lab: Lab, tmp_path: Path) -> None:
    spec = lab.spec(("sh", "-c", "echo first; while [ ! -e /workspace/on ]; do sleep 0.02; done; echo last"))

    async def look(_: DockerSandbox, handle: SandboxHandle) -> None:
        await until(
            lambda: (spec.out_dir / "0.stdout").exists() and (spec.out_dir / "0.stdout").read_bytes() == b"first\n"
        )
        (lab.workspace / "on").touch()

    result = lab.play(spec, look)
    assert hashlib.sha256(result.out()).digest() == hashlib.sha256(b"first\nlast\n").digest()
