"""The commands that read: show, runs, events, watch, artifacts, export."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.desk import Desk
from tests.fakes.journals import ANN, OK, RUN_ID, START, Journal, failed, plan, step
from wfconsole.domain.codec import canonical
from wfconsole.domain.facts import CancelRun
from wfconsole.domain.records import ArtifactRecord
from wfconsole.views.run_view import run_view

SHOWN = f"""\
run      {RUN_ID}
recipe   quality-gate@1.0.0  d1d1d1d1d1d1  built-in
started  2026-07-01T10:00:01.000Z  by ann@build-7 (manual)
status   ✗ failed in 2.0s
input    repo = .

  STEP    STATUS     TOOK
✓ lint    succeeded  1.0s
✗ unit    failed     1.0s  STEP_FAILED: exit status 1
- deploy  skipped    -     needs unit to be succeeded, and it is failed

failure
  code       STEP_FAILED
  message    exit status 1
  step       unit
  last good  lint
  hint       read the log
  logs       wfconsole logs {RUN_ID} unit
  retry      wfconsole run quality-gate -i repo=.

outputs
  percent = 61.5
"""


def fails(**start: Any) -> Journal:
    made = plan(step("lint"), step("unit", "lint"), step("deploy", "unit"), outputs={"percent": 61.5})
    journal = Journal(made, inputs={"repo": "."}, **start)
    journal.play(lambda s, _: failed() if s == "unit" else OK)
    return journal


def test_show(desk: Desk) -> None:
    desk.door.add(fails())
    assert desk.run("show", "@latest").text == SHOWN


def test_show_json_is_the_canonical_run_view_on_one_line(desk: Desk) -> None:
    journal = fails()
    desk.door.add(journal)
    ran = desk.run("show", RUN_ID, "--json")
    assert ran.out == canonical(run_view(journal.records)) + b"\n"
    assert ran.out == desk.run("show", "@latest", "--json").out


def test_show_outputs_alone(desk: Desk) -> None:
    desk.door.add(fails())
    assert desk.run("show", RUN_ID, "--outputs").text == "percent = 61.5\n"
    assert desk.run("show", RUN_ID, "--outputs", "--json").json == {"percent": 61.5}


def test_show_of_a_run_under_way_tells_what_each_step_waits_for(desk: Desk) -> None:
    journal = Journal(plan(step("lint"), step("unit", "lint")))
    journal.take()
    desk.door.add(journal)
    lines = desk.run("show", RUN_ID).lines
    assert "▸ lint  running  59.0s" in lines
    assert "· unit  pending  -      waits for lint" in lines


def test_json_on_a_terminal_cannot_steer_it(desk: Desk) -> None:
    journal = Journal(plan(step("a")), inputs={"x": "\x9b31m\u202e"})
    desk.door.add(journal)
    on_pipe, on_terminal = desk.run("show", RUN_ID, "--json"), desk.run("show", RUN_ID, "--json", terminal=True)
    assert "\x9b" in on_pipe.text
    assert on_terminal.text.rstrip("\n").isprintable()
    assert on_terminal.json == on_pipe.json


# --------------------------------------------------------------------------------------------------------------- runs


@pytest.fixture
def three(desk: Desk) -> Desk:
    """One that failed, one that waits for a person, one that succeeded a minute later."""
    desk.door.add(fails(run_id="01AAAAAAAAAAAAAAAAAAAAAAAA", project="web"))
    waits = Journal(plan(step("a", argv=("sh", "-c", "x"))), run_id="01BBBBBBBBBBBBBBBBBBBBBBBB")
    waits.play()
    desk.door.add(waits)
    good = Journal(plan(step("a")), run_id="01CCCCCCCCCCCCCCCCCCCCCCCC", workflow_id="nightly", inputs={"floor": 80})
    good.play()
    desk.door.add(good)
    return desk


def ids(desk: Desk, *options: str) -> list[str]:
    ran = desk.run("runs", "--json", *options)
    assert ran.code == 0, ran.err
    return [run["run_id"][2] for run in ran.json["runs"]]


def test_runs_as_a_table(three: Desk) -> None:
    assert three.run("runs").lines == [
        "RUN                         STATUS               RECIPE              AGE    TOOK   CAUSE",
        "01CCCCCCCCCCCCCCCCCCCCCCCC  ✓ succeeded          quality-gate@1.0.0  1m00s  1.0s",
        "01BBBBBBBBBBBBBBBBBBBBBBBB  ! awaiting approval  quality-gate@1.0.0  1m00s  59.0s  waits for you: a",
        "01AAAAAAAAAAAAAAAAAAAAAAAA  ✗ failed             quality-gate@1.0.0  1m00s  2.0s   STEP_FAILED unit",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ((), "CBA"),
        (("--status", "failed"), "A"),
        (("--status", "completed,waiting_input"), "CB"),
        (("--status", "failed", "--status", "succeeded"), "CA"),
        (("--waiting",), "B"),
        (("--project", "web"), "A"),
        (("--recipe", "other"), ""),
        (("--limit", "2"), "CB"),
        (("--query", "failure.code = STEP_FAILED"), "A"),
        (("--query", "input.floor > 79"), "C"),
        (("--query", "status = completed or waiting_for = a"), "CB"),
        (("--query", "steps.unit.status = failed"), "A"),
        (("--query", "steps.lint.status = succeeded and status = failed"), "A"),
        (("--query", "status != failed", "--limit", "1"), "C"),
        (("--since", "2m"), "CBA"),
        (("--since", "30s"), ""),
    ],
)
def test_st_wf_010_runs_filtered(three: Desk, options: tuple[str, ...], found: str) -> None:
    assert "".join(ids(three, *options)) == found


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--query", "statu = failed"), "hint: did you mean status?"),
        (("--query", "status failed"), "hint: one of = != ~ < >"),
        (("--status", "faild"), "--status: no status 'faild'; did you mean failed?"),
        (("--since", "yesterday"), "'yesterday' is no duration such as 30m, 12h, 2d, 1w"),
    ],
)
def test_filters_that_cannot_be_read_are_refused(desk: Desk, options: tuple[str, ...], said: str) -> None:
    ran = desk.run("runs", *options)
    assert ran.code == 2
    assert said in ran.err


def test_no_runs_is_no_data(desk: Desk) -> None:
    ran = desk.run("runs")
    assert (ran.code, ran.out, ran.err) == (0, b"", "no runs\n")
    assert desk.run("runs", "--json").out == b'{"runs":[]}\n'


# ------------------------------------------------------------------------------------------------------ events, watch


def test_st_wf_004_events_in_order_with_the_envelope(desk: Desk) -> None:
    desk.door.add(fails())
    events = desk.run("events", RUN_ID, "--json").objects
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    envelope = {
        "run_id",
        "workflow_name",
        "workflow_version",
        "timestamp",
        "correlation_id",
        "seq",
        "type",
        "schema_version",
    }
    assert all(envelope <= event.keys() for event in events)
    assert [event["seq"] for event in desk.run("events", RUN_ID, "--json", "--after", "7").objects] == list(
        range(8, len(events) + 1)
    )


def test_events_for_people(desk: Desk) -> None:
    desk.door.add(fails())
    lines = desk.run("events", RUN_ID).lines
    assert lines[0] == f"2026-07-01T10:00:00.000Z  #1    run_created            quality-gate@1.0.0  {RUN_ID}"
    assert lines[2] == "2026-07-01T10:00:01.000Z  #3    step_started           lint  started"
    assert lines[3] == "2026-07-01T10:00:02.000Z  #4    artifact_recorded      lint#1/none  none"
    assert lines[-1] == "2026-07-01T10:00:03.000Z  #10   run_failed             STEP_FAILED: exit status 1"


def test_events_follow_to_the_end(desk: Desk) -> None:
    journal = Journal(plan(step("a")))
    desk.door.add(journal)
    _played_by_somebody_else(desk, journal)
    events = desk.run("events", RUN_ID, "--follow", "--json", "--after", "1").objects
    assert [event["seq"] for event in events] == [2, 3, 4, 5, 6]
    assert desk.run("events", RUN_ID, "--follow", "--json").objects[-1]["type"] == "run_succeeded"


def _played_by_somebody_else(desk: Desk, journal: Journal) -> None:
    """The run goes on as soon as somebody watches it."""
    watch = desk.door.watch

    async def watched(run_id: str, after_seq: int = 0) -> object:
        journal.play()
        await desk.door._sync(run_id)
        async for batch in watch(run_id, after_seq):
            yield batch

    desk.door.watch = watched  # type: ignore[method-assign,assignment]


def test_watch_ends_with_the_status_of_the_run(desk: Desk) -> None:
    journal = Journal(plan(step("a")))
    desk.door.add(journal)
    _played_by_somebody_else(desk, journal)
    ran = desk.run("watch", RUN_ID)
    assert (ran.code, ran.lines[-2]) == (0, "✓ succeeded in 1.0s")
    assert desk.run("watch", RUN_ID, "--json").objects[-1]["run"]["status"] == "succeeded"


def test_watch_of_a_cancelled_run_exits_4(desk: Desk) -> None:
    journal = Journal(plan(step("a")))
    journal.give(CancelRun(fact_id="c", at=START, actor=ANN))
    desk.door.add(journal)
    assert desk.run("watch", "@latest").code == 4


def test_ctrl_c_ends_the_watching_and_not_the_run(desk: Desk) -> None:
    journal = Journal(plan(step("a")))
    journal.take()
    desk.door.add(journal)

    async def interrupted(run_id: str, after_seq: int = 0) -> object:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()
        yield ()

    desk.door.watch = interrupted  # type: ignore[method-assign,assignment]
    assert desk.run("watch", RUN_ID).code == 130
    assert desk.door.sent == []


# --------------------------------------------------------------------------------------------------------- artifacts


@pytest.fixture
def left(desk: Desk) -> Desk:
    sha, size = asyncio.run(desk.door.artifacts.put_bytes(b"<xml>\x1b[31m</xml>\n"))
    found = ArtifactRecord(
        artifact_id="a#1/out/r.xml", step_id="a", attempt=1, name="out/r.xml", kind="report", sha256=sha, bytes=size
    )
    journal = Journal(plan(step("a"), step("b", "a")))
    journal.play(lambda s, _: {**OK, "artifacts": (found,)} if s == "a" else OK)
    desk.door.add(journal)
    return desk


def test_artifacts_as_a_table_and_as_data(left: Desk) -> None:
    lines = left.run("artifacts", RUN_ID).lines
    assert lines[1].split()[:4] == ["a#1/out/r.xml", "report", "17", "B"]
    assert lines[2].endswith("the run step declares no artifacts")
    assert [item["kind"] for item in left.run("artifacts", RUN_ID, "--json").json["artifacts"]] == ["report", "none"]


@pytest.mark.parametrize("name", ["a#1/out/r.xml", "out/r.xml", "a/out/r.xml", "r.xml"])
def test_an_artifact_by_any_of_its_names(left: Desk, name: str) -> None:
    assert left.run("artifacts", RUN_ID, name).out == b"<xml>\x1b[31m</xml>\n"


def test_an_artifact_on_a_terminal_is_text(left: Desk) -> None:
    for words in ([], ["-o", "-"]):
        assert left.run("artifacts", RUN_ID, "r.xml", *words, terminal=True).text == "<xml>␛[31m</xml>\n"
    assert left.run("artifacts", RUN_ID, "r.xml", "-o", "-").out == b"<xml>\x1b[31m</xml>\n"


def test_an_artifact_into_a_file_or_a_folder(left: Desk, tmp_path: Path) -> None:
    assert left.run("artifacts", RUN_ID, "r.xml", "-o", str(tmp_path)).code == 0
    assert left.run("artifacts", RUN_ID, "r.xml", "-o", str(tmp_path / "mine")).code == 0
    assert (tmp_path / "r.xml").read_bytes() == (tmp_path / "mine").read_bytes() == b"<xml>\x1b[31m</xml>\n"
    assert not list(tmp_path.glob(".*"))
    assert left.run("artifacts", RUN_ID, "r.xml", "-o", str(tmp_path / "no" / "folder")).code == 2


def test_artifacts_that_cannot_be_given(left: Desk) -> None:
    assert "has no content: the run step declares no artifacts" in left.run("artifacts", RUN_ID, "b#1/none").err
    assert left.run("artifacts", RUN_ID, "nope").code == 2
    assert left.run("artifacts", RUN_ID, "-o", "x").code == 2


def test_export(left: Desk, tmp_path: Path) -> None:
    target = tmp_path / "run.tar.gz"
    assert left.run("export", RUN_ID, str(target)).text == f"wrote {target}\n"
    assert left.run("export", RUN_ID, str(target), "--json").json == {"run_id": RUN_ID, "files": []}
    assert left.run("export", RUN_ID, str(tmp_path / "x.zip")).code == 2
