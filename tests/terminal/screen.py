"""A terminal of the tests' own: the bytes that a program wrote, in words, and the picture that they make.

Owns as much of a terminal as the console uses: places, erasing, one character a cell. A byte that fits no rule is kept as
stray, so that a test can say that there is none.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_WORD = re.compile(
    rb"(?P<csi>\x1b\[[0-?]*[ -/]*[@-~])"
    rb"|(?P<osc>\x1b\][^\x07\x1b]*(?:\x07|\x1b\\))"
    rb"|(?P<dcs>\x1b[PX^_][^\x1b]*\x1b\\)"
    rb"|(?P<esc>\x1b[ -/]*[0-Z\\^-~])"
    rb"|(?P<text>[^\x00-\x1f\x7f]+)"
    rb"|(?P<ctrl>[\x00-\x1a\x1c-\x1f\x7f])"
)


class Word(NamedTuple):
    """`kind`: csi osc dcs esc text ctrl, or stray for what is none of them."""

    kind: str
    data: bytes


def words(data: bytes) -> list[Word]:
    """Everything that was written, cut into sequences and text. A sequence that is cut off at the end is left out."""
    found, at = [], 0
    while at < len(data):
        match = _WORD.match(data, at)
        if match is None:
            if len(data) - at < 64 and data[at] == 0x1B:
                break
            found.append(Word("stray", data[at : at + 1]))
            at += 1
        else:
            found.append(Word(str(match.lastgroup), match[0]))
            at = match.end()
    return found


class Screen:
    """What is to be seen after `feed`; `alternate`, `cursor` and `modes` say how the terminal is left."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]
        self._x = self._y = 0
        self._rest = b""
        self.modes: dict[str, bool] = {}

    @property
    def lines(self) -> list[str]:
        return ["".join(row).rstrip() for row in self._cells]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self._cells = [[" "] * columns for _ in range(rows)]

    def feed(self, data: bytes) -> None:
        data = self._rest + data
        found = words(data)
        done = sum(len(word.data) for word in found)
        tail = data[done:]
        if found and found[-1].kind == "text" and found[-1].data[-1] >= 0x80 and not tail:
            whole = found.pop().data  # a character may be cut off
            keep = len(whole) - len(whole.decode("utf-8", "ignore").encode())
            tail = whole[len(whole) - keep :] if keep else b""
            found.append(Word("text", whole[: len(whole) - keep]))
        self._rest = tail
        for word in found:
            self._take(word)

    def _take(self, word: Word) -> None:
        if word.kind == "text":
            for char in word.data.decode("utf-8", "replace"):
                self._put(char)
        elif word.data == b"\r":
            self._x = 0
        elif word.data == b"\n":
            self._y = min(self._y + 1, self.rows - 1)
        elif word.kind == "csi":
            self._control(word.data[2:-1].decode(), chr(word.data[-1]))

    def _put(self, char: str) -> None:
        if self._x < self.columns and self._y < self.rows:
            self._cells[self._y][self._x] = char
        self._x += 1

    def _control(self, given: str, final: str) -> None:
        if final in "hl" and given.startswith("?"):
            for name in given[1:].split(";"):
                self.modes[name] = final == "h"
            if "1049" in given:
                self._cells = [[" "] * self.columns for _ in range(self.rows)]
            return
        numbers = [int(part) if part.isdigit() else 0 for part in given.split(";")]
        count = max(1, numbers[0])
        if final == "H":
            self._y, self._x = count - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1
        elif final in "AB":
            self._y = max(0, self._y + (count if final == "B" else -count))
        elif final in "CD":
            self._x = max(0, self._x + (count if final == "C" else -count))
        elif final == "J":
            self._cells = [[" "] * self.columns for _ in range(self.rows)]
        elif final == "K" and self._y < self.rows:
            self._cells[self._y][self._x :] = [" "] * max(0, self.columns - self._x)
