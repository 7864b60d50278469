"""Logs are cut into the same lines however their bytes arrive."""

from __future__ import annotations

import re

from hypothesis import given, strategies as st

from wfconsole.views.log_text import MAX_LINE, LineCutter, matches, shown


def cut(chunks: list[bytes]) -> list[bytes]:
    cutter = LineCutter()
    return [line for chunk in chunks for line in cutter.feed(chunk)] + cutter.rest()


@given(st.lists(st.binary(max_size=30)))
def test_lines_do_not_depend_on_where_the_pieces_end(chunks: list[bytes]) -> None:
    lines = cut(chunks)
    assert b"".join(lines) == b"".join(chunks)
    assert lines == cut([b"".join(chunks)])
    assert all(line.endswith(b"\n") for line in lines[:-1])
    assert all(b"\n" not in line[:-1] for line in lines)


def test_exec_block_18_bytes_that_are_no_utf8_are_shown() -> None:
    assert shown(b"caf\xe9 \xff\n") == "caf\\xe9 \\xff"


def test_escape_sequences_are_shown_and_not_run() -> None:
    assert shown(b"\x1b[2J\x1b]52;c;AAAA\x07\n") == "␛[2J␛]52;c;AAAA␇"


def test_a_line_without_end_costs_no_memory() -> None:
    cutter = LineCutter()
    pieces = cutter.feed(b"x" * (3 * MAX_LINE + 5))
    assert [len(piece) for piece in pieces] == [MAX_LINE] * 3
    assert cutter.rest() == [b"xxxxx"]


def test_grep_looks_at_the_text_without_its_line_end() -> None:
    pattern = re.compile("ed$")
    assert matches(pattern, b"failed\r\n")
    assert not matches(pattern, b"edge\n")
    assert matches(None, b"")
