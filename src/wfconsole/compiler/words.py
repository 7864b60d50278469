"""Splitting the text of a `run` item into commands and arguments, as a shell would and without one.

Owns quotes, backslashes, comments and line ends. Refuses to expand anything. The one decision that would surprise: an
expression is one unit while splitting, wherever it stands, so its value can never add an argument; and what only a shell
could carry out (``| & ; < > $ *`` outside quotes) is reported instead of being passed on as text.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.compiler.templates import ESCAPED, OPEN, Expression, Part, end_of_expression, template
from wfconsole.domain.plan import Json

NEEDS_SHELL = frozenset("|&;<>$*")
_IN_DOUBLE = frozenset('$`"\\')


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something at character `offset`: a `refusal`, or a mere warning."""

    offset: int
    message: str
    hint: str
    refusal: bool = True


@dataclass(slots=True)
class Splitter:
    """One pass over the text; `commands` and `remarks` are its result."""

    text: str
    commands: list[tuple[Json, ...]] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    expressions: list[Expression] = field(default_factory=list)
    _at: int = 0
    _word: list[Part] | None = None
    _words: list[Json] = field(default_factory=list)
    _quote: str = ""
    _quote_at: int = 0

    def split(self) -> Splitter:
        while self._at < len(self.text):
            if self.text.startswith(ESCAPED, self._at):
                self._add(OPEN)
                self._at += len(ESCAPED)
            elif self.text.startswith(OPEN, self._at):
                self._expression()
            elif self._quote:
                self._quoted(self.text[self._at])
            else:
                self._bare(self.text[self._at])
        if self._quote:
            hint = "close the quote, or write \\' for an apostrophe"
            self._remark(f"a quote ({self._quote}) that is never closed", hint, at=self._quote_at)
        self._end_command()
        return self

    def _expression(self) -> None:
        end = end_of_expression(self.text, self._at + len(OPEN))
        source = "" if end is None else self.text[self._at + len(OPEN) : end].strip()
        if end is None or not source:
            self._remark("'${{' without its '}}'" if end is None else "an empty expression", "write ${{ NAME }}")
            self._at = len(self.text) if end is None else end + 2
            return
        expression = Expression(source=source, offset=self._at)
        self.expressions.append(expression)
        self._word = [*(self._word or []), expression]
        self._at = end + 2

    def _quoted(self, char: str) -> None:
        following = self.text[self._at + 1 : self._at + 2]
        if char == self._quote:
            self._quote = ""
        elif char == "\\" and self._quote == '"' and following == "\n":
            self._at += 1
        elif char == "\\" and self._quote == '"' and following and following in _IN_DOUBLE:
            self._add(following)
            self._at += 1
        else:
            if char == "$" and self._quote == '"' and (following.isalpha() or following in {"_", "{", "("}):
                self._remark("'$' stays as written: no shell runs this", "use ${{ }} or `shell`", refusal=False)
            self._add(char)
        self._at += 1

    def _bare(self, char: str) -> None:
        following = self.text[self._at + 1 : self._at + 2]
        if char == "\n":
            self._end_command()
        elif char.isspace():
            self._end_word()
        elif char in "'\"":
            self._quote, self._quote_at = char, self._at
            self._add("")
        elif char == "\\":
            if following and following != "\n":
                self._add(following)
            self._at += 1
        elif char == "#" and self._word is None:
            end = self.text.find("\n", self._at)
            self._at = len(self.text) if end < 0 else end
            return
        else:
            if char in NEEDS_SHELL:
                hint = f"no shell runs `run`: quote it ('{char}'), write the command as a list, or use `shell`"
                self._remark(f"'{char}' outside quotes", hint)
            self._add(char)
        self._at += 1

    def _add(self, text: str) -> None:
        word = self._word if self._word is not None else []
        if word and isinstance(word[-1], str):
            word[-1] += text
        else:
            word.append(text)
        self._word = word

    def _end_word(self) -> None:
        if self._word is not None:
            self._words.append(template(tuple(part for part in self._word if part != "")))
        self._word = None

    def _end_command(self) -> None:
        self._end_word()
        if self._words:
            self.commands.append(tuple(self._words))
        self._words = []

    def _remark(self, message: str, hint: str, *, at: int | None = None, refusal: bool = True) -> None:
        offset = self._at if at is None else at
        self.remarks.append(Remark(offset=offset, message=message, hint=hint, refusal=refusal))
