"""Shapes of what a step executes: the commands of `run` and the script of `shell`.

Owns the two spellings of a command, text and list. Refuses to know the command policy. The one decision that would
surprise: a list directly under `run` is a list of commands, so ``run: [pytest, -q]`` is refused at ``-q`` with the cure.
"""

from __future__ import annotations

from collections.abc import Sequence

from wfconsole.compiler.findings import Path
from wfconsole.compiler.reading import Reading
from wfconsole.compiler.shapes import Text, text_of, wrong
from wfconsole.compiler.templates import OPEN
from wfconsole.compiler.tree import Broken, Listing, Node, Scalar
from wfconsole.compiler.words import Splitter
from wfconsole.domain.plan import Json

_WORD = Text(templated=True, as_written=True)
_NESTED = "a command is text or one list of arguments; nothing nests deeper"


class Commands:
    """`run`: text whose lines are commands, or a list whose items are text or argv lists."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        if isinstance(node, Scalar):
            commands = _from_text(node, path, reading)
        elif isinstance(node, Listing):
            commands = [argv for index, item in enumerate(node.items) for argv in _item(item, (*path, index), reading)]
        else:
            return wrong(node, path, reading, "a command", 'write `run: pytest -q` or `run: [[pytest, "-q"]]`')
        if not commands:
            if isinstance(node, Listing) and not node.items:
                reading.report(node.place, path, "no command", "write what is to run")
            return None
        return tuple(commands)

    def schema(self) -> dict[str, Json]:
        argv = {"type": "array", "minItems": 1, "items": {"type": ["string", "number"]}}
        items = {"anyOf": [{"type": "string", "pattern": "^[^-]"}, argv]}
        return {"anyOf": [{"type": "string", "minLength": 1}, {"type": "array", "minItems": 1, "items": items}]}


class Script:
    """`shell`: a script. It takes no expressions: values reach it by `env`."""

    def read(self, node: Node, path: Path, reading: Reading) -> Json:
        text = text_of(node, path, reading, "a script")
        if text is None or not isinstance(node, Scalar):
            return None
        if OPEN in text:
            place = reading.document.place_in(node, text.find(OPEN))
            hint = "pass the value by `env` and read it as $NAME"
            return reading.report(place, path, "`shell` takes no expressions", hint)
        if not text.strip():
            return reading.report(node.place, path, "an empty script", "write what is to run")
        return text

    def schema(self) -> dict[str, Json]:
        return {"type": "string", "minLength": 1}


def _item(node: Node, path: Path, reading: Reading) -> list[tuple[Json, ...]]:
    reading.note(node, path)
    match node:
        case Scalar():
            if node.text.startswith("-"):
                hint = "each item is a command of its own; for arguments write [[program, argument]]"
                reading.report(node.place, path, f"a command that starts with '-' ({node.text[:40]})", hint)
                return []
            return _from_text(node, path, reading)
        case Listing():
            argv = _from_list(node, path, reading)
            return [argv] if argv else []
        case Broken():
            return []
        case _:
            wrong(node, path, reading, "a command", "quote text that contains ': '")
            return []


def _from_list(node: Listing, path: Path, reading: Reading) -> tuple[Json, ...]:
    if not node.items:
        reading.report(node.place, path, "an empty command", "write the program and its arguments")
    argv: list[Json] = []
    for index, item in enumerate(node.items):
        at = (*path, index)
        reading.note(item, at)
        if not isinstance(item, Scalar):
            wrong(item, at, reading, "an argument", _NESTED)
            continue
        word = _WORD.read(item, at, reading)
        if index == 0 and isinstance(word, str) and (not word.strip() or word.startswith("-")):
            reading.report(item.place, at, f"'{word}' cannot be a program", "the first item names the program")
        argv.append(word)
    _note_literal(argv, path, reading)
    return tuple(argv)


def _from_text(node: Scalar, path: Path, reading: Reading) -> list[tuple[Json, ...]]:
    text = text_of(node, path, reading, "a command")
    if text is None:
        return []
    done = Splitter(text).split()
    for remark in done.remarks:
        place = reading.document.place_in(node, remark.offset)
        reading.report(place, path, remark.message, remark.hint, severity="error" if remark.refusal else "warning")
    for expression in done.expressions:
        reading.use(expression.source, node, expression.offset, path)
    if not done.commands and not done.remarks:
        reading.report(node.place, path, "no command", "write what is to run")
    for argv in done.commands:
        if isinstance(argv[0], str) and (not argv[0].strip() or argv[0].startswith("-")):
            reading.report(node.place, path, f"'{argv[0]}' cannot be a program", "a command starts with its program")
        _note_literal(argv, path, reading)
    return done.commands


def _note_literal(argv: Sequence[Json], path: Path, reading: Reading) -> None:
    """Remember a command without expressions: the command policy can judge it before any run."""
    if argv and all(isinstance(word, str) for word in argv):
        reading.literals.append((tuple(argv), path, reading.value_place(path)))
