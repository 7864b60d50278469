"""Loading: recipe bytes to a positioned tree, with everything that YAML offers and a recipe must not use refused.

Owns the size and depth caps and the refusals of aliases, anchors, tags, merge keys, duplicate keys, NUL and directives. Refuses
to know the recipe language. The one decision that would surprise: the tree is built from parser events with a stack of its
own, so neither the depth nor the aliases of a hostile text can cost more than reading it; nothing is ever constructed.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from wfconsole.compiler.findings import Finding, Path, Place, written
from wfconsole.compiler.tree import Broken, Document, Listing, Node, Scalar, Table, is_refused_number

MAX_BYTES = 256 * 1024
MAX_DEPTH = 32
_MAX_FINDINGS = 200


@dataclass(slots=True, kw_only=True)
class _Open:
    """A collection whose end has not been read yet."""

    place: Place
    is_table: bool
    path: Path = ()
    items: list[Node] = field(default_factory=list)
    entries: list[tuple[Scalar, Node]] = field(default_factory=list)
    seen: dict[str, Place] = field(default_factory=dict)
    key: Scalar | Broken | None = None


class _Loader:
    """Builds the tree; keeps the findings."""

    def __init__(self, file: str, text: str) -> None:
        self.file = file
        self.text = text
        self.findings: list[Finding] = []
        self.stack: list[_Open] = []
        self.root: Node | None = None

    def refuse(self, place: Place, path: Path, message: str, hint: str = "") -> Broken:
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(_finding(self.file, place, path, message, hint))
        return Broken(place=place)

    def path(self) -> Path:
        """The path of the value that comes next."""
        if not self.stack:
            return ()
        top = self.stack[-1]
        if not top.is_table:
            return (*top.path, len(top.items))
        return (*top.path, top.key.text) if isinstance(top.key, Scalar) else top.path

    def build(self, events: Iterator[Any]) -> Document | None:
        documents = 0
        for event in events:
            name = type(event).__name__
            place = _place(event)
            if name == "DocumentStartEvent":
                documents += 1
                if documents > 1:
                    self.refuse(place, (), "a second document", "a recipe is one YAML document; give each its own file")
                    break
                if event.version or event.tags:
                    self.refuse(place, (), "a % directive", "recipes are YAML 1.2 without directives; remove the line")
            elif not self.take(name, event, place):
                return None
        if self.root is None:
            self.refuse(Place(), (), "the recipe is empty", "start with `recipe: NAME` and `steps:`")
            return None
        return Document(file=self.file, text=self.text, root=self.root)

    def take(self, name: str, event: Any, place: Place) -> bool:
        """One event of the document's content; False when nothing more may be read."""
        if name in {"SequenceStartEvent", "MappingStartEvent"}:
            self.refuse_properties(event, place)
            if len(self.stack) >= MAX_DEPTH:
                self.refuse(place, self.path(), f"nested deeper than {MAX_DEPTH} levels", "flatten it")
                return False
            self.stack.append(_Open(place=place, is_table=name[0] == "M", path=self.path()))
        elif name in {"SequenceEndEvent", "MappingEndEvent"}:
            top = self.stack.pop()
            closed: Node = (
                Table(entries=tuple(top.entries), place=top.place)
                if top.is_table
                else Listing(items=tuple(top.items), place=top.place)
            )
            self.put(closed)
        elif name == "AliasEvent":
            hint = "recipes take no aliases; write the value out, or use `defaults`"
            self.put(self.refuse(place, self.path(), f"an alias (*{event.anchor})", hint))
        elif name == "ScalarEvent":
            self.put(self.scalar(event, place))
        return True

    def scalar(self, event: Any, place: Place) -> Scalar | Broken:
        self.refuse_properties(event, place)
        text, style = str(event.value), event.style
        if any(char == "\0" or "\ud800" <= char <= "\udfff" for char in text):
            return self.refuse(place, self.path(), "a character that text cannot carry (NUL or a lone surrogate)")
        node = Scalar(
            text=text, plain=style is None or style == "", literal=style == "|", place=place,
            start=event.start_mark.index, end=event.end_mark.index,
        )  # fmt: skip
        if node.plain and is_refused_number(text):
            return self.refuse(place, self.path(), f"the number {text[:60]}", "quote it if it is text")
        return node

    def refuse_properties(self, event: Any, place: Place) -> None:
        if event.anchor is not None:
            self.refuse(place, self.path(), f"an anchor (&{event.anchor})", "recipes take no anchors; remove it")
        if event.tag is not None:
            self.refuse(place, self.path(), f"a tag ({event.tag})", "recipes take no tags; remove it")

    def put(self, node: Node) -> None:
        """A finished node goes where it belongs: root, item, key or value."""
        if not self.stack:
            self.root = node
            return
        top = self.stack[-1]
        if not top.is_table:
            top.items.append(node)
        elif top.key is None:
            top.key = self.as_key(node, top)
        else:
            if isinstance(top.key, Scalar):
                top.entries.append((top.key, node))
            top.key = None

    def as_key(self, node: Node, top: _Open) -> Scalar | Broken:
        if isinstance(node, Broken):
            return node
        if not isinstance(node, Scalar):
            return self.refuse(node.place, top.path, "a key that is a collection", "keys are names")
        path = (*top.path, node.text)
        if node.plain and node.text == "<<":
            return self.refuse(node.place, top.path, "a merge key (<<)", "write the keys out, or use `defaults`")
        if not isinstance(node.value, str):
            return self.refuse(node.place, path, f"the key {node.text or 'null'} is not text", "quote it")
        if node.text in top.seen:
            first = top.seen[node.text]
            message = f"the key '{node.text}' a second time"
            return self.refuse(node.place, path, message, f"it was given in line {first.line}; keep one")
        top.seen[node.text] = node.place
        return node


def load(data: bytes, *, file: str) -> tuple[Document | None, tuple[Finding, ...]]:
    """The tree of `data` and what was refused; None when there is no tree to go on with. Never raises."""
    if len(data) > MAX_BYTES:
        message = f"the recipe has {len(data)} bytes; the limit is {MAX_BYTES}"
        return None, (_finding(file, Place(), (), message, "move data into `files` or inputs"),)
    text = _decoded(data, file)
    if isinstance(text, Finding):
        return None, (text,)
    loader = _Loader(file, text)
    try:
        document = loader.build(_events(text))
    except Exception as error:  # noqa: BLE001 (whatever the YAML library raises on hostile text is one finding)
        place, message = _syntax_error(error)
        loader.refuse(place, loader.path(), message, _syntax_hint(message))
        document = None
    return document, tuple(loader.findings)


def _decoded(data: bytes, file: str) -> str | Finding:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        place = Place(line=before.count(b"\n") + 1, column=column)
        return _finding(file, place, (), "not UTF-8 text", "save the file as UTF-8")
    at = text.find("\0")
    if at >= 0:
        place = Place(line=text.count("\n", 0, at) + 1, column=at - text.rfind("\n", 0, at))
        return _finding(file, place, (), "a NUL character", "remove it")
    return text


def _events(text: str) -> Iterator[Any]:
    from ruamel.yaml import YAML  # noqa: PLC0415 (30 ms that only reading a recipe should pay)

    yaml = YAML(typ="safe", pure=True)
    yaml.version = (1, 2)
    events: Iterator[Any] = yaml.parse(io.StringIO(text))
    return events


def _place(event: Any) -> Place:
    mark = event.start_mark
    return Place(line=mark.line + 1, column=mark.column + 1)


def _syntax_error(error: Exception) -> tuple[Place, str]:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    place = Place(line=mark.line + 1, column=mark.column + 1) if mark is not None else Place()
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    if not problem:
        return place, "not readable as YAML"
    return place, f"not readable as YAML: {problem}"


def _syntax_hint(message: str) -> str:
    if "mapping values are not allowed" in message:
        return "quote text that contains ': '"
    if "\\t" in message or "tab" in message:
        return "indent with spaces"
    return "check the indentation and the quotes here"


def _finding(file: str, place: Place, path: Path, message: str, hint: str) -> Finding:
    return Finding(
        severity="error",
        file=file,
        line=place.line,
        column=place.column,
        path=written(path),
        message=message,
        hint=hint,
    )
