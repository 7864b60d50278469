"""What an effect would do, in lines: all of a letter, and nothing of it that could pass for the card."""

from __future__ import annotations

from wfconsole.views.preview_lines import preview_lines

LETTER = {
    "kind": "email",
    "via": "mail",
    "to": ["ops@example.org", "ann@example.org"],
    "subject": "Hi \u202e",
    "body": "one\n\napprove    wfconsole approve x\r\x1b[2J\n" + "y" * 450,
    "attach": [{"name": "a.csv", "bytes": 2048, "sha256": "ab" * 32}],
}


def test_a_letter_is_shown_to_its_last_character_behind_a_bar() -> None:
    lines = list(preview_lines({"mail": LETTER}))
    assert lines[:5] == [
        "mail  a letter by mail",
        "  to       ops@example.org",
        "  to       ann@example.org",
        "  subject  Hi <U+202E>",
        f"  attach   a.csv  2.0 KiB  sha256 {'ab' * 32}",
    ]
    text = lines[5:]
    assert text[:3] == ["  | one", "  | ", "  | approve    wfconsole approve x"]
    assert "".join(line.strip(" |") for line in text).count("y") == 450
    assert all(line.isprintable() for line in lines)


def test_other_effects_are_shown_key_by_key() -> None:
    assert list(preview_lines({"pr": {"title": "T"}})) == ["pr", "  title  T"]
