"""Hiding known secrets in a stream of bytes: whatever the chunks, no form of a secret comes out.

Owns the forms in which a secret is looked for: as it is, each of its lines, in base64 at all three alignments, in hex,
URL-encoded, and escaped for JSON and XML. Refuses to know where secrets come from and where the bytes go. The decision that
would surprise: line breaks are not seen when a form is looked for, so a secret that `base64`, `fold` or `xxd` broke over lines
is found; the line breaks inside of what is hidden stay, so that no line number after it changes.
"""

from __future__ import annotations

import base64
import json
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

SHORTEST = 8
"""Bytes of the shortest secret that is accepted: a shorter one would be found in innocent text, and can be guessed."""
MASKS = (b"***", b"[hidden]", b"<hidden>", b"#####", b"_____", b"~~~~~", b"=====", b"%%%%%", b"\x00\x00\x00")
_BREAKS = b"\r\n"
_BREAK = re.compile(rb"[\r\n]")


def forms(secret: bytes) -> frozenset[bytes]:
    """Every sequence of bytes, without line breaks, that gives the secret away. Empty when it is shorter than `SHORTEST`."""
    whole = secret.strip(b"\r\n\t ")
    found: set[bytes] = set()
    for part in {whole, *(line.strip() for line in whole.splitlines())}:
        if len(part) >= SHORTEST:
            found |= _forms(part)
    return frozenset(form for form in (each.translate(None, _BREAKS) for each in found) if len(form) >= SHORTEST)


def _forms(part: bytes) -> set[bytes]:
    found = {part, part.hex().encode(), part.hex().upper().encode(), *_base64(part)}
    for encoded in (quote(part, safe=""), quote(part), quote_plus(part)):
        found |= {encoded.encode(), re.sub("%..", lambda code: code[0].lower(), encoded).encode()}
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return found
    for escaped in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        found |= {escaped.encode(), escaped.replace("/", "\\/").encode()}
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    found |= {plain.encode(), plain.replace('"', "&quot;").encode(), _quoted(plain).encode()}
    return found


def _quoted(text: str) -> str:
    return text.replace('"', "&quot;").replace("'", "&#x27;")


def _base64(part: bytes) -> Iterator[bytes]:
    """The digits that depend on nothing but `part`, for each place that it can have in a group of three bytes."""
    for before in range(3):
        first = -(-before * 8 // 6)
        last = (before + len(part)) * 8 // 6
        digits = base64.b64encode(b"\0" * before + part)[first:last]
        yield digits
        yield digits.replace(b"+", b"-").replace(b"/", b"_")


class Redactor:
    """Hides `secrets` in the bytes given to `feed`. `count` is how many places have been hidden so far.

    `feed` keeps back only what may be the beginning of a form; `finish` gives the rest, and nothing may be fed after it. The
    result is the same for every way of cutting the stream into chunks. Raises ValueError when no mask is safe.
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        self._forms = sorted({form for secret in secrets for form in forms(secret)}, key=len)
        self._longest = len(self._forms[-1]) if self._forms else 0
        self._mask = next((mask for mask in MASKS if all(_apart(mask, form) for form in self._forms)), b"")
        if not self._mask:
            raise ValueError("the secrets leave no text that could stand for them")
        self._held = b""
        self._covered = 0
        self.count = 0

    def feed(self, data: bytes) -> bytes:
        return self._advance(self._held + data, last=False)

    def finish(self) -> bytes:
        return self._advance(self._held, last=True)

    def whole(self, data: bytes) -> bytes:
        """All of a stream at once."""
        return self.feed(data) + self.finish()

    def finds(self, data: bytes) -> bool:
        """Is any form in `data`?"""
        flat = data.translate(None, _BREAKS)
        return any(form in flat for form in self._forms)

    def _advance(self, buffer: bytes, *, last: bool) -> bytes:
        flat = buffer.translate(None, _BREAKS)
        spans = [(start, start + len(form)) for form in self._forms for start in _places(flat, form)]
        keep = len(flat) if last else self._open_end(flat)
        if not spans and not self._covered and keep == len(flat):
            self._held = b""
            return buffer
        raw = _Places(buffer, len(flat)).raw
        out, at, covered = [], 0, self._covered
        end = covered
        if covered:  # its mask is out already
            spans.append((0, covered))
        for start, stop in _merged(sorted(spans)):
            if start >= keep:
                break
            out.append(buffer[at : raw(start)])
            if start or not covered:
                out.append(self._mask)
                self.count += 1
            end, at = stop, raw(min(stop, keep) - 1) + 1
            out.append(_only_breaks(buffer[raw(start) : at]))
        cut = raw(keep)
        out.append(buffer[at:cut])
        self._covered = max(0, end - keep)
        self._held = buffer[cut:]
        return b"".join(out)

    def _open_end(self, flat: bytes) -> int:
        """Where the first form could begin that the end of `flat` cuts off."""
        tail = max(0, len(flat) - self._longest + 1)
        first = len(flat)
        for form in self._forms:
            start = max(tail, len(flat) - len(form) + 1)
            while (start := flat.find(form[:1], start, first)) >= 0:
                if form.startswith(flat[start:]):
                    first = start
                    break
                start += 1
        return first


class _Places:
    """From places in a buffer without its line breaks to places in the buffer."""

    def __init__(self, buffer: bytes, flat: int) -> None:
        self._length = len(buffer)
        self._flat = flat
        self._before = [match.start() - index for index, match in enumerate(_BREAK.finditer(buffer))]

    def raw(self, place: int) -> int:
        return self._length if place >= self._flat else place + bisect_right(self._before, place)


def _places(flat: bytes, form: bytes) -> Iterator[int]:
    """Where the form is, also where it overlaps itself."""
    at = flat.find(form)
    while at >= 0:
        yield at
        at = flat.find(form, at + 1)


def _merged(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Spans that overlap, as one."""
    open_start, open_stop = -1, -1
    for start, stop in spans:
        if start >= open_stop:
            if open_stop >= 0:
                yield open_start, open_stop
            open_start, open_stop = start, stop
        open_stop = max(open_stop, stop)
    if open_stop >= 0:
        yield open_start, open_stop


def _only_breaks(data: bytes) -> bytes:
    return b"".join(_BREAK.findall(data))


def _apart(mask: bytes, form: bytes) -> bool:
    """Can the form not appear where the mask was put, by ending or beginning inside of it?"""
    if mask in form or form in mask:
        return False
    return not any(form.startswith(mask[-n:]) or form.endswith(mask[:n]) for n in range(1, min(len(mask), len(form))))
