"""`run`: what it prints, what it asks for, and how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.fakes.desk import Desk
from tests.fakes.journals import OK, Journal, failed, plan, step
from wfconsole.control.door import Problem
from wfconsole.domain.facts import CancelRun
from wfconsole.domain.plan import RetryPolicy
from wfconsole.ports import WfconsoleError

RUN = "01JZ8Q4V7M3K9T2B6W5X0YHR00"

SUCCEEDS = f"""\
run      {RUN}
recipe   quality-gate@1.0.0  d1d1d1d1d1d1  built-in
00:01.0  ▸ lint  started
00:02.0  ✓ lint  succeeded in 1.0s
00:02.0  ▸ unit  started
00:03.0  ✓ unit  succeeded in 1.0s

✓ succeeded in 2.0s
  percent = 87.5
  details    wfconsole show {RUN}
"""

FAILS = f"""\
run      {RUN}
recipe   quality-gate@1.0.0  d1d1d1d1d1d1  built-in
00:01.0  ▸ lint  started
00:02.0  ✓ lint  succeeded in 1.0s
00:02.0  ▸ unit  started
00:03.0  ✗ unit  failed in 1.0s: STEP_FAILED: exit status 1

✗ failed in 2.0s
  code       STEP_FAILED
  message    exit status 1
  step       unit
  last good  lint
  hint       read the log
  logs       wfconsole logs {RUN} unit
  retry      wfconsole run quality-gate
  details    wfconsole show {RUN}
"""


def unit_fails(desk: Desk, **more: object) -> None:
    desk.door.results = lambda s, _: failed(**more) if s == "unit" else OK  # type: ignore[arg-type]


def test_a_pipe_gets_a_line_for_each_event_and_the_outputs(desk: Desk) -> None:
    desk.plan = plan(step("lint"), step("unit", "lint"), outputs={"percent": 87.5})
    ran = desk.run("run", "quality-gate")
    assert ran.text == SUCCEEDS
    assert (ran.code, ran.err) == (0, "")


def test_st_wf_010_a_failure_ends_with_its_panel(desk: Desk) -> None:
    unit_fails(desk)
    ran = desk.run("run", "quality-gate")
    assert ran.text == FAILS
    assert ran.code == 1


def test_with_json_each_line_is_an_event_and_the_last_the_run_view(desk: Desk) -> None:
    unit_fails(desk)
    ran = desk.run("run", "quality-gate", "--json")
    *events, last = ran.objects
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {"run_created", "run_started", "step_started", "step_failed", "run_failed"} <= {
        event["type"] for event in events
    }
    assert last["type"] == "run_view"
    assert (last["run"]["status"], ran.code, ran.err) == ("failed", 1, "")


def test_the_run_view_of_run_and_of_show_are_the_same_bytes(desk: Desk) -> None:
    last = desk.run("run", "quality-gate", "--json").out.splitlines()[-1]
    shown = desk.run("show", RUN, "--json").out
    assert last == b'{"run":' + shown.rstrip(b"\n") + b',"type":"run_view"}'


def test_a_failure_of_the_environment_exits_5_and_points_to_no_log_that_there_is_not(desk: Desk) -> None:
    unit_fails(desk, code="SANDBOX_UNAVAILABLE", message="no engine", commands=())
    ran = desk.run("run", "quality-gate")
    assert ran.code == 5
    assert "  step       unit" in ran.lines
    assert not [line for line in ran.lines if line.startswith("  logs")]


def test_retries_are_told(desk: Desk) -> None:
    desk.plan = plan(step("unit", retry=RetryPolicy(attempts=2, outcomes=("failed",), jitter=0)))
    desk.door.results = lambda _, n: failed() if n == 1 else OK
    lines = desk.run("run", "quality-gate").lines
    assert lines[3] == "00:02.0  ↻ unit  attempt 1 failed: STEP_FAILED: exit status 1; next in 1.0s"
    assert lines[4] == "00:03.0  ▸ unit  started (attempt 2)"


def test_exec_block_09_until_waiting_ends_when_only_a_person_can_go_on(desk: Desk) -> None:
    desk.plan = plan(step("unit", argv=("sh", "-c", "x")))
    ran = desk.run("run", "quality-gate", "--until-waiting")
    assert ran.code == 3
    assert "! awaiting approval in" not in ran.text
    assert "! awaiting approval: unit" in ran.lines
    assert any(line.startswith("  waits      unit: ") for line in ran.lines)


def test_ascii_glyphs_where_the_encoding_has_no_others(desk: Desk) -> None:
    ran = desk.run("run", "quality-gate", encoding="ascii")
    assert ran.out.isascii()
    assert b"00:02.0  o lint  succeeded in 1.0s" in ran.out


def test_hostile_names_and_messages_are_shown_and_not_run(desk: Desk) -> None:
    desk.plan = plan(step("a\x1b[2J"))
    desk.door.results = lambda *_: failed("\x1b]52;c;AAAA\x07\u202e")
    ran = desk.run("run", "quality-gate")
    assert "a␛[2J" in ran.text
    assert "␛]52;c;AAAA␇<U+202E>" in ran.text
    assert all(line.isprintable() for line in ran.text.split("\n"))


# ------------------------------------------------------------------------------------------------------------- asking


def test_inputs_come_from_the_line_from_files_and_from_stdin(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("from a file\n")
    (tmp_path / "more.json").write_text('{"b": 2, "a": "overridden"}')
    more = ("--input-file", str(tmp_path / "more.json"))
    given = ("-i", "a=1", "-i", f"text=@{tmp_path}/text", "-i", "at=@@x", "-i", "pipe=@-", "--input", "eq=a=b")
    assert desk.run("run", "quality-gate", *more, *given, stdin=b"piped").code == 0
    (request,) = desk.door.requests
    assert request.inputs == {"a": "1", "text": "from a file", "at": "@x", "pipe": "piped", "eq": "a=b"}
    assert request.values == {"b": 2, "a": "overridden"}


def test_everything_wrong_with_the_inputs_is_told_at_once(desk: Desk) -> None:
    ran = desk.run("run", "quality-gate", "-i", "novalue", "-i", "a=1", "-i", "a=2", "-i", "f=@/does/not/exist")
    assert ran.code == 2
    assert desk.opened == 0
    assert ran.err.splitlines() == [
        "error: INPUT_INVALID: the inputs cannot be read",
        "  novalue: error: INPUT_INVALID: novalue is not NAME=VALUE",
        "      hint: write it as -i NAME=VALUE",
        "  a: error: INPUT_INVALID: a is given twice",
        "      hint: give each input once",
        "  f: error: INPUT_INVALID: f cannot be read: [Errno 2] No such file or directory: '/does/not/exist'",
        "      hint: a value that begins with @ names a file; @@ is a literal @",
    ]


def test_st_wf_001_problems_with_the_request_are_printed_with_their_place_and_nothing_is_created(desk: Desk) -> None:
    desk.door.problems = [
        Problem(code="INPUT_MISSING", message="repo is required", hint="give it", where="repo"),
        Problem(code="RECIPE_INVALID", message="unknown key stepz", hint="did you mean steps?", where="r.yaml:3:1"),
    ]
    ran = desk.run("run", "quality-gate")
    assert (ran.code, ran.out) == (2, b"")
    assert ran.err.splitlines()[1:4] == [
        "  repo: error: INPUT_MISSING: repo is required",
        "      hint: give it",
        "  r.yaml:3:1: error: RECIPE_INVALID: unknown key stepz",
    ]
    assert not desk.door.journals
    as_json = desk.run("run", "quality-gate", "--json")
    assert as_json.err.count("\n") == 1
    assert '"where":"r.yaml:3:1"' in as_json.err


def test_warnings_go_to_stderr(desk: Desk) -> None:
    desk.door.warnings = (Problem(code="POLICY_BLOCKED", message="rm /x", where="r.yaml:9:3", severity="warning"),)
    ran = desk.run("run", "quality-gate", "--json")
    assert ran.err == "r.yaml:9:3: warning: POLICY_BLOCKED: rm /x\n"
    assert ran.code == 0


def test_dry_run_creates_nothing(desk: Desk) -> None:
    ran = desk.run("run", "quality-gate", "-i", "a=1", "--dry-run")
    assert ran.lines == [
        "recipe   quality-gate@1.0.0  d1d1d1d1d1d1  built-in",
        "input    a = 1",
        "step     lint  run",
        "step     unit  run  after lint",
        "nothing was created",
    ]
    document = desk.run("run", "quality-gate", "--dry-run", "--json").json
    assert [item["step_id"] for item in document["steps"]] == ["lint", "unit"]
    assert not desk.door.journals


def test_the_same_key_is_the_same_run(desk: Desk) -> None:
    first = desk.run("run", "quality-gate", "--id", "nightly", "--json")
    again = desk.run("run", "quality-gate", "--id", "nightly", "--json")
    assert first.objects[-1] == again.objects[-1]
    assert len(desk.door.journals) == 1
    assert again.err == f"run {RUN} exists already under this id; nothing new was created\n"


def test_detach_leaves_the_run_to_a_worker_and_its_key_takes_it_up(desk: Desk) -> None:
    ran = desk.run("run", "quality-gate", "--id", "k", "--detach")
    assert (ran.code, ran.text) == (0, f"{RUN}\n")
    assert ran.err == f"worker 4711 drives it; `wfconsole watch {RUN}` follows it\n"
    assert desk.detached == 1
    again = desk.run("run", "quality-gate", "--id", "k", "--detach", "--json")
    assert again.json == {"run_id": RUN, "existed": True, "worker_pid": 4711}
    assert desk.run("show", "k", "--json").json["status"] == "pending"
    assert desk.run("run", "quality-gate", "--id", "k").code == 0
    assert desk.run("show", "k", "--json").json["status"] == "succeeded"


# ------------------------------------------------------------------------------------------------------------- Ctrl-C


def interrupt_on_start(desk: Desk, times: int) -> None:
    """The first attempt hangs; Ctrl-C comes as soon as it runs, again each time the run has taken note of the last."""
    desk.door.results = lambda *_: None
    journal_of = desk.door.journals
    sent: list[int] = []

    def results(_step: str, _attempt: int) -> None:
        (journal,) = journal_of.values()
        if journal.open and len(sent) < times and len(desk.door.sent) == len(sent):
            sent.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    desk.door.results = results


def test_ctrl_c_once_cancels_cleanly_and_exits_130(desk: Desk) -> None:
    interrupt_on_start(desk, 1)
    ran = desk.run("run", "quality-gate")
    (fact,) = desk.door.sent
    assert isinstance(fact, CancelRun)
    assert (fact.force, fact.reason) == (False, "interrupted at the terminal")
    assert ran.err == "stopping; press Ctrl-C again to stop at once\n"
    assert ran.lines[-2].startswith("⊘ cancelled in ")
    assert ran.code == 130


def test_ctrl_c_before_the_run_exists_says_so_and_exits_130(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def copies(_: object) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    monkeypatch.setattr(desk.door, "create", copies)
    ran = desk.run("run", "quality-gate")
    assert (ran.code, ran.out, ran.err) == (130, b"", "interrupted before the run began\n")
    assert not desk.door.journals


def test_ctrl_c_twice_stops_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Journal,
        "_stop",
        lambda self, effect: self.end(self.open[0], {"outcome": "cancelled"}) if effect.force else None,
    )
    interrupt_on_start(desk, 2)
    ran = desk.run("run", "quality-gate")
    assert [getattr(fact, "force", None) for fact in desk.door.sent] == [False, True]
    assert ran.err.splitlines() == ["stopping; press Ctrl-C again to stop at once", "stopping at once"]
    assert ran.code == 130


def test_cancelled_from_elsewhere_exits_4(desk: Desk) -> None:
    desk.door.results = lambda *_: {"outcome": "cancelled"}
    desk.door.on_start = lambda effect: None

    def cancel(_effect: object) -> None:
        (journal,) = desk.door.journals.values()
        journal.give(CancelRun(fact_id="elsewhere", at=journal.now, reason="no longer needed"))

    desk.door.on_start = cancel
    ran = desk.run("run", "quality-gate")
    assert ran.code == 4
    assert "cancelling: no longer needed" in ran.text


# ------------------------------------------------------------------------------------------------- a lost terminal


def test_a_lost_terminal_leaves_the_run_to_a_worker(desk: Desk) -> None:
    sent: list[int] = []

    def results(_step: str, _attempt: int) -> None:
        if not sent:
            sent.append(1)
            os.kill(os.getpid(), signal.SIGHUP)

    desk.door.results = results
    ran = desk.run("run", "quality-gate")
    assert ran.code == 129
    assert desk.detached == 1
    assert desk.door.sent == []  # nothing was cancelled


def test_nohup_keeps_the_run_here(desk: Desk) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        desk.door.on_start = lambda _: os.kill(os.getpid(), signal.SIGHUP)
        ran = desk.run("run", "quality-gate")
    finally:
        signal.signal(signal.SIGHUP, before)
    assert (ran.code, desk.detached) == (0, 0)


# ------------------------------------------------------------------------------------------------- what can go wrong


def test_a_run_that_another_process_drives_is_watched(desk: Desk) -> None:
    desk.run("run", "quality-gate", "--id", "k", "--detach")
    desk.door.drive_error = WfconsoleError("OWNER_LOST", "another process drives run R", "")
    (journal,) = desk.door.journals.values()
    journal.play()
    sync = desk.door._sync

    async def records_then_sync(ref: str) -> object:
        found = await type(desk.door).records(desk.door, ref)
        await sync(RUN)
        return found

    desk.door.records = records_then_sync  # type: ignore[method-assign,assignment]
    ran = desk.run("run", "quality-gate", "--id", "k")
    assert ran.code == 0
    assert "✓ succeeded in 2.0s" in ran.lines


def test_an_owner_that_cannot_go_on_is_an_error(desk: Desk) -> None:
    desk.door.drive_error = WfconsoleError("STORE_BUSY", "another process holds the database", "try again")
    ran = desk.run("run", "quality-gate", "--json")
    assert ran.code == 5
    assert ran.err == (
        '{"error":{"code":"STORE_BUSY","details":{},"hint":"try again","message":"another process holds the database"}}\n'
    )


def test_a_bug_while_driving_exits_70_without_a_traceback(desk: Desk) -> None:
    desk.door.drive_error = RuntimeError("oops")
    ran = desk.run("run", "quality-gate")
    assert ran.code == 70
    assert ran.err.splitlines()[0] == "error: INTERNAL: RuntimeError: oops"
    assert "Traceback" not in ran.err


def test_the_store_is_closed_however_the_command_ends(desk: Desk) -> None:
    desk.run("run", "quality-gate")
    desk.door.drive_error = RuntimeError("oops")
    desk.run("run", "quality-gate")
    assert desk.door.store.closed == desk.opened == 2


def test_a_reader_that_went_away_does_not_stop_the_run(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    from wfconsole.cli.output import Output

    written: list[str] = []

    def line(self: Output, text: str = "") -> None:
        written.append(text)
        if len(written) > 3:
            raise BrokenPipeError

    monkeypatch.setattr(Output, "line", line)
    ran = desk.run("run", "quality-gate")
    assert len(written) == 4
    (journal,) = desk.door.journals.values()
    assert journal.state is not None
    assert (journal.state.status, ran.code) == ("succeeded", 0)


def test_a_run_that_its_owner_let_go_is_taken_over_by_whoever_wanted_to_drive_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wfconsole.cli import following

    monkeypatch.setattr(following, "OWNER_LOOK_S", 0.01)
    refusals = [WfconsoleError("OWNER_LOST", "another process drives run R", "")] * 3
    drive = desk.door.drive

    async def refused_at_first(run_id: str, *, until_waiting: bool = False) -> None:
        if refusals:
            raise refusals.pop()
        await drive(run_id, until_waiting=until_waiting)

    desk.door.drive = refused_at_first  # type: ignore[method-assign]
    ran = desk.run("run", "quality-gate")
    assert (ran.code, refusals) == (0, [])
    assert ran.err.count("another process drives run R; watching it") == 1
