"""What a patch of ``git diff --binary --full-index`` changes, counted and sampled for a card.

Owns the reading of git's patch format, whatever is in it: garbage gives a poorer summary, never an error. Refuses to know
what a change means; that is `risk`. The decision that would surprise: nothing is read line by line. Content lines always
carry a sign, so files and hunks are found, and lines counted, by searches over the whole text; 50 MB take a fraction of a second.

Paths and lines are text with what is no UTF-8 as lone surrogates (`surrogateescape`).
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from typing import Literal

from wfconsole.domain.plan import Json
from wfconsole.views.hunks import Hunks

Status = Literal["added", "deleted", "modified", "renamed", "mode"]
"""`mode`: the content is the same. `renamed`: the very same content under another path."""

Mask = Callable[[Sequence[str]], list[str]]
"""Makes lines fit to be shown; one line for each line given."""

LINK_MODE, MODULE_MODE = "120000", "160000"
_FILE = b"diff --git "
_BODY = (b"@@ ", b"GIT binary patch", b"Binary files ")
_KEYS = (
    b"old mode ", b"new mode ", b"deleted file mode ", b"new file mode ", b"index ", b"--- ", b"+++ ",
    b"rename from ", b"rename to ",
)  # fmt: skip
_EMPTY = {
    "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
    "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813",
}
_FULL_ID = 40
_LINE_SLACK = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffLimits:
    """How much of a diff a document repeats: lines and characters in all, lines of a file, characters of a line, files."""

    lines: int = 2000
    chars: int = 200_000
    file_lines: int = 400
    line_chars: int = 500
    files: int = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class FileChange:
    """One changed path. `sample` holds the first lines of its hunks, `cut` says that there are more than those.

    `old_path` is set for a rename only. Modes are git's six digits. `size` is the new length in bytes of a binary file, where
    the patch tells it. A file that became a link, or the reverse, is one `modified` with both modes.
    """

    path: str
    status: Status
    old_path: str | None = None
    old_mode: str | None = None
    new_mode: str | None = None
    binary: bool = False
    size: int | None = None
    added: int = 0
    removed: int = 0
    submodule: bool = False
    symlink: bool = False
    sample: tuple[str, ...] = ()
    cut: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffSummary:
    """All changes in the patch's order. `bytes` is the patch's length; `truncated`: not every line is in the samples."""

    files: tuple[FileChange, ...] = ()
    added: int = 0
    removed: int = 0
    files_changed: int = 0
    bytes: int = 0
    truncated: bool = False


@dataclass(slots=True)
class _Draft:
    """A change as it is read: the ids on its index line, and where its hunks lie."""

    path: str
    status: Status
    old_path: str | None = None
    old_mode: str | None = None
    new_mode: str | None = None
    old_id: str = ""
    new_id: str = ""
    binary: bool = False
    size: int | None = None
    added: int = 0
    removed: int = 0
    spans: list[tuple[int, int]] = field(default_factory=list)


def parse(patch: bytes, limits: DiffLimits | None = None, mask: Mask = list) -> tuple[DiffSummary, tuple[Hunks, ...]]:
    """The summary, and the text hunks for whoever has to look at all of them. `mask` sees every sampled line before it is cut."""
    drafts = _renames(_retyped([_read(patch, start, end) for start, end in _spans(patch)]))
    sampler = _Sampler(limits or DiffLimits(), mask)
    files = tuple(_change(patch, draft, sampler) for draft in drafts)
    hunks = tuple(
        Hunks(path=draft.path, patch=patch, start=start, end=end) for draft in drafts for start, end in draft.spans
    )
    summary = DiffSummary(
        files=files,
        added=sum(change.added for change in files),
        removed=sum(change.removed for change in files),
        files_changed=len(files),
        bytes=len(patch),
        truncated=any(change.cut for change in files),
    )
    return summary, hunks


def document(summary: DiffSummary, limits: DiffLimits | None = None) -> dict[str, Json]:
    """The summary as JSON for a card: files beyond the limit are counted, and `note` says what is not repeated here."""
    keep = (limits or DiffLimits()).files
    files = [_file_json(change) for change in summary.files[:keep]]
    left = summary.files_changed - len(files)
    cut = summary.truncated or left > 0
    more = f" {left} more files are only counted." if left > 0 else ""
    return {
        "changed": summary.files_changed > 0,
        "files_changed": summary.files_changed,
        "added": summary.added,
        "removed": summary.removed,
        "bytes": summary.bytes,
        "truncated": cut,
        "files": files,
        "note": f"Not all of the diff is repeated here.{more} The artifact is complete." if cut else None,
    }


def _file_json(change: FileChange) -> dict[str, Json]:
    whole = {part.name: getattr(change, part.name) for part in fields(FileChange)}
    return {**whole, "sample": list(change.sample)}


def _spans(patch: bytes) -> Iterator[tuple[int, int]]:
    start = 0 if patch.startswith(_FILE) else patch.find(b"\n" + _FILE) + 1
    if start == 0 and not patch.startswith(_FILE):
        return
    while start < len(patch):
        stop = patch.find(b"\n" + _FILE, start)
        end = stop + 1 if stop >= 0 else len(patch)
        yield start, end
        start = end


def _read(patch: bytes, start: int, end: int) -> _Draft:
    """One file's part of the patch."""
    first, told, body = _head(patch, start, end)
    old, new = _names(first, told)
    draft = _Draft(path=new, status="modified")
    draft.old_mode = _text(told, b"old mode ") or _text(told, b"deleted file mode ")
    draft.new_mode = _text(told, b"new mode ") or _text(told, b"new file mode ")
    ids, _, mode = (_text(told, b"index ") or "").partition(" ")
    draft.old_id, _, draft.new_id = ids.partition("..")
    if mode:
        draft.old_mode, draft.new_mode = mode, mode
    if b"new file mode " in told:
        draft.status = "added"
    elif b"deleted file mode " in told:
        draft.status, draft.path = "deleted", old
    elif b"rename to " in told:
        draft.status, draft.old_path = "renamed", old
    elif b"old mode " in told and not ids:
        draft.status = "mode"
    if patch.startswith(b"@@ ", body):
        draft.added, draft.removed = patch.count(b"\n+", body, end), patch.count(b"\n-", body, end)
        draft.spans.append((body, end))
    elif body < end:
        draft.binary, draft.size = True, _size(patch[body : body + 80])
    return draft


def _head(patch: bytes, start: int, end: int) -> tuple[bytes, dict[bytes, bytes], int]:
    """What follows ``diff --git``, the header's fields, and where the body begins."""
    told: dict[bytes, bytes] = {}
    stop = patch.find(b"\n", start, end)
    stop = stop if stop >= 0 else end
    first, at = patch[start + len(_FILE) : stop], stop + 1
    while at < end and not patch.startswith(_BODY, at):
        stop = patch.find(b"\n", at, end)
        stop = stop if stop >= 0 else end
        for key in _KEYS:
            if patch.startswith(key, at, end):
                told.setdefault(key, patch[at + len(key) : stop])
                break
        at = stop + 1
    return first, told, min(at, end)


def _size(body: bytes) -> int | None:
    words = body.split(b"\n")[1:2]
    number = words[0].removeprefix(b"literal ") if words else b""
    return int(number) if number.isdigit() else None


def _names(first: bytes, told: dict[bytes, bytes]) -> tuple[str, str]:
    """Old and new path. The first line names both without saying where one ends, so it is believed last."""
    both = _same_name(first)
    old = _unquoted(told.get(b"rename from ", b"")) or _side(told.get(b"--- ")) or both
    new = _unquoted(told.get(b"rename to ", b"")) or _side(told.get(b"+++ ")) or both
    return _decode(old), _decode(new)


def _side(name: bytes | None) -> bytes | None:
    if name is None or name == b"/dev/null":
        return None
    # git ends a name that has a space with a tab; a tab in a name is always quoted.
    return _unquoted(name.partition(b"\t")[0])[2:] or None


def _same_name(first: bytes) -> bytes:
    if first.startswith(b'"'):
        return _unquoted(first)[2:]
    length = (len(first) - len(b"a/ b/")) // 2
    name = first[2 : 2 + max(0, length)]
    return name if first == b"a/%b b/%b" % (name, name) else first.partition(b" ")[0][2:] or first


def _unquoted(name: bytes) -> bytes:
    """A name in C's quotes as its bytes; any other as it is."""
    if not name.startswith(b'"'):
        return name
    out, at = bytearray(), 1
    while at < len(name) and name[at : at + 1] != b'"':
        if name[at : at + 1] != b"\\":
            out += name[at : at + 1]
            at += 1
            continue
        digits = name[at + 1 : at + 4]
        if len(digits) == 3 and all(digit in b"01234567" for digit in digits):
            out.append(int(digits, 8) & 0xFF)
            at += 4
        else:
            out += _ESCAPES.get(digits[:1], digits[:1])
            at += 2
    return bytes(out)


_ESCAPES = {b"a": b"\a", b"b": b"\b", b"t": b"\t", b"n": b"\n", b"v": b"\v", b"f": b"\f", b"r": b"\r"}


def _decode(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _text(told: dict[bytes, bytes], key: bytes) -> str | None:
    return _decode(told[key]).strip() if key in told else None


def _retyped(drafts: list[_Draft]) -> list[_Draft]:
    """Git tells a file that became a link as a deletion and an addition of one path: make them one change."""
    gone = {draft.path: draft for draft in drafts if draft.status == "deleted"}
    out: list[_Draft] = []
    for draft in drafts:
        old = gone.get(draft.path) if draft.status == "added" else None
        if old is None:
            out.append(draft)
            continue
        old.status, old.new_mode, old.new_id = "modified", draft.new_mode, draft.new_id
        old.binary, old.size = old.binary or draft.binary, draft.size
        old.added, old.removed = old.added + draft.added, old.removed + draft.removed
        old.spans += draft.spans
    return out


def _renames(drafts: list[_Draft]) -> list[_Draft]:
    """Pair what was deleted with what was added under the same id: first by the last part of the path, then in order."""
    gone: dict[tuple[str, ...], deque[_Draft]] = defaultdict(deque)
    for draft in drafts:
        if draft.status == "deleted" and len(draft.old_id) >= _FULL_ID:
            gone[_key(draft.old_id, draft.old_mode, draft.path)].append(draft)
            gone[_key(draft.old_id, draft.old_mode)].append(draft)
    used: set[int] = set()
    for by_name in (True, False):
        for draft in drafts:
            # Empty files are all alike, so only the name tells that one was moved.
            if draft.status == "added" and (by_name or draft.new_id not in _EMPTY):
                name = draft.path if by_name else None
                old = _take(gone.get(_key(draft.new_id, draft.new_mode, name)), used)
                if old is not None:
                    draft.status, draft.old_path, draft.old_mode = "renamed", old.path, old.old_mode
                    draft.added, draft.spans = 0, []
    return [draft for draft in drafts if id(draft) not in used]


def _key(blob: str, mode: str | None, path: str | None = None) -> tuple[str, ...]:
    kind = (mode or "")[:3]
    return (blob, kind) if path is None else (blob, kind, path.rpartition("/")[2])


def _take(candidates: deque[_Draft] | None, used: set[int]) -> _Draft | None:
    while candidates:
        draft = candidates.popleft()
        if id(draft) not in used:
            used.add(id(draft))
            return draft
    return None


class _Sampler:
    """Hands out lines until the limits are reached."""

    def __init__(self, limits: DiffLimits, mask: Mask) -> None:
        self._limits, self._mask = limits, mask
        self._lines, self._chars = limits.lines, limits.chars

    def take(self, patch: bytes, spans: Sequence[tuple[int, int]]) -> tuple[tuple[str, ...], bool]:
        """The first lines of the hunks, and whether any line or part of one was left out."""
        limits, room = self._limits, min(self._lines, self._limits.file_lines)
        raw: list[bytes] = []
        cut = False
        for start, end in spans:
            at = start
            while at < end and len(raw) < room:
                stop = patch.find(b"\n", at, end)
                stop = stop if stop >= 0 else end
                raw.append(patch[at : min(stop, at + _LINE_SLACK)])
                cut = cut or stop - at > _LINE_SLACK
                at = stop + 1
            cut = cut or at < end
        sample: list[str] = []
        for line in self._mask([_decode(part) for part in raw]):
            if len(line) > self._chars:
                return tuple(sample), True
            sample.append(line[: limits.line_chars])
            cut = cut or len(line) > limits.line_chars
            self._lines, self._chars = self._lines - 1, self._chars - len(sample[-1])
        return tuple(sample), cut


def _change(patch: bytes, draft: _Draft, sampler: _Sampler) -> FileChange:
    sample, cut = sampler.take(patch, draft.spans)
    modes = (draft.old_mode, draft.new_mode)
    return FileChange(
        path=draft.path,
        status=draft.status,
        old_path=draft.old_path,
        old_mode=draft.old_mode,
        new_mode=draft.new_mode,
        binary=draft.binary,
        size=draft.size,
        added=draft.added,
        removed=draft.removed,
        submodule=MODULE_MODE in modes,
        symlink=LINK_MODE in modes,
        sample=sample,
        cut=cut,
    )
