"""W7 in the run loop, on the scripted sandbox: artifact, event, one fallback, and the hard failure after the second drift."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine.rig import Rig, plan, play, step
from tests.fakes.sandbox import Script
from wfconsole.domain.codec import wire
from wfconsole.domain.events import ArtifactRecorded, EnvDrift, Record, TemplateFallback
from wfconsole.domain.evolve import evolve
from wfconsole.domain.lifecycle import TransitionError
from wfconsole.domain.plan import RetryPolicy
from wfconsole.domain.policy.drift import Difference, Drift
from wfconsole.domain.records import ENGINE
from wfconsole.engine.gates import drifted
from wfconsole.ports import DriftError, WfconsoleError
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.views.run_view import run_view


def drift(template: str = "python", **more: Any) -> Script:
    difference = Difference(field="image.id", expected="a", observed="b")
    more = {"on_mismatch": "fallback", "fallback_template": "base", "phase": "create", **more}
    return Script(refuses=DriftError(Drift(template=template, differences=(difference,), **more)))


def whole(tmp_path: Path, scripts: dict[Any, Script], **more: Any) -> tuple[Rig, Any, list[Record]]:
    rig = Rig(tmp_path, scripts)

    async def scenario() -> tuple[Any, list[Record]]:
        state = await rig.run(plan(step("a", **more)))
        return state, list(await rig.records())

    state, records = play(scenario)
    return rig, state, records


def artifacts(rig: Rig, records: list[Record]) -> list[dict[str, Any]]:
    kept = [record.event.artifact for record in records if isinstance(record.event, ArtifactRecorded)]
    shas = [artifact.sha256 for artifact in kept if artifact.kind == "env_drift"]
    return [json.loads(DiskArtifacts(rig.tmp / "artifacts").path(str(sha)).read_text()) for sha in shas]


def test_w7_drift_falls_back_once_and_the_step_goes_on(tmp_path: Path) -> None:
    rig, state, records = whole(tmp_path, {("a", 1): drift()})
    assert state.status == "succeeded"
    attempts = run_view(records)["steps"][0]["attempts"]
    assert [(each["template"], each["outcome"]) for each in attempts] == [("python", "errored"), ("base", "succeeded")]
    assert attempts[0]["cause"]["code"] == "ENV_DRIFT"
    types = [type(record.event).__name__ for record in records]
    assert types.index("ArtifactRecorded") < types.index("EnvDrift") < types.index("TemplateFallback")
    (told,) = artifacts(rig, records)
    assert (told["decision"], told["fallback_template"], told["command_started"]) == ("fallback", "base", False)
    assert told["differences"] == [{"field": "image.id", "expected": "a", "observed": "b"}]
    assert ("go", "a", 1) not in rig.sandbox.calls
    assert drifted(state) == ("a: python (image.id)",)


def test_w7_a_second_drift_is_the_end(tmp_path: Path) -> None:
    scripts: dict[Any, Script] = {("a", 1): drift(), ("a", 2): drift("base", fallback_template="python")}
    retry = RetryPolicy(attempts=5, backoff_ms=0)
    rig, state, records = whole(tmp_path, scripts, retry=retry)
    assert state.status == "failed"
    view = run_view(records)
    assert view["failure"]["code"] == "ENV_DRIFT"
    assert len(view["steps"][0]["attempts"]) == 2
    assert [told["decision"] for told in artifacts(rig, records)] == ["fallback", "fail"]
    assert sum(isinstance(record.event, TemplateFallback) for record in records) == 1
    assert not any(verb == "go" for verb, *_ in rig.sandbox.calls)


def test_w7_a_fallback_that_is_not_there_is_no_way_out(tmp_path: Path) -> None:
    missing = Script(refuses=WfconsoleError("TEMPLATE_MISSING", "the image is gone", "wfconsole templates build base"))
    _, state, records = whole(
        tmp_path, {("a", 1): drift(), ("a", 2): missing}, retry=RetryPolicy(attempts=5, backoff_ms=0)
    )
    failure = run_view(records)["failure"]
    assert (state.status, failure["code"], failure["hint"]) == ("failed", "ENV_DRIFT", "wfconsole templates build base")
    assert len(run_view(records)["steps"][0]["attempts"]) == 2


def test_w7_policy_fail_tries_nothing_else(tmp_path: Path) -> None:
    rig, state, records = whole(tmp_path, {"a": drift(on_mismatch="fail")}, retry=RetryPolicy(attempts=3, backoff_ms=0))
    assert (state.status, run_view(records)["failure"]["code"]) == ("failed", "ENV_DRIFT")
    assert [verb for verb, *_ in rig.sandbox.calls] == ["prepare"]
    events = [record.event for record in records if isinstance(record.event, EnvDrift)]
    assert [(event.decision, event.fallback_template) for event in events] == [("fail", None)]


def test_the_store_and_the_state_take_one_fallback_a_step(tmp_path: Path) -> None:
    _, state, records = whole(tmp_path, {("a", 1): drift()})
    event = next(record.event for record in records if isinstance(record.event, TemplateFallback))
    again = Record(seq=state.seq + 1, at=state.at, correlation_id="c", actor=ENGINE, event=event)
    with pytest.raises(TransitionError, match="second fallback"):
        evolve(state, again)


def test_the_wire_form_of_both_events(tmp_path: Path) -> None:
    _, _, records = whole(tmp_path, {("a", 1): drift()})
    told = {
        document["type"]: document
        for record in records
        for document in [wire(record, run_id="r", name="n", version="1")]
    }
    assert told["env_drift"]["differences"] == [{"field": "image.id", "expected": "a", "observed": "b"}]
    assert (told["env_drift"]["command_started"], told["env_drift"]["artifact_id"]) == (False, "a#1/env_drift.json")
    assert (told["template_fallback"]["from_template"], told["template_fallback"]["to_template"]) == ("python", "base")
