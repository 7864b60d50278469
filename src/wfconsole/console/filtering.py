"""The line in which one types a filter: shown by `/`, gone with esc, applied while one types.

Owns how a filter reads: an expression of `runs --query` where it is one, else words that must all occur; ``!word`` must not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import Input

if TYPE_CHECKING:
    from wfconsole.domain.plan import Json

Keep: TypeAlias = "Callable[[Mapping[str, Json], str], bool]"
"""``keep(document, text)``: `text` is what the row shows."""


def parse_filter(typed: str) -> Keep:
    """What to keep; an expression when it parses as one, else words."""
    if any(sign in typed for sign in "=~<>"):
        from wfconsole.views.query import QueryError, parse_query

        try:
            query = parse_query(typed)
        except QueryError:
            pass
        else:
            return lambda document, _: query.matches(document)
    words = typed.lower().split()
    return lambda _, text: all(_fits(word, text.lower()) for word in words)


def _fits(word: str, text: str) -> bool:
    return word[1:] not in text if word.startswith("!") and len(word) > 1 else word in text


class FilterLine(Input):
    """Posts `Changed` as one types and when it is cleared; hidden while empty and without focus."""

    DEFAULT_CSS = """
    FilterLine { border: none; height: 1; padding: 0 1; background: $surface; display: none; }
    FilterLine.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "clear_filter", "Clear", show=False)]

    class Filtered(Message):
        """The filter is another now."""

        def __init__(self, typed: str) -> None:
            super().__init__()
            self.typed = typed

    class Done(Message):
        """Enter with what was typed, or esc with None."""

        def __init__(self, typed: str | None) -> None:
            super().__init__()
            self.typed = typed

    def __init__(
        self, placeholder: str = "words, !word, or an expression: status = failed and input.repo ~ api"
    ) -> None:
        super().__init__(placeholder=placeholder, compact=True, id="filter", select_on_focus=False)

    def open(self) -> None:
        self.add_class("-open")
        self.focus()

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        self.post_message(self.Filtered(event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self._leave(event.value)

    def action_clear_filter(self) -> None:
        self.value = ""
        self._leave(None)

    def _leave(self, typed: str | None) -> None:
        if not self.value:
            self.remove_class("-open")
        self.screen.focus_next("LineList")
        self.post_message(self.Done(typed))
