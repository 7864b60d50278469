"""Domain values to JSON and back, by their type annotations; the wire form of an event.

Owns the public shape of events and facts on disk and on stdout. Refuses to know where they go. Unions of dataclasses are told
apart by a ``kind``-less tag: the plan's bodies and the facts carry ``"type"``, events carry their wire name. Own code
because the libraries that do this cost 60-90 ms of import at the start of every command.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from wfconsole.domain.events import EVENT_TYPES, SCHEMA_VERSION, Record, wire_name
from wfconsole.domain.facts import AnyFact
from wfconsole.domain.moments import from_iso as from_iso, iso as iso  # noqa: PLC0414 - a codec has them
from wfconsole.domain.plan import Body, Json
from wfconsole.domain.records import Actor

_ENCODERS: dict[type, Callable[[Any], Json]] = {}
_DECODERS: dict[Any, Callable[[Json], Any]] = {}
_TAGGED: dict[str, type] = {wire_name(cls): cls for cls in (*get_args(Body), *get_args(AnyFact))}
FACT_TYPES: dict[str, type] = {wire_name(cls): cls for cls in get_args(AnyFact)}


_PLAIN, _ESCAPED = (
    json.JSONEncoder(ensure_ascii=escape, sort_keys=True, separators=(",", ":"), allow_nan=False)
    for escape in (False, True)
)


def canonical(value: Json) -> bytes:
    """Compact JSON, keys sorted, UTF-8: the bytes that digests are made of. Lone surrogates are escaped."""
    try:
        return _PLAIN.encode(value).encode()
    except UnicodeEncodeError:
        return _ESCAPED.encode(value).encode()


def to_json(value: object) -> Json:
    """A domain value as plain JSON. Members of the tagged unions carry ``"type"``; times stay milliseconds."""
    return _encoder(type(value))(value)


def from_json(annotation: Any, data: Json) -> Any:
    """Build what `annotation` says from JSON. Unknown keys are ignored, so that newer journals can be read."""
    return _decoder(annotation)(data)


def wire(record: Record, *, run_id: str, name: str, version: str) -> dict[str, Json]:
    """The public form of an event: envelope and payload in one flat object."""
    payload = to_json(record.event)
    payload.update(
        type=wire_name(type(record.event)),
        seq=record.seq,
        run_id=run_id,
        workflow_name=name,
        workflow_version=version,
        timestamp=iso(record.at),
        correlation_id=record.correlation_id,
        actor=to_json(record.actor),
        schema_version=SCHEMA_VERSION,
    )
    return dict(payload)


def record_from_wire(data: dict[str, Json]) -> Record:
    """The reverse of `wire`. KeyError for an event type that this version does not know."""
    return Record(
        seq=data["seq"],
        at=from_iso(data["timestamp"]),
        correlation_id=data["correlation_id"],
        actor=from_json(Actor, data["actor"]),
        event=from_json(EVENT_TYPES[data["type"]], data),
    )


def fact_to_json(fact: AnyFact) -> dict[str, Json]:
    return dict(to_json(fact))


def fact_from_json(data: dict[str, Json]) -> AnyFact:
    fact: AnyFact = from_json(FACT_TYPES[data["type"]], data)
    return fact


def _encoder(cls: type) -> Callable[[Any], Json]:
    found = _ENCODERS.get(cls)
    if found is None:
        found = _ENCODERS[cls] = _new_encoder(cls)
    return found


def _new_encoder(cls: type) -> Callable[[Any], Json]:
    if is_dataclass(cls):
        names = [field.name for field in fields(cls)]
        tag = wire_name(cls) if cls in _TAGGED.values() else None

        def encode(value: Any) -> Json:
            out = {name: _encoder(type(item := getattr(value, name)))(item) for name in names}
            if tag is not None:
                out["type"] = tag
            return out

        return encode
    if issubclass(cls, tuple | list):
        return lambda value: [_encoder(type(item))(item) for item in value]
    if issubclass(cls, dict):
        return lambda value: {key: _encoder(type(item))(item) for key, item in value.items()}
    return lambda value: value


def _decoder(annotation: Any) -> Callable[[Json], Any]:
    found = _DECODERS.get(annotation)
    if found is None:
        found = _DECODERS[annotation] = _new_decoder(annotation)
    return found


def _new_decoder(annotation: Any) -> Callable[[Json], Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is tuple:
        item = _decoder(arguments[0])
        return lambda data: tuple(item(element) for element in data)
    if origin is list:
        item = _decoder(arguments[0])
        return lambda data: [item(element) for element in data]
    if origin is dict:
        item = _decoder(arguments[1])
        return lambda data: {key: item(element) for key, element in data.items()}
    if origin is Literal or not isinstance(annotation, type):
        return lambda data: data
    if is_dataclass(annotation):
        return _dataclass(annotation)
    return lambda data: data


def _union(arguments: tuple[Any, ...]) -> Callable[[Json], Any]:
    classes = [argument for argument in arguments if is_dataclass(argument)]
    others = [argument for argument in arguments if argument is not type(None) and argument not in classes]
    if not classes:
        inner = _decoder(others[0]) if len(others) == 1 else lambda data: data
        return lambda data: None if data is None else inner(data)
    if len(classes) == 1 and not others:
        only = _decoder(classes[0])
        return lambda data: None if data is None else only(data)
    by_tag = {wire_name(cls): cls for cls in classes if isinstance(cls, type)}
    return lambda data: None if data is None else _decoder(by_tag[data["type"]])(data)


def _dataclass(cls: Any) -> Callable[[Json], Any]:
    hints = get_type_hints(cls)
    plan = [(field.name, _decoder(hints[field.name])) for field in fields(cls)]
    required = {f.name for f in fields(cls) if f.default is MISSING and f.default_factory is MISSING}

    def decode(data: Json) -> Any:
        values = {name: read(data[name]) for name, read in plan if name in data}
        missing = required - values.keys()
        if missing:
            raise ValueError(f"{cls.__name__}: missing {', '.join(sorted(missing))}")
        return cls(**values)

    return decode
