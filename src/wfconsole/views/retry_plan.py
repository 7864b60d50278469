"""What a retry of a run would be: what the recipe allows, the command, and what becomes of each step.

Owns the words of the retry dialog and of `retry --dry-run`. Refuses to plan: which steps can be reused is somebody else's to
find out, and comes in as rows. The decision that would surprise: what cannot be done is listed, too, with the refusal's own
sentence in its place, so that nobody looks for a key that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from wfconsole.domain.failures import CATALOGUE
from wfconsole.domain.plan import Json
from wfconsole.views.evidence import Told
from wfconsole.views.words import plural

ALLOW = "allow"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStep:
    """What becomes of one step: `action` is ``reuse`` or ``run``."""

    step_id: str
    action: str
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """One way to go on. `refused` says why it cannot be gone; empty when it can."""

    key: str
    name: str
    refused: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryOffer:
    """All of the dialog. `command` is what does the same on the command line, None when nothing can be done."""

    run_id: str
    head: tuple[Told, ...]
    ways: tuple[Way, ...]
    command: str | None
    steps: tuple[PlannedStep, ...]

    @property
    def allowed(self) -> bool:
        """Whether the whole run can be started again."""
        return not self.ways[0].refused


def retry_offer(
    view: Mapping[str, Json], manual_retry: Json, command: str, steps: Sequence[PlannedStep] = ()
) -> RetryOffer:
    """The dialog for a run. `manual_retry` is the recipe's; `command` starts the recipe on the same inputs again.

    `steps` is the plan of a dry run; without one every step is run anew, as a new run does.
    """
    rule = {"run": ALLOW, "step": "deny", "reuse": "trusted", "reason": None, **(manual_retry or {})}
    refused = _refused_run(view, rule)
    from_step = _failing(view)
    ways = (
        Way(key="run", name="the whole run, anew, with the same inputs", refused=refused),
        Way(key="step", name=f"from step {from_step}" if from_step else "from a step", refused=_refused_step(rule)),
    )
    return RetryOffer(
        run_id=view["run_id"],
        head=tuple(_head(view, rule)),
        ways=ways,
        command=None if refused else command,
        steps=tuple(steps) or tuple(fresh(view)),
    )


def _refused_run(view: Mapping[str, Json], rule: Mapping[str, Json]) -> str:
    if view["finished_at"] is None:
        return f"run {view['run_id']} is not over: {view['status']}"
    return "" if rule["run"] == ALLOW else _refusal("RETRY_REFUSED", rule)


def _refused_step(rule: Mapping[str, Json]) -> str:
    if rule["step"] != ALLOW:
        return _refusal("STEP_RETRY_REFUSED", rule)
    return "wfconsole retry is not available in this version"


def _refusal(code: str, rule: Mapping[str, Json]) -> str:
    why = f": {rule['reason']}" if rule["reason"] else ""
    return f"{CATALOGUE[code].meaning}{why}"


def _failing(view: Mapping[str, Json]) -> str | None:
    failure = view["failure"] or {}
    found: str | None = failure.get("step_id")
    return found


def _head(view: Mapping[str, Json], rule: Mapping[str, Json]) -> Sequence[Told]:
    failure = view["failure"]
    recipe = view["recipe"]
    lines = [Told("run", f"{view['run_id']}  {recipe['name']}@{recipe['version']}  plan {recipe['digest'][:12]}")]
    if failure is None:
        lines.append(Told("status", str(view["status"]), str(view["status"])))
    else:
        at = f" at {failure['step_id']}" if failure["step_id"] else ""
        lines += [Told("failure", f"{failure['code']}{at}: {failure['message']}", "failed"),
                  Told("hint", failure["hint"] or "none"),
                  Told("last good", failure["last_successful_step"] or "none")]  # fmt: skip
    reason = f": {rule['reason']}" if rule["reason"] else ""
    lines.append(Told("policy", f"run {rule['run']}, step {rule['step']}, reuse {rule['reuse']}{reason}"))
    return lines


def fresh(view: Mapping[str, Json]) -> list[PlannedStep]:
    """The steps of a run that is started anew."""
    return [
        PlannedStep(step_id=step["step_id"], action="run", reason="a new run starts from nothing")
        for step in view["steps"]
    ]


def planned(document: Mapping[str, Json]) -> tuple[PlannedStep, ...]:
    """The rows of ``{"steps": [{"step_id", "action", "reason"}]}``, as a dry run prints them."""
    return tuple(
        PlannedStep(step_id=str(row["step_id"]), action=str(row["action"]), reason=str(row.get("reason") or ""))
        for row in document["steps"]
    )


def summary(steps: Sequence[PlannedStep]) -> str:
    """``2 steps reused, 3 to run``."""
    reused = sum(step.action == "reuse" for step in steps)
    runs = len(steps) - reused
    return f"{plural(reused, 'step')} reused, {runs} to run" if reused else f"{plural(runs, 'step')} to run"


def changed_recipe(pinned: str, now: str) -> str:
    """Why the same run cannot be started again; empty when it can."""
    if pinned == now:
        return ""
    return f"the recipe has changed since: the run pinned {pinned[:12]}, it would be {now[:12]} now"
