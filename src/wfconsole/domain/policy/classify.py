"""From the evidence of a container's end to an outcome and its cause; one table of rules, the first that applies.

Pure. Refuses to look at anything but the evidence. What would surprise: what we did to the container comes before how it
ended (a command that handles TERM well and exits 0 has still run into its deadline), and the exit code of PID 1 comes before
the runner's records, which step code could have written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wfconsole.domain.failures import cause
from wfconsole.domain.records import FailureCause, OutcomeStatus

if TYPE_CHECKING:
    from wfconsole.ports import CommandEnd, SandboxEnd

SIGNALS = {
    1: "HUP", 2: "INT", 3: "QUIT", 4: "ILL", 5: "TRAP", 6: "ABRT", 7: "BUS", 8: "FPE", 9: "KILL", 10: "USR1", 11: "SEGV",
    12: "USR2", 13: "PIPE", 14: "ALRM", 15: "TERM", 16: "STKFLT", 24: "XCPU", 25: "XFSZ", 26: "VTALRM", 27: "PROF",
    29: "IO", 30: "PWR", 31: "SYS",
}  # fmt: skip
"""The signals that end processes, by their Linux numbers."""

Classified = tuple[OutcomeStatus, FailureCause | None]


def classify(
    end: SandboxEnd, *, timeout_ms: int | None, output_limit: int, commands: Sequence[Sequence[str]]
) -> Classified:
    """The outcome of an attempt; the cause is None when it succeeded or was cancelled on request.

    `commands` are the argvs that were given, for the messages; `output_limit` is in bytes.
    """
    ours = _ended_by_us(end, timeout_ms, output_limit)
    if ours is not None:
        return ours
    if end.lost or end.exit_code is None:
        return "abandoned", cause("SANDBOX_LOST", "the container was taken away before it ended")
    if not end.started:
        return "errored", cause(
            "SANDBOX_LOST", f"the container ended with {end.exit_code} before its first command", error=end.error
        )
    if end.exit_code == 0:
        return "succeeded", None
    return _failed(end, end.exit_code, commands)


def warnings(end: SandboxEnd) -> tuple[str, ...]:
    """What the operator should know about an end that did not fail by it."""
    if end.oom_killed and end.exit_code == 0 and end.ended_by is None:
        return ("a process of this step was ended for want of memory, and the step succeeded nevertheless",)
    return ()


def signal_of(exit_code: int | None) -> int | None:
    """The signal that a shell's exit code stands for (128 + n), or None."""
    if exit_code is None or exit_code - 128 not in SIGNALS:
        return None
    return exit_code - 128


def _ended_by_us(end: SandboxEnd, timeout_ms: int | None, output_limit: int) -> Classified | None:
    match end.ended_by:
        case "stop":
            return "cancelled", None
        case "timeout":
            span = "" if timeout_ms is None else f" of {_seconds(timeout_ms)}"
            return "timed_out", cause(
                "STEP_TIMED_OUT", f"the step ran longer than its timeout{span}", timeout_ms=timeout_ms
            )
        case "output_limit":
            return "failed", cause(
                "OUTPUT_LIMIT",
                f"the step wrote more than {output_limit} bytes to stdout and stderr",
                limit=output_limit,
            )
        case "disk":
            message = "the step was ended before it could fill the disk: hardly any space, or room for files, is left"
            return "errored", cause("DISK_FULL", message)
        case None:
            return None


def _failed(end: SandboxEnd, exit_code: int, commands: Sequence[Sequence[str]]) -> Classified:
    first = next((command for command in end.commands if command.exit_code != 0), None)
    name = _name(first, commands)
    index = None if first is None else first.index
    if end.error == "DISK_FULL":
        return "errored", cause("DISK_FULL", f"{name} ended with {exit_code}, and no space is left on the disk")
    if end.oom_killed:
        return "failed", cause(
            "OOM_KILLED", f"{name} used more memory than the sandbox has", exit_code=exit_code, command=index
        )
    if first is not None and first.error == "COMMAND_NOT_FOUND":
        return "failed", cause("COMMAND_NOT_FOUND", f"{name}: the sandbox has no such program", command=index)
    if first is not None and first.error == "POLICY_BLOCKED":
        return "failed", cause(
            "POLICY_BLOCKED",
            f"the folder that {name} was to run in leads out of the workspace",
            "a link is in the way: give a folder inside the workspace",
            rule="workdir",
            command=index,
        )
    if first is not None and first.error is not None:
        return "failed", cause(
            "STEP_FAILED",
            f"{name} could not be started",
            "check that it is an executable file for this platform, and that its interpreter and the step's folder are there",
            error=first.error,
            command=index,
        )
    signal = signal_of(exit_code)
    if signal is not None:
        return "failed", cause(
            "STEP_FAILED",
            f"{name} was ended by signal {signal} ({SIGNALS[signal]})",
            "a file grew over the sandbox's limit for one file" if signal == 25 else None,
            signal=signal,
            exit_code=exit_code,
            command=index,
        )
    return "failed", cause("STEP_FAILED", f"{name} ended with {exit_code}", exit_code=exit_code, command=index)


def _name(command: CommandEnd | None, commands: Sequence[Sequence[str]]) -> str:
    if command is None or command.index >= len(commands) or not commands[command.index]:
        return "a command"
    return commands[command.index][0]


def _seconds(milliseconds: int) -> str:
    return f"{milliseconds / 1000:g} s"
