"""The failure catalogue: every code that a run, a refusal or an error line can carry, once.

A row says what the code means, whose fault it is and what to do; `cause` makes a FailureCause for one case of it. The exit
status of a run that failed by an environment code is 5, by any other 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wfconsole.domain.plan import Json
from wfconsole.domain.records import FailureCause

Fault = Literal["recipe", "operator", "step", "environment", "policy", "wfconsole"]


@dataclass(frozen=True, slots=True)
class FailureRow:
    """`fault`: who has to act. `hint`: what to do when nothing more precise is known."""

    meaning: str
    fault: Fault
    hint: str


CATALOGUE: dict[str, FailureRow] = {
    "INPUT_MISSING": FailureRow("a required input was not given", "operator", "give it with -i NAME=VALUE"),
    "INPUT_INVALID": FailureRow(
        "an input has the wrong type or breaks a rule of the recipe", "operator", "see `wfconsole recipes show RECIPE`"
    ),
    "RECIPE_INVALID": FailureRow(
        "the recipe cannot be compiled", "recipe", "`wfconsole recipes validate RECIPE` lists every finding"
    ),
    "RECIPE_NOT_FOUND": FailureRow(
        "no recipe of that name", "operator", "`wfconsole recipes list` shows what there is"
    ),
    "NOT_FOUND": FailureRow("nothing is known by that name", "operator", "`wfconsole runs` lists the runs"),
    "VERSION_NOT_PINNED": FailureRow(
        "the recipe's version and digest could not be recorded, so nothing was created", "environment", "try again"
    ),
    "SECRET_MISSING": FailureRow("a secret that the step names is not set", "operator", "set it and run again"),
    "TRANSITION_REFUSED": FailureRow(
        "what was asked is not allowed in the present state", "operator", "`wfconsole show RUN` tells the state"
    ),
    "STEP_FAILED": FailureRow("a command ended with a non-zero status", "step", "read `wfconsole logs RUN STEP`"),
    "CHECK_FAILED": FailureRow("a check of the recipe does not hold", "step", "the message says which"),
    "OUTPUT_INVALID": FailureRow(
        "a declared output is missing, unreadable or of another type",
        "step",
        "compare the step's `outputs` with its files",
    ),
    "COMMAND_NOT_FOUND": FailureRow(
        "the sandbox has no such program", "recipe", "check the name, or use a template that has the program"
    ),
    "STEP_TIMED_OUT": FailureRow("the step ran longer than its timeout", "step", "raise `timeout` or find what hangs"),
    "OOM_KILLED": FailureRow(
        "the kernel ended a process that used more memory than the sandbox has",
        "step",
        "use less memory, or raise the limit",
    ),
    "OUTPUT_LIMIT": FailureRow(
        "the step wrote more output than allowed", "step", "write less, or raise limits.output_bytes"
    ),
    "DISK_FULL": FailureRow("no space is left", "environment", "free space, then run again"),
    "POLICY_BLOCKED": FailureRow(
        "a command breaks the recipe's command policy", "policy", "change the command, or the recipe's `commands`"
    ),
    "EFFECT_FAILED": FailureRow("an effect outside the sandbox failed", "environment", "see the details, then retry"),
    "RETRY_REFUSED": FailureRow("the recipe does not allow a retry of the run", "policy", "start a new run"),
    "STEP_RETRY_REFUSED": FailureRow("the recipe does not allow a retry of a step", "policy", "retry the whole run"),
    "CONTEXT_INCOMPLETE": FailureRow(
        "what the approver has to see could not be gathered",
        "environment",
        "mend what is named, then `wfconsole resume RUN`",
    ),
    "APPROVAL_REJECTED": FailureRow(
        "somebody rejected the run at a gate", "operator", "see the reason of the decision"
    ),
    "APPROVAL_EXPIRED": FailureRow("nobody decided in time", "operator", "start the run again and decide in time"),
    "DECISION_INVALID": FailureRow("the decision's signature or payload does not hold", "operator", "sign it again"),
    "DECISION_STALE": FailureRow("what was decided on has changed since", "operator", "look at the card again"),
    "DECISION_NOT_APPLIED": FailureRow("the decision could not be recorded", "environment", "repeat the command"),
    "ENV_DRIFT": FailureRow(
        "the sandbox is not what the template's lock says",
        "environment",
        "`wfconsole templates check` shows the difference",
    ),
    "TEMPLATE_MISSING": FailureRow(
        "the template's image is not there", "environment", "`wfconsole templates build NAME`"
    ),
    "SANDBOX_UNAVAILABLE": FailureRow(
        "the Docker engine does not answer", "environment", "`wfconsole doctor` says what is wrong"
    ),
    "SANDBOX_LOST": FailureRow(
        "the container was taken away while it ran", "environment", "look at the engine, then run again"
    ),
    "OC_UNAVAILABLE": FailureRow(
        "the coding agent does not answer", "environment", "check the agent's profile, then retry"
    ),
    "AGENT_OUTPUT_INVALID": FailureRow("the agent's answer does not have the declared shape", "step", "retry the step"),
    "PATCH_CONFLICT": FailureRow("a patch does not apply", "step", "see the conflict in the details"),
    "BUDGET_EXCEEDED": FailureRow("the run reached a limit of the recipe", "policy", "raise the limit, or do less"),
    "RUN_TIMED_OUT": FailureRow("the run was running longer than limits.timeout", "step", "raise limits.timeout"),
    "RUN_QUARANTINED": FailureRow(
        "recovery of the run failed three times; it was set aside",
        "wfconsole",
        "see the details, then `wfconsole resume RUN`",
    ),
    "WORKSPACE_INVALID": FailureRow(
        "the workspace could not be copied or read", "operator", "check that the folder is a readable repository"
    ),
    "ROLLBACK_FAILED": FailureRow("a rollback step failed", "step", "the workspace is as the failed rollback left it"),
    "STORE_TOO_NEW": FailureRow("the database was written by a newer version", "environment", "use that version"),
    "TOLERANCE_EXCEEDED": FailureRow("more children failed than the fan-out tolerates", "step", "see failures.json"),
    "STORE_CORRUPT": FailureRow(
        "the database cannot be trusted", "environment", "`wfconsole db check`, then the backup"
    ),
    "STORE_BUSY": FailureRow("another process holds the database", "environment", "try again when it is done"),
    "OWNER_LOST": FailureRow(
        "the process that drove the run is gone", "environment", "`wfconsole worker` takes it over"
    ),
    "EVENT_CHANNEL_FAILED": FailureRow(
        "a subscriber did not take an event; the run went on",
        "environment",
        "mend the subscriber; the journal is complete",
    ),
    "INTERNAL": FailureRow("a bug in wfconsole", "wfconsole", "report it with the output of `wfconsole export RUN`"),
}


def cause(code: str, message: str, hint: str | None = None, **details: Json) -> FailureCause:
    """A cause of that code; without a hint the catalogue's. KeyError for a code that has no row."""
    return FailureCause(
        code=code, message=message, hint=CATALOGUE[code].hint if hint is None else hint, details=details
    )


def is_environment(code: str) -> bool:
    """Does a run that failed by this code exit 5?"""
    return CATALOGUE[code].fault == "environment" if code in CATALOGUE else False
