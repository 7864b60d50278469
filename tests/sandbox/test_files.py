"""The files of an attempt on the host: marks, folders, records, the interpreter, the gate. No engine."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from wfconsole.ports import SandboxHandle, SandboxSpec, WfconsoleError
from wfconsole.sandbox import busybox, evidence, folders, gate, marks, options, runner
from wfconsole.sandbox.folders import Account
from wfconsole.sandbox.labels import container_name
from wfconsole.sandbox.threads import Threads


def spec(top: Path, **changes: Any) -> SandboxSpec:
    plain: dict[str, Any] = {
        "run_id": "r", "step_id": "s", "attempt": 1, "template": "t", "commands": (("true",),),
        "in_dir": top / "in", "out_dir": top / "out", "scratch": top / "scratch",
    }  # fmt: skip
    return SandboxSpec(**{**plain, **changes})


def written(top: Path, **changes: Any) -> SandboxSpec:
    made = spec(top, **changes)
    folders.write(made, options.environment(made), Account(os.geteuid(), os.getegid()), top / "secrets")
    return made


def test_a_mark_is_made_once_and_the_second_learns_the_first(tmp_path: Path) -> None:
    first = marks.make(tmp_path, marks.GO, marks.VOID)
    second = marks.make(tmp_path, marks.GO, marks.BEGIN)
    assert second == first
    assert second.word == marks.VOID
    assert [path.name for path in tmp_path.iterdir()] == [marks.GO]


def test_of_many_at_once_one_wins_and_all_agree(tmp_path: Path) -> None:
    said: list[marks.Mark] = []
    words = [f"word{n}" for n in range(16)]
    threads = [threading.Thread(target=lambda w=word: said.append(marks.make(tmp_path, "go", w))) for word in words]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == 16
    assert len(set(said)) == 1


def test_a_wake_up_that_nobody_hears_blocks_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / marks.WAKE)
    marks.wake(tmp_path)
    marks.wake(tmp_path / "gone")


@given(st.binary(max_size=200).map(lambda raw: os.fsdecode(raw.replace(b"\0", b""))))
def test_quoted_words_are_exact_for_the_shell(word: str) -> None:
    text = b"printf %s " + runner.quoted(word)
    assert subprocess.run(["/bin/busybox", "sh"], input=text, capture_output=True, check=True).stdout == os.fsencode(
        word
    )


def test_what_a_claim_left_that_never_began_is_cleared(tmp_path: Path) -> None:
    written(tmp_path, commands=(("a",), ("b",)))
    (tmp_path / "out" / "old").mkdir()
    written(tmp_path)
    assert not (tmp_path / "in" / "1.argv").exists()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"commands": (("a\0b",),)}, {"commands": ((),)}, {"env": {"A-B": "x"}}, {"env": {"A": "\0"}}, {"env": {"A;id": ""}},
        {"secrets": {"../x": b""}}, {"secrets": {"a/b": b""}}, {"secrets": {"": b""}},
    ],
)  # fmt: skip
def test_what_no_process_can_be_given_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(WfconsoleError) as refusal:
        written(tmp_path, **changes)
    assert refusal.value.code == "INPUT_INVALID"
    assert not (tmp_path / "in").exists()


def test_records_are_read_only_from_plain_files(tmp_path: Path) -> None:
    (tmp_path / "plain").write_bytes(b"0123456789")
    (tmp_path / "link").symlink_to(tmp_path / "plain")
    (tmp_path / "twin").write_bytes(b"x")
    os.link(tmp_path / "twin", tmp_path / "hard")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    assert evidence.read_regular(tmp_path, "plain", 4) == b"0123"
    for name in ("link", "hard", "fifo", "folder", "missing"):
        assert evidence.read_regular(tmp_path, name, 4) is None
    with pytest.raises(ValueError, match=r"\.\./plain"):
        evidence.read_regular(tmp_path, "../plain", 4)


@pytest.mark.parametrize(
    "record", [b"", b"0 1", b"x 1 2\n", b"0 1 2\n3 4 5\n", b"9999 1 2\n", b"0 " + b"9" * 500 + b" 2\n"]
)
def test_a_record_that_is_no_record_is_none(tmp_path: Path, record: bytes) -> None:
    made = written(tmp_path)
    marks.make(made.in_dir, marks.GO, marks.BEGIN)
    (made.out_dir / "0.exit").write_bytes(record)
    end = evidence.collect(SandboxHandle(container_id="c", name="n", image_id="i", spec=made), None)
    assert end.commands == ()
    assert end.lost


def state(code: int, finished: str = "2026-01-02T03:04:05.678901234Z", **changes: Any) -> dict[str, Any]:
    return {"ExitCode": code, "FinishedAt": finished, "OOMKilled": False, "Error": "", **changes}


def collected(made: SandboxSpec, found: dict[str, Any]) -> Any:
    return evidence.collect(SandboxHandle(container_id="c", name="n", image_id="i", spec=made), found)


def test_a_kill_that_is_not_ours_is_a_loss_and_one_of_a_command_is_not(tmp_path: Path) -> None:
    made = written(tmp_path)
    marks.make(made.in_dir, marks.GO, marks.BEGIN)
    (made.out_dir / "started").touch()
    (made.out_dir / "0.start").write_text("1\n")
    assert collected(made, state(137)).lost
    assert not collected(made, state(137, OOMKilled=True)).lost
    (made.out_dir / "0.exit").write_text("137 1 2\n")
    assert not collected(made, state(137)).lost


def test_what_an_engine_says_of_a_container_that_it_did_not_see_end_is_a_loss(tmp_path: Path) -> None:
    made = written(tmp_path)
    marks.make(made.in_dir, marks.GO, marks.BEGIN)
    (made.out_dir / "started").touch()
    (made.out_dir / "0.exit").write_text("0 1 2\n")
    assert collected(made, state(255)).lost
    (made.out_dir / "0.exit").write_text("255 1 2\n")
    assert not collected(made, state(255)).lost


def test_a_container_that_never_ran_is_no_success(tmp_path: Path) -> None:
    made = written(tmp_path)
    marks.make(made.in_dir, marks.GO, marks.BEGIN)
    never = collected(made, state(0, "0001-01-01T00:00:00Z"))
    assert (never.exit_code, never.lost) == (None, True)


def test_a_stop_that_came_after_the_end_did_not_end_it(tmp_path: Path) -> None:
    made = written(tmp_path)
    marks.make(made.in_dir, marks.GO, marks.BEGIN)
    (made.out_dir / "started").touch()
    marks.make(made.in_dir, marks.STOP, "stop")
    assert collected(made, state(0, "2020-01-01T00:00:00Z")).ended_by is None
    assert collected(made, state(0, "2200-01-01T00:00:00Z")).ended_by == "stop"


def test_the_interpreter_is_copied_once_and_nobody_may_read_it(tmp_path: Path) -> None:
    copy = busybox.interpreter(tmp_path)
    assert copy.stat().st_mode & 0o777 == 0o111
    inode = copy.stat().st_ino
    assert busybox.interpreter(tmp_path).stat().st_ino == inode


def test_a_host_without_a_static_busybox_is_told_what_to_install(tmp_path: Path) -> None:
    dynamic = tmp_path / "busybox"
    dynamic.write_bytes(b"\x7fELF...../lib64/ld-linux-x86-64.so.2")
    with pytest.raises(WfconsoleError) as refusal:
        busybox.interpreter(tmp_path / "cache", (tmp_path / "none", dynamic))
    assert refusal.value.code == "SANDBOX_UNAVAILABLE"
    assert "busybox-static" in refusal.value.hint


def test_a_folder_without_permissions_can_be_discarded_by_its_owner() -> None:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder) / "top"
        (top / "a" / "b").mkdir(parents=True)
        (top / "a" / "link").symlink_to(folder)
        (top / "file").touch()
        if os.geteuid() == 0:  # whom permissions do not stop
            for path in (Path(folder), top, top / "a", top / "a" / "b", top / "a" / "link", top / "file"):
                os.chown(path, 65534, 65534, follow_symlinks=False)
            os.seteuid(65534)
        try:
            (top / "a").chmod(0)
            top.chmod(0o500)
            folders.discard(top)
            folders.discard(top)
        finally:
            os.seteuid(os.getuid())
        assert list(Path(folder).iterdir()) == []


def test_the_gate_lets_so_many_through_and_no_more(tmp_path: Path) -> None:
    passing, peak = 0, 0

    async def one(narrow: gate.Gate, both: asyncio.Event) -> None:
        nonlocal passing, peak
        async with narrow.slot("ENGINE:ID"):
            passing += 1
            peak = max(peak, passing)
            if passing == 2:
                both.set()
            await both.wait()
            passing -= 1

    async def whole() -> None:
        both = asyncio.Event()
        gates = [gate.Gate(tmp_path, slots=2) for _ in range(3)]
        await asyncio.gather(*(one(gates[n % 3], both) for n in range(9)))

    asyncio.run(whole())
    assert peak == 2


def test_a_full_gate_is_said_and_a_dead_process_frees_its_slot(tmp_path: Path) -> None:
    (tmp_path / "E").mkdir()
    holder = os.open(tmp_path / "E" / "slot-0", os.O_CREAT | os.O_RDWR)
    fcntl.flock(holder, fcntl.LOCK_EX)

    async def through() -> None:
        async with gate.Gate(tmp_path, slots=1, longest=0.05).slot("E"):
            pass

    with pytest.raises(WfconsoleError) as refusal:
        asyncio.run(through())
    assert refusal.value.code == "SANDBOX_UNAVAILABLE"
    os.close(holder)
    asyncio.run(through())


def test_names_are_safe_and_derived(tmp_path: Path) -> None:
    named = spec(tmp_path, run_id="01J", step_id="checks/unit test", attempt=7)
    assert container_name("0123456789", named) == "wfc-01234567-01J-checks.unit-test-7"


def test_threads_run_no_more_than_their_limit_and_raise_where_awaited() -> None:
    started = threading.Semaphore(0)
    release = threading.Event()

    def block() -> int:
        started.release()
        release.wait()
        return 1

    def fail() -> None:
        raise KeyError("x")

    async def whole() -> None:
        threads = Threads(2, "test")
        calls = [asyncio.create_task(threads.call(block, deadline=30)) for _ in range(3)]
        await asyncio.to_thread(lambda: [started.acquire() for _ in range(2)])
        assert not started.acquire(blocking=False)
        release.set()
        assert await asyncio.gather(*calls) == [1, 1, 1]
        with pytest.raises(KeyError):
            await threads.call(fail, deadline=30)

    asyncio.run(whole())
