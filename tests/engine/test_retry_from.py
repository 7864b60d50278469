"""Going on in another run, on fakes: one transaction for both runs, and a folder that is made whenever somebody died before."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import ACTOR, Rig, plan, play, step
from tests.fakes.gates import approval
from tests.fakes.sandbox import Script
from wfconsole.domain import events as ev
from wfconsole.domain.decision import decision_payload
from wfconsole.domain.events import Record
from wfconsole.domain.facts import DecideGate
from wfconsole.domain.run import RunState
from wfconsole.ports import SandboxSpec, StoreConflictError, WfconsoleError

BACK = {"retry_from": "draft"}
PLAN = plan(
    step("fetch"),
    step("draft", needs=["fetch"]),
    approval("gate", "draft", on_reject=BACK),
    step("ship", needs=["gate"]),
)


class Desk:
    """A rig whose steps write into the workspace, and a person who decides."""

    def __init__(self, tmp: Path) -> None:
        self.ran: list[str] = []
        self.seen: list[list[str]] = []
        self.mounts: list[set[str]] = []
        self.rig = Rig(tmp, {name: Script(effect=self._work) for name in ("fetch", "draft", "ship")})

    def _work(self, spec: SandboxSpec) -> None:
        workspace = next(mount.source for mount in spec.mounts if mount.target == "/workspace")
        self.ran.append(f"{spec.run_id[:5]}:{spec.step_id}")
        self.seen.append(sorted(path.name for path in workspace.iterdir()))
        self.mounts.append({mount.target for mount in spec.mounts})
        (workspace / spec.step_id).write_text(spec.run_id)

    async def decide(self, state: RunState, choice: str, reason: str | None = None) -> None:
        (gate,) = state.open_gates()
        payload = decision_payload(
            run_id=state.run_id, gate_id=gate.asked.gate_id, choice=choice, reason=reason, answer=None,
            context_digest=gate.asked.context_digest, plan_digest=state.plan.recipe.digest, actor="op", at=self.rig.clock.now,
            nonce=f"{state.run_id}-{choice:>20}", seen_seq=state.seq, seen_hash="",
        )  # fmt: skip
        fact = DecideGate(fact_id=f"say:{choice}", at=self.rig.clock.now, actor=ACTOR, payload=payload, signature="sig")
        await self.rig.store.post(state.run_id, fact)

    async def to_gate(self, run_id: str, owner: str = "owner-1") -> RunState:
        return await self.rig.new_owner(owner).drive(run_id, until_waiting=True)

    async def reject(self) -> str:
        """A run that was rejected; the id of its successor, which nobody has driven yet."""
        run_id = await self.rig.create(PLAN)
        await self.decide(await self.to_gate(run_id), "reject", "too long")
        after = await self.rig.new_owner("owner-2").drive(run_id)
        assert after.status == "cancelled"
        retried = (await self.rig.records(run_id))[-1].event
        assert isinstance(retried, ev.RunRetried)
        return retried.successor


def test_st_wf_007_1_a_successor_starts_at_the_step_in_the_workspace_before_it_and_is_told_why(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        successor = await desk.reject()
        state = await desk.to_gate(successor)
        assert state.status == "awaiting_approval"
        await desk.decide(state, "approve")
        assert (await desk.rig.new_owner("owner-3").drive(successor)).status == "succeeded"
        told = desk.rig.folder(successor).rejection
        assert (told / "reason.txt").read_text() == "too long\n"
        document = json.loads((told / "rejection.json").read_text())
        assert (document["gate"], document["actor"], document["run_id"]) == ("gate", "op", "run-1")

    play(scenario)
    assert [name.partition(":")[2] for name in desk.ran] == ["fetch", "draft", "draft", "ship"]
    assert desk.seen == [[], ["fetch"], ["fetch"], ["draft", "fetch"]]
    assert ["/rejection" in mounts for mounts in desk.mounts] == [False, False, True, True]


def test_both_runs_are_in_one_commit(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        successor = await desk.reject()
        first = (await desk.rig.records(successor))[0].event
        assert isinstance(first, ev.RunCreated)
        assert first.lineage is not None
        assert first.lineage.parent == "run-1"
        assert desk.rig.store.commits[-1].run_id == successor
        ended = desk.rig.store.commits[-2]
        assert ended.run_id == "run-1"
        assert ended.successor == desk.rig.store.commits[-1]

    play(scenario)


@pytest.mark.parametrize("error", [StoreConflictError("STORE_BUSY", "no"), WfconsoleError("DISK_FULL", "no")])
def test_when_the_commit_fails_there_is_no_successor_and_the_next_owner_makes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: WfconsoleError
) -> None:
    desk = Desk(tmp_path)
    commit = desk.rig.store.commit
    failing = [error]

    async def broken(one: Any) -> None:
        if one.successor is not None and failing:
            raise failing.pop()
        await commit(one)

    async def scenario() -> None:
        run_id = await desk.rig.create(PLAN)
        await desk.decide(await desk.to_gate(run_id), "reject", "too long")
        monkeypatch.setattr(desk.rig.store, "commit", broken)
        with pytest.raises(WfconsoleError, match="no"):
            await desk.rig.new_owner("owner-2").drive(run_id)
        assert not any(isinstance(r.event, ev.RunRetried | ev.RunCancelled) for r in await desk.rig.records(run_id))
        assert (await desk.rig.new_owner("owner-3").drive(run_id)).status == "cancelled"
        retried = (await desk.rig.records(run_id))[-1].event
        assert isinstance(retried, ev.RunRetried)
        assert len(await desk.rig.records(retried.successor)) > 1

    play(scenario)


def test_a_death_between_transaction_and_copy_and_one_in_the_copy_lose_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        successor = await desk.reject()
        folder = desk.rig.folder(successor)
        assert not folder.root.exists()
        desk.rig.workspaces.fails = [WfconsoleError("WORKSPACE_INVALID", "killed here")]
        with pytest.raises(WfconsoleError, match="killed here"):
            await desk.to_gate(successor)
        assert not folder.root.exists()
        half = folder.root.with_name(f".{successor}.new") / "workspace"
        half.mkdir()
        (half / "half").write_text("half a copy")
        assert (await desk.to_gate(successor)).status == "awaiting_approval"
        await desk.to_gate(successor, "owner-3")
        assert desk.rig.workspaces.restored == [("run-1", "tree-0"), ("run-1", "tree-0")]

    play(scenario)
    assert desk.seen[2] == ["fetch"]


def test_a_successor_whose_parents_folder_is_gone_says_so(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        successor = await desk.reject()
        desk.rig.folder("run-1").root.rename(tmp_path / "away")
        with pytest.raises(WfconsoleError, match="the folder of run run-1 is gone") as caught:
            await desk.to_gate(successor)
        assert (caught.value.code, f"cancel {successor}" in caught.value.hint) == ("WORKSPACE_INVALID", True)

    play(scenario)


def test_an_owner_that_dies_while_the_workspace_is_kept_leaves_that_to_the_next(tmp_path: Path) -> None:
    desk = Desk(tmp_path)

    async def scenario() -> None:
        run_id = await desk.rig.create(PLAN)
        desk.rig.workspaces.keeping = asyncio.Event()
        asked = asyncio.Event()

        def look(_run: str, record: Record) -> None:
            if isinstance(record.event, ev.WorkspaceKeeping):
                asked.set()

        desk.rig.subscribers["look"] = look
        first = asyncio.create_task(desk.to_gate(run_id))
        await asked.wait()
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        desk.rig.workspaces.keeping = None
        assert (await desk.to_gate(run_id, "owner-2")).status == "awaiting_approval"
        kept = [record.event for record in await desk.rig.records(run_id) if isinstance(record.event, ev.WorkspaceKept)]
        assert [(each.step_id, each.tree) for each in kept] == [("draft", "tree-0")]

    play(scenario)
    assert [name.partition(":")[2] for name in desk.ran] == ["fetch", "draft"]


def test_a_workspace_that_cannot_be_kept_fails_the_step_before_it_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk(tmp_path)

    async def full(_folder: object) -> str:
        raise WfconsoleError("DISK_FULL", "no space")

    monkeypatch.setattr(desk.rig.workspaces, "keep", full)
    state = play(lambda: desk.rig.run(PLAN))
    assert state.status == "failed"
    why = state.step("draft").cause
    assert why is not None
    assert why.code == "DISK_FULL"
    assert [name.partition(":")[2] for name in desk.ran] == ["fetch"]


APART = plan(
    step("fetch", isolation="per_step"),
    step("draft", needs=["fetch"], isolation="per_step"),
    step("notes", needs=["fetch"], isolation="per_step"),
    approval("gate", "draft", on_reject=BACK),
    step("ship", needs=["gate", "notes"], isolation="per_step"),
)


@pytest.mark.parametrize("dies", [None, "copied", "applying", "applied"])
def test_steps_with_workspaces_of_their_own_start_again_in_the_one_before_the_step(
    tmp_path: Path, dies: str | None
) -> None:
    """What the rejected draft brought back is not in the successor's workspace, also when its first owner dies within it."""
    desk = Desk(tmp_path)
    desk.rig.sandbox.scripts["notes"] = Script(effect=desk._work)
    met = asyncio.Event()

    def die(point: str, subject: str) -> None:
        if (point, subject) == (dies, "draft#1") and not met.is_set():
            met.set()
            raise Died

    async def scenario() -> None:
        run_id = await desk.rig.create(APART)
        await desk.decide(await desk.to_gate(run_id), "reject", "too long")
        assert (await desk.rig.new_owner("owner-2").drive(run_id)).status == "cancelled"
        retried = (await desk.rig.records(run_id))[-1].event
        assert isinstance(retried, ev.RunRetried)
        successor = retried.successor
        desk.rig.signals.arm(die)
        if dies is not None:
            driving = asyncio.create_task(desk.to_gate(successor))
            await met.wait()
            driving.cancel()
            await asyncio.gather(driving, return_exceptions=True)
        state = await desk.to_gate(successor, "owner-3")
        await desk.decide(state, "approve")
        assert (await desk.rig.new_owner("owner-4").drive(successor)).status == "succeeded"
        made = {path.name: path.read_text() for path in desk.rig.folder(successor).workspace.iterdir()}
        assert made == {"fetch": run_id, "draft": successor, "notes": made["notes"], "ship": successor}
        before = {path.name: path.read_text() for path in desk.rig.folder(run_id).workspace.iterdir()}
        assert before["draft"] == run_id

    play(scenario)
    drafts = [seen for ran, seen in zip(desk.ran, desk.seen, strict=True) if ran.endswith(":draft")]
    assert len(drafts) == 2
    assert all("draft" not in seen and "fetch" in seen for seen in drafts)


class Died(BaseException):
    """The owner dies here."""
