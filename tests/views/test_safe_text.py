"""Nothing that a terminal obeys gets through, and what was there can be seen."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given, strategies as st

from wfconsole.views.safe_text import safe_json, safe_text

any_text = st.text(st.characters(exclude_categories=()), max_size=200)


@given(any_text)
def test_no_control_character_ever_comes_out(text: str) -> None:
    shown = safe_text(text)
    assert shown.isprintable()
    assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in shown)


@given(any_text)
def test_safe_text_is_safe_already(text: str) -> None:
    assert safe_text(safe_text(text)) == safe_text(text)


@given(any_text, st.integers(0, 50))
def test_the_cap_holds_for_what_is_shown(text: str, limit: int) -> None:
    assert len(safe_text(text, limit=limit)) <= limit


@given(any_text)
def test_only_asked_for_line_feeds_survive(text: str) -> None:
    shown = safe_text(text, newlines=True)
    assert shown.replace("\n", "").isprintable()
    assert shown.count("\n") == text.count("\n")


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;owned\x07", "␛]0;owned␇"),
        ("a\r\nb", "a␍␊b"),
        ("\x9b31m", "\\x9b31m"),
        ("\x7f", "␡"),
        ("\u202eevil", "<U+202E>evil"),
        ("a\u200bb", "a<U+200B>b"),
        ("\udcff", "\\xff"),
        ("\ud800", "<U+D800>"),
        ("a\tb", "a       b"),
        ("é ✓ 日本", "é ✓ 日本"),
    ],
)
def test_what_was_there_can_be_seen(text: str, shown: str) -> None:
    assert safe_text(text) == shown


@given(st.text(st.characters(codec="utf-8")))
def test_json_for_a_terminal_has_the_same_value_and_nothing_to_obey(text: str) -> None:
    escaped = safe_json(json.dumps(text, ensure_ascii=False))
    assert escaped.isprintable()
    assert json.loads(escaped) == text
