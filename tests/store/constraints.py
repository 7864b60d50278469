"""Every constraint of the tables by name, and for each the statements that make the same tables without it; triggers likewise.

    python -m tests.store.constraints    # {"tables": {NAME: statements}, "triggers": {NAME: {TRIGGER: statement}}}

Read from what SQLModel declares, so that a new constraint is here by itself. Two kinds are left out because they are nothing of
their own: NOT NULL of a key's column (in a STRICT table the primary key implies it; for `id INTEGER` NULL means the next number),
and the table of Alembic, which is Alembic's.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    create_mock_engine,
)
from sqlalchemy.dialects import sqlite
from sqlmodel import SQLModel

from wfconsole.store import tables
from wfconsole.store.triggers import TRIGGERS

Removal = Callable[[MetaData], None]
_NAMED = {UniqueConstraint: "unique", CheckConstraint: "check"}


def removals() -> dict[str, Removal]:
    """What takes each constraint out of a copy of the metadata, by the constraint's name."""
    return {name: removal for table in _copy().tables.values() for name, removal in _of(table)}


def statements(removal: Removal = lambda _: None) -> tuple[str, ...]:
    """The statements of `tables.ddl`, without a constraint."""
    metadata = _copy()
    removal(metadata)
    out: list[str] = []

    def keep(statement: Any, *_: Any, **__: Any) -> None:
        out.append(" ".join(str(statement.compile(dialect=sqlite.dialect())).split()))

    metadata.create_all(create_mock_engine("sqlite://", keep), checkfirst=False)
    return tuple(out)


def _copy() -> MetaData:
    assert tables.JournalRow.__tablename__ == "journal"
    metadata = MetaData()
    for table in SQLModel.metadata.tables.values():
        table.to_metadata(metadata)
    return metadata


def _of(table: Table) -> Iterator[tuple[str, Removal]]:
    name = table.name
    yield f"strict {name}", lambda found: _loose(found.tables[name])
    yield f"primary key {name}", lambda found: _keyless(found, name)
    for constraint in table.constraints:
        if kind := _NAMED.get(type(constraint)):
            yield f"{kind} {constraint.name}", _without(name, f"{kind} {constraint.name}")
        elif isinstance(constraint, ForeignKeyConstraint):
            yield _reference(constraint), _without(name, _reference(constraint))
    for index in table.indexes:
        yield f"index {index.name}", _without(name, f"index {index.name}")
    for column in table.columns:
        if not column.nullable and not column.primary_key:
            yield f"not null {name}.{column.name}", _nullable(column)


def _reference(key: ForeignKeyConstraint) -> str:
    return f"foreign key {key.table.name} ({', '.join(key.column_keys)})"


def _without(table: str, wanted: str) -> Removal:
    def remove(metadata: MetaData) -> None:
        found = metadata.tables[table]
        for constraint in list(found.constraints):
            kind = _NAMED.get(type(constraint))
            name = (
                _reference(constraint) if isinstance(constraint, ForeignKeyConstraint) else f"{kind} {constraint.name}"
            )
            if name == wanted:
                found.constraints.remove(constraint)
        found.indexes -= {index for index in found.indexes if f"index {index.name}" == wanted}

    return remove


def _nullable(column: Column[Any]) -> Removal:
    table, name = column.table.name, column.name

    def remove(metadata: MetaData) -> None:
        metadata.tables[table].columns[name].nullable = True

    return remove


def _loose(table: Table) -> None:
    table.dialect_options["sqlite"]["strict"] = False


def _keyless(metadata: MetaData, name: str) -> None:
    """Without its key a table can be neither clustered nor referred to."""
    table = metadata.tables[name]
    for column in table.primary_key.columns:
        column.primary_key = False
    table.append_constraint(PrimaryKeyConstraint())
    table.dialect_options["sqlite"]["with_rowid"] = True
    for other in metadata.tables.values():
        for key in list(other.foreign_key_constraints):
            if key.referred_table is table:
                other.constraints.remove(key)


def weakened() -> dict[str, dict[str, str]]:
    """All triggers but for one, or with one that looks at less: without a condition of several, or a column of several."""
    found: dict[str, dict[str, str]] = {}
    for name, text in TRIGGERS.items():
        found[f"trigger {name}"] = {each: other for each, other in TRIGGERS.items() if each != name}
        for lost, less in (*_fewer_conditions(text), *_fewer_columns(text)):
            found[f"trigger {name} without {lost}"] = {**TRIGGERS, name: less}
    return found


def _fewer_columns(text: str) -> Iterator[tuple[str, str]]:
    if columns := re.search(r"UPDATE OF ([\w, ]+) ON", text):
        names = columns[1].split(", ")
        for name in names if len(names) > 1 else ():
            yield name, text.replace(columns[1], ", ".join(each for each in names if each != name), 1)


def _fewer_conditions(text: str) -> Iterator[tuple[str, str]]:
    """Every member of every chain of ORs, and the text without it."""
    start, end = text.find("WHEN ") + len("WHEN "), text.find(" BEGIN SELECT")
    if not text.startswith("WHEN ", start - len("WHEN ")):
        return
    for first, last in _groups(text, start, end):
        parts = _split(text[first:last])
        if len(parts) > 1:
            head = parts[0].rpartition("WHERE ")
            kept = "".join(head[:2])
            members = [head[2], *parts[1:]]
            for lost in members:
                rest = " OR ".join(each for each in members if each is not lost)
                yield lost, f"{text[:first]}{kept}{rest}{text[last:]}"


def _groups(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where the condition, and each pair of parentheses in it, begins and ends."""
    yield start, end
    opened: list[int] = []
    for place in range(start, end):
        if text[place] == "(":
            opened.append(place + 1)
        elif text[place] == ")":
            yield opened.pop(), place


def _split(text: str) -> list[str]:
    """The members of the chain of ORs that is not in parentheses."""
    parts, depth, begun = [], 0, 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth == 0 and text.startswith(" OR ", place):
            parts.append(text[begun:place])
            begun = place + len(" OR ")
    return [*parts, text[begun:]]


if __name__ == "__main__":
    without = {name: statements(removal) for name, removal in removals().items()}
    json.dump({"tables": without, "triggers": weakened()}, sys.stdout)
