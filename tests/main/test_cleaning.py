"""`delete`, `gc` and `db` as their users have them: one process a command, over a state folder with ended runs."""

from __future__ import annotations

import asyncio
import os
import pty
import sqlite3
import subprocess
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.control.removing import ACTOR, DAY, FakeContainers, Yard
from tests.scenarios.cli import Wfconsole, command_line
from wfconsole.config import read_settings
from wfconsole.ports import WfconsoleError


@pytest.fixture
def wf(tmp_path: Path) -> Wfconsole:
    """No engine is there: nothing of these commands may need one."""
    home = tmp_path / "home"
    return Wfconsole(home, {"DOCKER_HOST": f"unix://{tmp_path}/no-engine.sock"}, tmp_path)


def fill(wf: Wfconsole, work: Callable[[Yard], Awaitable[None]]) -> None:
    async def scenario() -> None:
        yard = Yard(wf.home, now=time.time_ns() // 1_000_000)
        await work(yard)
        await yard.store.close()

    asyncio.run(scenario())
    for path in wf.home.glob("runs/*/attempts"):  # as of runs that never had a container
        subprocess.run(["rm", "-r", path], check=True)


async def two(yard: Yard) -> None:
    await yard.ended("run-one-1111", b"one" * 3000)
    await yard.ended("run-two-2222", b"two" * 3000, reuses="run-one-1111")


async def three(yard: Yard) -> None:
    await two(yard)
    await yard.ended("run-open-3333", over=False)


def test_a_dry_run_shows_counts_and_bytes_and_deletes_nothing(wf: Wfconsole) -> None:
    fill(wf, three)
    shown = wf.run("delete", "2222", "--dry-run", "--json")
    assert shown.code == 0, shown.err
    assert {"counts", "bytes"} <= shown.json.keys()
    assert shown.json["counts"] == {"runs": 1, "steps": 2, "artifacts": 1, "logs": 1, "containers": 0}
    assert shown.json["bytes"] > 60_000
    words = wf.run("delete", "2222", "--dry-run")
    assert words.out.splitlines()[0] == "would go: run-two-2222"
    assert "1 run, 2 steps, 1 artifact, 1 log, 0 containers; " in words.out
    assert wf.show("2222")["run_id"] == "run-two-2222"


def test_deleting_with_yes_gives_a_receipt_and_the_second_time_the_tombstone(wf: Wfconsole) -> None:
    fill(wf, two)
    shown = wf.run("delete", "2222", "--dry-run", "--json").json
    done = wf.run("delete", "run-two-2222", "--yes", "--json")
    assert done.code == 0, done.err
    assert done.json["freed"] == done.json["bytes"] == shown["bytes"]
    assert (done.json["runs"], done.json["unfinished"]) == (["run-two-2222"], [])
    for command in ("show", "delete", "events", "logs"):
        again = wf.run(command, "run-two-2222", "--json")
        assert (again.code, again.error["code"]) == (2, "NOT_FOUND"), command
        assert "was deleted at" in again.error["message"]
        assert again.error["details"]["tombstone"]["counts"] == done.json["counts"]
    assert not (wf.home / "runs" / "run-two-2222").exists()
    assert [row["run_id"] for row in wf.run("runs", "--json").json["runs"]] == ["run-one-1111"]
    audited = wf.run("audit", "verify", "--json")
    assert audited.code == 0
    assert [one["run_id"] for one in audited.json["runs"] if one["deleted"]] == ["run-two-2222"]
    assert wf.run("audit", "verify", "run-two-2222").out.splitlines() == [
        "✓ run-two-2222  deleted, its tombstone was checked",
        "everything holds",
    ]
    assert wf.run("db", "check", "--json").json == {"findings": [], "holds": True}


def test_a_run_that_is_not_over_says_what_to_do_first(wf: Wfconsole) -> None:
    fill(wf, three)
    for argv in (["--dry-run"], ["--yes"], ["--yes", "--cascade"]):
        refused = wf.run("delete", "3333", "--json", *argv)
        assert (refused.code, refused.error["code"]) == (6, "TRANSITION_REFUSED")
        assert refused.error["hint"] == "wfconsole cancel run-open-3333, then delete it"


def test_a_reused_run_is_refused_by_name_and_goes_with_cascade(wf: Wfconsole) -> None:
    fill(wf, three)
    refused = wf.run("delete", "1111", "--yes", "--json")
    assert (refused.code, refused.error["code"]) == (6, "TRANSITION_REFUSED")
    assert refused.error["details"]["reused_by"] == ["run-two-2222"]
    assert "run-two-2222" in refused.error["message"]
    done = wf.run("delete", "1111", "--yes", "--cascade", "--json")
    assert (done.code, done.json["runs"]) == (0, ["run-two-2222", "run-one-1111"])
    assert done.json["counts"]["runs"] == 2


def test_a_script_has_to_say_yes(wf: Wfconsole) -> None:
    fill(wf, three)
    refused = wf.run("delete", "2222")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert wf.show("2222")


@pytest.mark.parametrize(("typed", "code"), [("run-two-2222", 0), ("yes", 6), ("", 6)])
def test_on_a_terminal_the_id_is_typed(wf: Wfconsole, typed: str, code: int) -> None:
    fill(wf, three)
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            command_line("delete", "2222"), stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=wf.environment, cwd=wf.cwd,
        )  # fmt: skip
        os.write(ours, f"{typed}\n".encode())
        out, err = process.communicate(timeout=60)
    finally:
        os.close(ours)
        os.close(theirs)
    assert process.returncode == code, err
    assert b"would go: run-two-2222" in err
    assert b"Type run-two-2222 to delete: " in err
    assert (b"deleted: run-two-2222" in out) == (code == 0)
    assert (b"nothing was deleted" in err) == (code == 6)
    assert (wf.home / "runs" / "run-two-2222").exists() == (code != 0)


def test_the_next_start_ends_a_removal_that_was_killed(wf: Wfconsole) -> None:
    async def half(yard: Yard) -> None:
        await yard.ended("run-1")
        yard.containers = yard.ports.containers  # type: ignore[assignment]
        assert isinstance(yard.containers, FakeContainers)
        yard.containers.away = WfconsoleError("SANDBOX_UNAVAILABLE", "none")
        await yard.removal.delete(await yard.removal.preview("run-1"), ACTOR)
        assert yard.folder("run-1").root.exists()

    fill(wf, half)
    assert wf.run("runs", "--json").json == {"runs": []}
    assert not (wf.home / "runs" / "run-1").exists()
    assert wf.rows("SELECT finished_at IS NOT NULL AS ended FROM tombstones") == [{"ended": 1}]


def test_exec_block_gap_2_gc_lists_and_then_removes(wf: Wfconsole) -> None:
    async def some(yard: Yard) -> None:
        await yard.ended("run-1", retention={"count": 1}, at=yard.now - 10 * DAY)
        await yard.ended("run-2", retention={"count": 1}, at=yard.now - 5 * DAY)

    fill(wf, some)
    wf.run("gc", "--dry-run")
    listed = wf.run("gc", "--dry-run", "--json")
    assert listed.code == 0, listed.err
    assert [(item["kind"], item["name"]) for item in listed.json["items"]] == [
        ("run", "run-1"), ("workspace", "run-2"),
    ]  # fmt: skip
    assert (listed.json["dry_run"], listed.json["freed"]) == (True, None)
    assert "containers could not be looked for" in listed.json["notes"][0]
    done = wf.run("gc", "--json")
    assert done.json["freed"] > 100_000
    assert [row["run_id"] for row in wf.run("runs", "--json").json["runs"]] == ["run-2"]
    assert wf.run("gc").out == "removed: 0 things; freed on disk: 0 B\n"


def test_the_operators_policy_comes_from_the_configuration(wf: Wfconsole) -> None:
    async def some(yard: Yard) -> None:
        await yard.ended("run-1", at=yard.now - 10 * DAY)

    fill(wf, some)
    config = wf.home / "config.toml"
    config.write_text('[retention]\nage = "30d"\nworkspaces = "20d"\n')
    assert wf.run("gc", "--dry-run", "--json").json["items"] == []
    config.write_text('[retention]\nage = "9d"\n')
    assert [item["kind"] for item in wf.run("gc", "--dry-run", "--json").json["items"]] == ["run"]
    config.write_text('[retention]\nage = "9"\n')
    refused = wf.run("gc", "--dry-run", "--json")
    assert (refused.code, refused.error["code"]) == (2, "INPUT_INVALID")


@pytest.mark.parametrize("wrong", ['age = "9"', "age = 9", "count = 0", 'bytes = "5"', "backups = true", "colour = 1"])
def test_a_policy_that_does_not_hold_is_refused(tmp_path: Path, wrong: str) -> None:
    (tmp_path / "config.toml").write_text(f"[retention]\n{wrong}\n")
    with pytest.raises(WfconsoleError) as caught:
        read_settings({"WFCONSOLE_HOME": str(tmp_path)})
    assert caught.value.code == "INPUT_INVALID"


def test_db_backup_and_check_and_a_lost_database_names_the_backup(wf: Wfconsole) -> None:
    fill(wf, three)
    (wf.home / "config.toml").write_text("[retention]\nbackups = 1\n")
    first, saved = (Path(wf.run("db", "backup", "--json").json["backup"]) for _ in range(2))
    assert saved.parent == wf.home / "backups"
    named = wf.run("db", "backup", "-o", "mine.db")
    assert named.out == f"{wf.cwd / 'mine.db'}\n"
    assert wf.run("db", "backup", "-o", "mine.db", "--json").error["code"] == "INPUT_INVALID"
    old = [item for item in wf.run("gc", "--dry-run", "--json").json["items"] if item["kind"] == "backup"]
    assert [item["name"] for item in old] == [str(first)]
    (wf.home / "wfconsole.db").unlink()
    for command in (["runs"], ["db", "check"], ["db", "migrate"]):
        lost = wf.run(*command, "--json")
        assert (lost.code, lost.error["code"]) == (5, "STORE_CORRUPT"), command
        assert lost.error["details"]["backup"] == str(saved)
    assert not (wf.home / "wfconsole.db").exists()
    (wf.home / "wfconsole.db").write_bytes(saved.read_bytes())
    assert wf.run("db", "check").out == "the store holds\n"


def test_db_check_tells_what_is_wrong(wf: Wfconsole) -> None:
    fill(wf, three)
    with closing(sqlite3.connect(wf.home / "wfconsole.db")) as db, db:
        db.execute("UPDATE runs SET status = 'failed' WHERE run_id = 'run-one-1111'")
    checked = wf.run("db", "check", "--json")
    assert checked.code == 5
    assert [(one["run_id"], one["code"]) for one in checked.json["findings"]] == [
        ("run-one-1111", "projection_differs")
    ]


def test_db_migrate_says_what_it_did(wf: Wfconsole) -> None:
    from tests.store.test_backup import as_of

    as_of("0001", wf.home)
    done = wf.run("db", "migrate", "--json")
    assert done.code == 0, done.err
    assert (done.json["before"], done.json["after"] > "0001") == ("0001", True)
    assert Path(done.json["backup"]).is_file()
    assert "already" in wf.run("db", "migrate").out


def test_without_a_store_there_is_nothing_to_look_after(wf: Wfconsole) -> None:
    for command in ("check", "backup", "migrate"):
        refused = wf.run("db", command, "--json")
        assert (refused.code, refused.error["code"]) == (2, "NOT_FOUND")
    assert not (wf.home / "wfconsole.db").exists()


def test_a_wait_for_another_writer_is_told_on_stderr(wf: Wfconsole) -> None:
    fill(wf, three)
    with closing(sqlite3.connect(wf.home / "wfconsole.db", isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        process = subprocess.Popen(
            command_line("cancel", "3333"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=wf.environment,
            text=True,
        )
        assert process.stderr is not None
        line = process.stderr.readline()
        holder.execute("ROLLBACK")
        process.communicate(timeout=60)
    assert line.startswith("another process is writing to the store: waiting for it, 1 s of at most 20 s")
