"""`logs`: whose bytes they are, and what of them reaches a terminal."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.desk import Desk
from tests.fakes.journals import OK, RUN_ID, Journal, failed, plan, step
from wfconsole.domain.plan import GroupBody, RetryPolicy, RunBody, StepPlan


def write(desk: Desk, step_id: str, name: str, data: bytes, attempt: int = 1, run_id: str = RUN_ID) -> Path:
    folder = desk.door.folder(run_id).logs(step_id, attempt)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


@pytest.fixture
def finished(desk: Desk) -> Desk:
    """Two steps; the second one has two commands."""
    two = step("unit", "lint")
    made = plan(step("lint"), replace(two, body=RunBody(commands=(("a",), ("b",)))))
    journal = Journal(made)
    journal.play()
    desk.door.add(journal)
    write(desk, "lint", "0.stdout", b"clean\n")
    write(desk, "lint", "0.stderr", b"careful\n")
    write(desk, "unit", "0.stdout", b"one\nFAILED two\n")
    write(desk, "unit", "0.stderr", b"")
    write(desk, "unit", "1.stdout", b"\x1b[31mred\x1b[0m caf\xe9\nno end")
    write(desk, "unit", "1.stderr", b"oops\n")
    return desk


def test_with_a_step_its_stdout_alone(finished: Desk) -> None:
    ran = finished.run("logs", "@latest", "unit")
    assert (ran.code, ran.err) == (0, "")
    assert ran.lines == ["one", "FAILED two", "␛[31mred␛[0m caf\\xe9", "no end"]


def test_stderr_and_one_command(finished: Desk) -> None:
    assert finished.run("logs", RUN_ID, "unit", "--stderr").lines == ["oops"]
    assert finished.run("logs", RUN_ID, "unit", "--command", "0").lines == ["one", "FAILED two"]
    assert finished.run("logs", RUN_ID, "unit", "--command", "1", "--stdout", "--stderr").lines[-1] == "oops"


def test_without_a_step_every_line_says_whose_it_is(finished: Desk) -> None:
    ran = finished.run("logs", RUN_ID)
    assert ran.lines == [
        "lint | clean", "lint ! careful", "unit | one", "unit | FAILED two", "unit | ␛[31mred␛[0m caf\\xe9", "unit | no end",
        "unit ! oops",
    ]  # fmt: skip


def test_exec_block_18_raw_gives_the_bytes(finished: Desk) -> None:
    ran = finished.run("logs", RUN_ID, "unit", "--raw")
    assert ran.out == b"one\nFAILED two\n\x1b[31mred\x1b[0m caf\xe9\nno end"


def test_untrusted_output_reaches_a_terminal_only_as_text(finished: Desk) -> None:
    assert b"\x1b" not in finished.run("logs", RUN_ID, "unit", terminal=True).out


def test_grep_keeps_what_matches_raw_too(finished: Desk) -> None:
    assert finished.run("logs", RUN_ID, "unit", "--grep", "^FAIL").lines == ["FAILED two"]
    assert finished.run("logs", RUN_ID, "--grep", "clean|oops").lines == ["lint | clean", "unit ! oops"]
    assert finished.run("logs", RUN_ID, "unit", "--grep", "red", "--raw").out == b"\x1b[31mred\x1b[0m caf\xe9\n"
    assert finished.run("logs", RUN_ID, "unit", "--grep", "[").code == 2


def test_json_gives_an_object_a_line(finished: Desk) -> None:
    first = finished.run("logs", RUN_ID, "unit", "--json").objects[0]
    assert first == {
        "type": "log", "run_id": RUN_ID, "step_id": "unit", "attempt": 1, "command": 0, "stream": "stdout", "text": "one",
    }  # fmt: skip


def test_what_is_not_there_is_named(finished: Desk) -> None:
    step_error = finished.run("logs", RUN_ID, "unti")
    assert (step_error.code, step_error.err.splitlines()[-1]) == (2, "hint: did you mean unit?")
    assert finished.run("logs", RUN_ID, "unit", "--attempt", "2").err.splitlines()[-1] == "hint: attempts: 1"
    assert finished.run("logs", RUN_ID, "unit", "--command", "7").code == 2


def test_the_last_attempt_unless_another_is_asked_for(desk: Desk) -> None:
    journal = Journal(plan(step("unit", retry=RetryPolicy(attempts=2, outcomes=("failed",)))))
    journal.play(lambda _, n: failed() if n == 1 else OK)
    desk.door.add(journal)
    write(desk, "unit", "0.stdout", b"first\n", attempt=1)
    write(desk, "unit", "0.stdout", b"second\n", attempt=2)
    assert desk.run("logs", RUN_ID, "unit").lines == ["second"]
    assert desk.run("logs", RUN_ID, "unit", "--attempt", "1").lines == ["first"]


def test_a_group_gives_the_logs_of_its_steps(desk: Desk) -> None:
    group = StepPlan(step_id="checks", kind="steps", body=GroupBody(members=("checks/a", "checks/b")))
    journal = Journal(plan(group, step("checks/a", parent="checks"), step("checks/b", parent="checks")))
    journal.play()
    desk.door.add(journal)
    write(desk, "checks/a", "0.stdout", b"from a\n")
    write(desk, "checks/b", "0.stdout", b"from b\n")
    assert desk.run("logs", RUN_ID, "checks").lines == ["checks/a | from a", "checks/b | from b"]
    assert desk.run("logs", RUN_ID, "checks/a").lines == ["from a"]


def test_a_step_that_ran_nothing_says_why(desk: Desk) -> None:
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.play(lambda *_: failed())
    desk.door.add(journal)
    ran = desk.run("logs", RUN_ID, "b")
    assert (ran.code, ran.out) == (0, b"")
    assert ran.err == "step b ran no command; it is skipped: needs a to be succeeded, and it is failed\n"


@pytest.mark.parametrize("plant", ["link", "folder link", "pipe"])
def test_links_and_pipes_planted_by_a_step_are_not_followed(finished: Desk, tmp_path: Path, plant: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text("private")
    found = finished.door.folder(RUN_ID).logs("lint", 1) / "0.stdout"
    found.unlink()
    if plant == "link":
        found.symlink_to(secret)
    elif plant == "pipe":
        os.mkfifo(found)
    else:
        (found.parent / "0.stderr").unlink()
        found.parent.rmdir()
        (tmp_path / "0.stdout").write_text("private")
        found.parent.symlink_to(tmp_path)
    ran = finished.run("logs", RUN_ID, "lint")
    assert b"private" not in ran.out
    assert (ran.code, "is no plain file of the run" in ran.err) == (2, True)


def test_follow_reads_what_is_being_written_until_the_run_is_over(desk: Desk) -> None:
    journal = Journal(plan(step("unit")))
    journal.take()
    run_id = desk.door.add(journal)
    path = write(desk, "unit", "0.stdout", b"early\n")
    watch = desk.door.watch

    async def grow(found: str, after_seq: int = 0) -> object:
        with path.open("ab") as log:
            log.write(b"late\nlast")
        journal.play()
        await desk.door._sync(run_id)
        async for batch in watch(found, after_seq):
            yield batch

    desk.door.watch = grow  # type: ignore[method-assign,assignment]
    assert desk.run("logs", RUN_ID, "unit", "--follow").lines == ["early", "late", "last"]


def test_logs_of_a_step_under_way(desk: Desk) -> None:
    journal = Journal(plan(step("unit")))
    journal.take()
    desk.door.add(journal)
    assert desk.run("logs", RUN_ID, "unit").code == 0
    write(desk, "unit", "0.stdout", b"so far\n")
    assert desk.run("logs", RUN_ID, "unit").lines == ["so far"]


def test_a_stream_without_a_word_points_to_the_other(finished: Desk) -> None:
    write(finished, "lint", "0.stdout", b"")
    ran = finished.run("logs", RUN_ID, "lint")
    assert (ran.out, ran.err) == (b"", "step lint wrote nothing on stdout; --stderr?\n")
