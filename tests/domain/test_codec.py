"""The wire form: every event and every fact comes back as it went, the bytes are one and the same, newer journals are read."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields
from typing import Any, get_args

import pytest
from hypothesis import given, settings, strategies as st

from wfconsole.domain.codec import (
    FACT_TYPES,
    canonical,
    fact_from_json,
    fact_to_json,
    from_iso,
    from_json,
    iso,
    record_from_wire,
    to_json,
    wire,
)
from wfconsole.domain.events import EVENT_TYPES, SCHEMA_VERSION, Event, Record, RunCreated, StepBackingOff, wire_name
from wfconsole.domain.facts import AnyFact, TakeRun
from wfconsole.domain.lineage import Taken
from wfconsole.domain.plan import (
    AVAILABLE_KINDS,
    Body,
    CheckBody,
    CommandPolicy,
    EmailBody,
    GroupBody,
    InputSpec,
    Limits,
    Need,
    OtherBody,
    OutputSpec,
    Plan,
    RecipeRef,
    RetryPolicy,
    RunBody,
    SetBody,
    ShellBody,
    StepPlan,
)
from wfconsole.domain.policy.drift import Difference
from wfconsole.domain.records import ENGINE, Actor, ArtifactRecord, CommandRecord, FailureCause, StreamRef

MORE = settings(max_examples=25, deadline=None)
ENVELOPE = {
    "type", "seq", "run_id", "workflow_name", "workflow_version", "timestamp", "correlation_id", "actor", "schema_version",
}  # fmt: skip

texts = st.text(max_size=4)
numbers = st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False, width=32)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.dictionaries(texts, values, max_size=2)
streams = st.none() | st.builds(StreamRef, path=texts, bytes=st.integers(0))
commands = st.builds(
    CommandRecord,
    index=st.integers(0, 9),
    argv=st.lists(texts, max_size=2).map(tuple),
    cwd=texts,
    exit_code=st.none() | st.integers(0, 255),
    error=st.none() | texts,
    warnings=st.lists(texts, max_size=2).map(tuple),
    stdout=streams,
)
causes = st.builds(FailureCause, code=texts, message=texts, hint=texts, details=objects)
artifacts = st.builds(
    ArtifactRecord,
    artifact_id=texts,
    step_id=st.none() | texts,
    attempt=st.none() | st.integers(1, 9),
    name=texts,
    kind=st.sampled_from(["file", "diff", "none"]),
    sha256=st.none() | texts,
    bytes=st.none() | st.integers(0),
)
bodies: dict[type, st.SearchStrategy[Any]] = {
    RunBody: st.builds(RunBody, commands=st.lists(st.lists(values, max_size=2).map(tuple), max_size=2).map(tuple)),
    ShellBody: st.builds(ShellBody, script=texts),
    SetBody: st.builds(SetBody, values=objects),
    CheckBody: st.just(CheckBody(rules=())),
    GroupBody: st.builds(GroupBody, members=st.lists(texts, max_size=2).map(tuple)),
    EmailBody: st.builds(EmailBody, via=texts, to=values, subject=values, body=values, attach=values),
    OtherBody: st.builds(OtherBody, data=values),
}
steps = st.builds(
    StepPlan,
    step_id=texts,
    kind=st.sampled_from(sorted(AVAILABLE_KINDS)),
    body=st.one_of(list(bodies.values())),
    needs=st.lists(st.builds(Need, step=texts, statuses=st.just(("done",))), max_size=1).map(tuple),
    when=st.none() | texts,
    retry=st.builds(RetryPolicy, attempts=st.integers(1, 5), jitter=st.floats(0, 1)),
    env=objects,
    outputs=st.lists(st.builds(OutputSpec, name=texts, value=values), max_size=1).map(tuple),
    reports=st.dictionaries(texts, texts, max_size=1),
    network=values,
)
plans = st.builds(
    Plan,
    recipe=st.builds(RecipeRef, name=texts, version=texts, digest=texts, origin=texts),
    text=texts,
    steps=st.lists(steps, max_size=2).map(tuple),
    inputs=st.lists(st.builds(InputSpec, name=texts, type=st.just("path"), default=values), max_size=1).map(tuple),
    state=objects,
    limits=st.builds(Limits, timeout_ms=st.none() | st.integers(1), cost_usd=st.none() | st.floats(0, 9)),
    commands=st.builds(CommandPolicy, deny=st.lists(texts, max_size=1).map(tuple)),
    outputs=objects,
    manual_retry=values,
)
taken = st.builds(
    Taken, step_id=texts, reused_from=texts, outputs=objects, artifacts=st.lists(artifacts, max_size=2).map(tuple)
)
inputs_declared = st.builds(InputSpec, name=texts, type=st.just("path"), default=values)
for kind, strategy in (
    (InputSpec, inputs_declared),
    (Taken, taken),
    (CommandRecord, commands),
    (FailureCause, causes),
    (ArtifactRecord, artifacts),
    (Plan, plans),
    (Difference, st.builds(Difference, field=texts, expected=values, observed=values)),
    (Actor, st.builds(Actor, user=texts, host=texts, surface=texts, ssh=st.none() | texts)),
):
    st.register_type_strategy(kind, strategy)
ALL = {**EVENT_TYPES, **FACT_TYPES}


def any_of(cls: type) -> st.SearchStrategy[Any]:
    """Values of `cls`: Hypothesis infers the plain fields; those that hold JSON are told here."""
    told: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(cls):
        if field.name in {"inputs", "outputs", "answer", "payload", "start"}:
            told[field.name] = objects
        elif field.name in {"resolved", "context", "default", "on_reject"}:
            told[field.name] = values
        elif field.type in {"float | None", "float"}:
            told[field.name] = st.none() | st.floats(allow_nan=False, allow_infinity=False)
        elif field.name in {"artifacts", "commands"}:
            told[field.name] = st.lists(artifacts if field.name == "artifacts" else commands, max_size=2).map(tuple)
        elif field.default is MISSING and field.default_factory is MISSING:
            continue
        elif field.type == "tuple[str, ...]":
            told[field.name] = st.lists(texts, max_size=2).map(tuple)
    optional = [
        f.name for f in fields(cls) if f.name not in told and (f.default, f.default_factory) != (MISSING, MISSING)
    ]
    return st.builds(cls, **told, **dict.fromkeys(optional, ...))


def as_record(event: Event, seq: int = 1, at: int = 0) -> Record:
    return Record(seq=seq, at=at, correlation_id="c", actor=ENGINE, event=event)


def as_wire(record: Record) -> dict[str, Any]:
    return wire(record, run_id=getattr(record.event, "run_id", "r1"), name="n", version="v")


def test_the_wire_names_are_those_of_the_contract() -> None:
    assert wire_name(StepBackingOff) == "step_backing_off"
    assert set(EVENT_TYPES) >= {
        "run_created", "run_started", "run_pausing", "run_paused", "run_resumed", "run_awaiting_approval", "run_succeeded",
        "run_failed", "run_cancelled", "step_started", "step_succeeded", "step_failed", "step_skipped", "step_cancelled",
        "step_backing_off", "step_blocked", "attempt_abandoned", "artifact_recorded", "command_refused", "command_warned",
        "owner_changed", "event_channel_failed",
    }  # fmt: skip
    assert set(EVENT_TYPES.values()) == set(get_args(Event))
    assert set(FACT_TYPES.values()) == set(get_args(AnyFact))
    assert len(ALL) == len(EVENT_TYPES) + len(FACT_TYPES)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_no_payload_hides_the_envelope(name: str) -> None:
    clash = {field.name for field in fields(EVENT_TYPES[name])} & ENVELOPE
    assert clash <= ({"run_id"} if name == "run_created" else set())


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
@MORE
@given(data=st.data())
def test_every_event_comes_back_from_the_wire(name: str, data: st.DataObject) -> None:
    event = data.draw(any_of(EVENT_TYPES[name]))
    record = Record(
        seq=data.draw(st.integers(1, 9)),
        at=data.draw(st.integers(0, 4_000_000_000_000)),
        correlation_id=data.draw(texts),
        actor=data.draw(st.from_type(Actor)),
        event=event,
    )
    line = canonical(as_wire(record))
    back = record_from_wire(json.loads(line))
    assert back == record
    assert type(back.event) is EVENT_TYPES[name]
    assert canonical(as_wire(back)) == line


@pytest.mark.parametrize("name", sorted(FACT_TYPES))
@MORE
@given(data=st.data())
def test_every_fact_comes_back_from_the_inbox(name: str, data: st.DataObject) -> None:
    fact = data.draw(any_of(FACT_TYPES[name]))
    line = canonical(fact_to_json(fact))
    back = fact_from_json(json.loads(line))
    assert back == fact
    assert type(back) is FACT_TYPES[name]


@pytest.mark.parametrize("cls", bodies, ids=lambda cls: cls.__name__)
@MORE
@given(data=st.data())
def test_every_body_comes_back_as_its_own_class(cls: type, data: st.DataObject) -> None:
    body = data.draw(bodies[cls])
    back = from_json(Body, json.loads(canonical(to_json(body))))
    assert back == body
    assert type(back) is cls


@MORE
@given(st.sampled_from(sorted(EVENT_TYPES)), st.data())
def test_keys_of_a_newer_version_are_ignored_at_every_depth(name: str, data: st.DataObject) -> None:
    record = as_record(data.draw(any_of(EVENT_TYPES[name])))
    line = as_wire(record) | {"of_a_newer_version": [1]}
    line["actor"] = line["actor"] | {"badge": 7}
    if name == "run_created":
        line["plan"] = line["plan"] | {"flavour": "x"}
    assert record_from_wire(line) == record


def test_an_event_of_a_newer_version_is_told_by_its_type() -> None:
    line = as_wire(as_record(EVENT_TYPES["run_paused"]()))
    with pytest.raises(KeyError, match="run_teleported"):
        record_from_wire(line | {"type": "run_teleported"})


def test_a_missing_field_is_named() -> None:
    with pytest.raises(ValueError, match="TakeRun: missing at, owner"):
        fact_from_json({"type": "take_run", "fact_id": "x"})


def test_missing_fields_with_defaults_are_filled_in() -> None:
    assert fact_from_json({"type": "take_run", "fact_id": "x", "at": 1, "owner": "me"}) == TakeRun(
        fact_id="x", at=1, owner="me"
    )


def test_st_wf_004_2_the_envelope_has_the_required_fields() -> None:
    made_of = Plan(recipe=RecipeRef(name="n", version="v", digest="d", origin="o"), text="", steps=())
    created = RunCreated(run_id="r1", workflow_id="w", trace_id="t", plan=made_of)
    line = wire(as_record(created, seq=4, at=1_700_000_000_123), run_id="r1", name="n", version="v")
    assert {key: line[key] for key in ENVELOPE} == {
        "type": "run_created",
        "seq": 4,
        "run_id": "r1",
        "workflow_name": "n",
        "workflow_version": "v",
        "timestamp": "2023-11-14T22:13:20.123Z",
        "correlation_id": "c",
        "actor": {"user": "wfconsole", "host": "", "surface": "engine", "ssh": None},
        "schema_version": SCHEMA_VERSION,
    }


@given(objects)
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    shuffled = dict(reversed(value.items()))
    assert canonical(value) == canonical(shuffled)
    assert json.loads(canonical(value)) == value
    assert b"\n" not in canonical(value)


def test_canonical_bytes_are_compact_sorted_utf_8() -> None:
    assert canonical({"b": [1, 2.5, None], "a": "é"}) == '{"a":"é","b":[1,2.5,null]}'.encode()


def test_a_lone_surrogate_is_escaped_and_comes_back() -> None:
    value = {"out": "x\udcff"}
    assert canonical(value) == b'{"out":"x\\udcff"}'
    assert json.loads(canonical(value)) == value


def test_what_json_has_no_word_for_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        canonical({"x": float("nan")})


@given(st.integers(0, 4_000_000_000_000))
def test_a_time_comes_back_to_the_millisecond(at: int) -> None:
    assert from_iso(iso(at)) == at
    assert len(iso(at)) == 24
