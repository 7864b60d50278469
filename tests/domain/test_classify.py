"""The classifier: every combination of evidence, and the rules that decide between them."""

from __future__ import annotations

import signal
from itertools import product
from typing import Any

import pytest

from wfconsole.domain.policy.classify import SIGNALS, classify, signal_of, warnings
from wfconsole.ports import CommandEnd, SandboxEnd

COMMANDS = (("build", "all"), ("check",))


def said(end: SandboxEnd) -> tuple[str, str | None]:
    status, cause = classify(end, timeout_ms=1500, output_limit=4096, commands=COMMANDS)
    return status, cause.code if cause else None


def end(exit_code: int | None = 0, **changes: Any) -> SandboxEnd:
    return SandboxEnd(**{"started": True, "exit_code": exit_code, **changes})


def record(index: int, code: int | None, error: str | None = None) -> CommandEnd:
    return CommandEnd(index=index, exit_code=code, error=error)


@pytest.mark.parametrize(
    ("evidence", "status", "code"),
    [
        (end(0), "succeeded", None),
        (end(0, oom_killed=True), "succeeded", None),
        (end(1, commands=(record(0, 1),)), "failed", "STEP_FAILED"),
        (end(1), "failed", "STEP_FAILED"),
        (end(127, commands=(record(0, 127, "COMMAND_NOT_FOUND"),)), "failed", "COMMAND_NOT_FOUND"),
        (end(127, commands=(record(0, 127),)), "failed", "STEP_FAILED"),
        (end(126, commands=(record(0, 126, "SPAWN_ERROR"),)), "failed", "STEP_FAILED"),
        (end(126, commands=(record(0, 126, "POLICY_BLOCKED"),)), "failed", "POLICY_BLOCKED"),
        (end(139, commands=(record(0, 139),)), "failed", "STEP_FAILED"),
        (end(137, commands=(record(0, 137),)), "failed", "STEP_FAILED"),
        (end(137, commands=(record(0, 137),), oom_killed=True), "failed", "OOM_KILLED"),
        (end(137, lost=True), "abandoned", "SANDBOX_LOST"),
        (end(None, lost=True), "abandoned", "SANDBOX_LOST"),
        (end(None), "abandoned", "SANDBOX_LOST"),
        (end(2, started=False), "errored", "SANDBOX_LOST"),
        (end(1, error="DISK_FULL"), "errored", "DISK_FULL"),
        (end(0, error="DISK_FULL"), "succeeded", None),
        (end(143, ended_by="timeout"), "timed_out", "STEP_TIMED_OUT"),
        (end(0, ended_by="timeout"), "timed_out", "STEP_TIMED_OUT"),
        (end(137, ended_by="output_limit"), "failed", "OUTPUT_LIMIT"),
        (end(143, ended_by="stop"), "cancelled", None),
        (end(0, ended_by="stop", started=False), "cancelled", None),
    ],
)
def test_exec_block_20_table_of_ends(evidence: SandboxEnd, status: str, code: str | None) -> None:
    assert said(evidence) == (status, code)


def test_every_combination_has_exactly_one_answer_and_the_order_of_the_rules_holds() -> None:
    for ended_by, lost, oom, code, started, error in product(
        (None, "stop", "timeout", "output_limit"),
        (False, True),
        (False, True),
        (None, 0, 1, 126, 127, 137, 139, 143, 255),
        (False, True),
        (None, "DISK_FULL", "something"),
    ):
        evidence = SandboxEnd(
            started=started,
            exit_code=code,
            oom_killed=oom,
            ended_by=ended_by,  # type: ignore[arg-type]  # product widens the literal
            lost=lost,
            error=error,
        )
        if ended_by == "stop":
            expected: tuple[str, str | None] = ("cancelled", None)
        elif ended_by == "timeout":
            expected = ("timed_out", "STEP_TIMED_OUT")
        elif ended_by == "output_limit":
            expected = ("failed", "OUTPUT_LIMIT")
        elif lost or code is None:
            expected = ("abandoned", "SANDBOX_LOST")
        elif not started:
            expected = ("errored", "SANDBOX_LOST")
        elif code == 0:
            expected = ("succeeded", None)
        elif error == "DISK_FULL":
            expected = ("errored", "DISK_FULL")
        else:
            expected = ("failed", "OOM_KILLED" if oom else "STEP_FAILED")
        assert said(evidence) == expected, evidence


def test_the_message_names_the_first_failing_command() -> None:
    evidence = end(4, commands=(record(0, 0), record(1, 4)))
    _, cause = classify(evidence, timeout_ms=None, output_limit=1, commands=COMMANDS)
    assert cause is not None
    assert cause.message == "check ended with 4"
    assert cause.details == {"exit_code": 4, "command": 1}


def test_a_signal_is_named() -> None:
    _, cause = classify(end(139, commands=(record(0, 139),)), timeout_ms=None, output_limit=1, commands=COMMANDS)
    assert cause is not None
    assert cause.message == "build was ended by signal 11 (SEGV)"
    assert cause.details["signal"] == 11


def test_every_signal_that_ends_a_process_is_known() -> None:
    harmless = {"SIGCHLD", "SIGCONT", "SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGURG", "SIGWINCH"}
    ending = {number for number in signal.Signals if number.name not in harmless and number < signal.SIGRTMIN}
    assert ending <= SIGNALS.keys()
    assert not {signal.Signals[name] for name in harmless} & SIGNALS.keys()


def test_a_folder_that_a_link_leads_out_of_the_workspace_is_named_as_a_matter_of_policy() -> None:
    evidence = end(126, commands=(record(0, 0), record(1, 126, "POLICY_BLOCKED")))
    _, cause = classify(evidence, timeout_ms=None, output_limit=1, commands=COMMANDS)
    assert cause is not None
    assert "check" in cause.message
    assert (cause.details, bool(cause.hint)) == ({"rule": "workdir", "command": 1}, True)


def test_the_deadline_is_said() -> None:
    _, cause = classify(end(143, ended_by="timeout"), timeout_ms=1500, output_limit=1, commands=COMMANDS)
    assert cause is not None
    assert cause.message == "the step ran longer than its timeout of 1.5 s"


def test_a_forged_record_of_an_unknown_index_is_survived() -> None:
    assert said(end(1, commands=(record(99, 1),))) == ("failed", "STEP_FAILED")


@pytest.mark.parametrize(
    ("evidence", "count"),
    [
        (end(0), 0),
        (end(0, oom_killed=True), 1),
        (end(1, oom_killed=True), 0),
        (end(0, oom_killed=True, ended_by="stop"), 0),
    ],
)
def test_memory_kill_of_a_child_is_a_warning_when_the_step_succeeded(evidence: SandboxEnd, count: int) -> None:
    assert len(warnings(evidence)) == count


@pytest.mark.parametrize(
    ("code", "signal"),
    [
        (None, None),
        (0, None),
        (1, None),
        (128, None),
        (130, 2),
        (137, 9),
        (138, 10),
        (140, 12),
        (145, None),
        (255, None),
    ],
)
def test_signals_by_exit_code(code: int | None, signal: int | None) -> None:
    assert signal_of(code) == signal
