"""What a gate shows, part by part, and whether all of it was shown: the tabs of the card.

Owns the order of the parts, the words of each line, and the rule that a verdict needs all evidence to have been on the screen.
Refuses to know terminals. The decision that would surprise: every line has a label of ours and a text of anybody's, kept
apart, so that whoever draws it can put a border between what the card says and what the run says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from wfconsole.domain.plan import Json
from wfconsole.views.approval_card import head_lines, part_lines
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import plural

_LABEL = 11
_BRIEF = ("diff", "tests", "risk")
_WIDE = 1000
RISK_GLYPHS = {"low": "-", "medium": "+", "high": "!"}


class Told(NamedTuple):
    """One line: `label` is ours, `text` is safe but untrusted, `role` names its look."""

    label: str
    text: str
    role: str = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One tab. `count` is said beside its name: files of a diff."""

    key: str
    lines: tuple[Told, ...]
    count: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Which parts were on the screen, and the digest of what they showed."""

    digest: str | None = None
    keys: frozenset[str] = frozenset()

    def add(self, digest: str | None, key: str) -> Shown:
        """One more part was shown; another digest begins anew."""
        return Shown(digest=digest, keys=(self.keys if digest == self.digest else frozenset()) | {key})


def evidence(view: Mapping[str, Json], gate: Mapping[str, Json]) -> tuple[Part, ...]:
    """The parts that this gate has, the summary first. A gate is an entry of ``approvals[]``."""
    context = gate["context"] if isinstance(gate["context"], dict) else {}
    told = dict(part_lines(view["run_id"], gate, hunks=False))
    missing = told.pop("not shown", [])
    parts = [Part(key="summary", lines=tuple(_summary(view, gate, told, missing)))]
    for key, lines in told.items():
        count = _files(context) if key == "diff" else None
        parts.append(Part(key=key, lines=tuple(_rows(key, lines)), count=count))
    return tuple(parts)


def _files(context: Mapping[str, Json]) -> int | None:
    diff = context.get("diff")
    return int(diff["files_changed"]) if isinstance(diff, dict) and "files_changed" in diff else None


def _summary(
    view: Mapping[str, Json], gate: Mapping[str, Json], told: Mapping[str, list[str]], missing: list[str]
) -> Iterator[Told]:
    yield Told("asks", safe_text(gate["title"], limit=_WIDE), "note")
    for line in head_lines(view, gate):
        yield _told(line[:_LABEL].strip(), line[_LABEL:], _head_role(line, gate))
    for key in _BRIEF:
        if told.get(key):
            first = _whole(told[key]) if key == "tests" else told[key][0]
            yield _told(_BRIEF_NAMES.get(key, key), first, risk_role(first) if key == "risk" else "text")
    for line in told.get("command", ())[:1]:
        yield _told("command", line, "risk-high")
    for line in missing:
        yield Told("not shown", line, "note")


_BRIEF_NAMES = {"diff": "changes"}


def _told(label: str, text: str, role: str) -> Told:
    return Told(label, safe_text(text, limit=_WIDE), role)


def _whole(lines: list[str]) -> str:
    """The line that sums up, where there are several summaries; else the first."""
    return next((line for line in lines if line.startswith("in all: ")), lines[0])


def _head_role(line: str, gate: Mapping[str, Json]) -> str:
    return str(gate["status"]) if line.startswith("status") else "text"


def _rows(key: str, lines: list[str]) -> Iterator[Told]:
    for line in lines:
        yield _told("", line, _role(key, line))


def _role(key: str, line: str) -> str:
    if key == "risk":
        return risk_role(line)
    if key == "tests" and line.startswith("  failing"):
        return "failed"
    if key == "diff":
        return {"A ": "diff-add", "D ": "diff-del"}.get(line[:2], "text")
    return "text"


def risk_role(line: str) -> str:
    """The role of a line of the risk part, by the level that it begins with."""
    level = line.partition(" ")[0]
    if level in RISK_GLYPHS:
        return f"risk-{level}"
    return "muted" if line.startswith(" ") else "text"


def risk_word(level: str | None) -> str:
    """``! high``; a dash for a card without a risk."""
    return "-" if level is None else f"{RISK_GLYPHS.get(level, '?')} {level}"


def unseen(parts: tuple[Part, ...], shown: Shown, digest: str | None) -> tuple[str, ...]:
    """Keys of the parts that were not shown as they are now, in their order."""
    seen = shown.keys if shown.digest == digest else frozenset()
    return tuple(part.key for part in parts if part.key not in seen)


def unseen_sentence(keys: tuple[str, ...]) -> str:
    """Why nothing can be decided yet; empty when all was shown."""
    return f"not all evidence was shown: {', '.join(keys)}" if keys else ""


def changed_sentence(gate_id: str) -> str:
    return f"what gate {gate_id} shows has changed: look at all of it again"


def approvals_text(gate: Mapping[str, Json], approved: int) -> str:
    """``1 of 2 approvals`` where several are wanted, else nothing."""
    count = int(gate["approvers"]["count"])
    return f"{approved} of {plural(count, 'approval')}" if count > 1 else ""
