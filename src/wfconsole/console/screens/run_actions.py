"""What can be done to the run on the screen, and why something cannot be done now.

Owns that every refusal is the domain's own sentence. Commands go to the run as it is now, also while the screen shows its past.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from wfconsole.console.model import RunPicture
from wfconsole.console.screens.board import Board
from wfconsole.console.screens.dialog import ConfirmDialog
from wfconsole.domain.events import RunCancelling
from wfconsole.domain.facts import CancelRun, PauseRun, ResumeRun
from wfconsole.domain.plan import Json
from wfconsole.views.report import log_command
from wfconsole.views.run_head import retry_refusal

_NO_INTERVENTION = "this version cannot tell a run anything while it goes on: cancel it, or retry it with other inputs"


class RunActions(Board):
    """The half of the run screen that acts; `step` is the step under the cursor."""

    def __init__(self, run_id: str) -> None:
        super().__init__()
        self.run_id = run_id
        self.picture: RunPicture | None = None

    @property
    def step(self) -> Mapping[str, Json] | None:
        raise NotImplementedError

    def refusals(self) -> Mapping[str, str]:
        picture = self.picture
        if picture is None or not picture.whole:
            return dict.fromkeys(("review", "retry", "pause", "resume", "cancel"), "the run is being read")
        found = dict(picture.refusals)
        found["intervene"] = _NO_INTERVENTION
        retry = retry_refusal(picture.view, picture.plan)
        if retry:
            found["retry"] = retry
        if not self._open_gates():
            found["review"] = "no gate of this run is open"
        return found

    def _open_gates(self) -> list[Mapping[str, Json]]:
        """Open gates, the one of the step under the cursor first."""
        picture, step = self.picture, self.step
        if picture is None or picture.is_over:
            return []
        gates = [gate for gate in picture.view["approvals"] if gate["status"] == "open"]
        here = step["step_id"] if step is not None else None
        return sorted(gates, key=lambda gate: bool(gate["step_id"] != here))

    def copies(self) -> list[tuple[str, str]]:
        picture, step = self.picture, self.step
        if picture is None:
            return [("run id", self.run_id)]
        found = [("run id", self.run_id), ("command", f"wfconsole show {self.run_id}")]
        if step is not None:
            found += [("step", step["step_id"]), ("log command", log_command(picture.view, step["step_id"]))]
            if step["trace_url"]:
                found.append(("trace link", step["trace_url"]))
        retry = (picture.view["failure"] or {}).get("retry") or {}
        if retry.get("command"):
            found.append(("retry command", retry["command"]))
        if picture.folder:
            found.append(("path", picture.folder))
        if step is not None:
            found.append(("step as JSON", json.dumps(step, ensure_ascii=False, sort_keys=True)))
        found.append(("run as JSON", json.dumps(picture.view, ensure_ascii=False, sort_keys=True)))
        return found

    def action_log(self) -> None:
        step = self.step
        self.console_app.open_log(self.run_id, step["step_id"] if step is not None else None)

    def action_review(self) -> None:
        if self.allowed("review"):
            self.console_app.open_card(self.run_id, self._open_gates()[0]["gate_id"])

    def action_retry(self) -> None:
        if self.allowed("retry"):
            self.console_app.open_retry(self.run_id)

    async def action_pause(self) -> None:
        if self.allowed("pause"):
            await self.console_app.command(self.run_id, lambda i, at, who: PauseRun(fact_id=i, at=at, actor=who))

    async def action_resume(self) -> None:
        if self.allowed("resume"):
            await self.console_app.command(self.run_id, lambda i, at, who: ResumeRun(fact_id=i, at=at, actor=who))

    def action_intervene(self) -> None:
        self.allowed("intervene")

    def action_cancel(self) -> None:
        """The first time cleanly; while that is under way, once more means at once. Both are confirmed."""
        picture = self.picture
        cancelling = picture is not None and any(isinstance(one.event, RunCancelling) for one in picture.records)
        if picture is None or picture.is_over or not cancelling:
            if self.allowed("cancel"):
                self.console_app.confirm_cancel(self.run_id)
            return

        async def force(reason: str | None) -> None:
            if reason is not None:
                await self.console_app.command(
                    self.run_id,
                    lambda i, at, who: CancelRun(fact_id=i, at=at, actor=who, reason=reason or None, force=True),
                )

        lines = ("It is being cancelled already. At once gives up what that waits for, `finally` steps included.",)
        self.app.push_screen(
            ConfirmDialog(f"Stop run {self.run_id} at once?", lines, ask="reason (may be empty)"), force
        )
