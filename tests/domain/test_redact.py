"""The redactor: whatever the chunks, whatever the form, no byte sequence of a secret comes out."""

from __future__ import annotations

import base64
import html
import json
import textwrap
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.redact import SHORTEST, Redactor, forms

SECRET = b"s3cr/t+Value?&<x>"


def redact(data: bytes, *secrets: bytes) -> tuple[bytes, int]:
    redactor = Redactor(secrets or (SECRET,))
    return redactor.whole(data), redactor.count


def in_chunks(data: bytes, secrets: list[bytes], cuts: list[int]) -> tuple[bytes, int]:
    redactor = Redactor(secrets)
    out, at = b"", 0
    for cut in sorted(cut % (len(data) + 1) for cut in cuts):
        out += redactor.feed(data[at:cut])
        at = cut
    out += redactor.feed(data[at:])
    return out + redactor.finish(), redactor.count


def flat(data: bytes) -> bytes:
    return data.translate(None, b"\r\n")


@pytest.mark.parametrize(
    "shown",
    [
        SECRET, base64.b64encode(SECRET), base64.b64encode(b"x" + SECRET), base64.b64encode(b"xy" + SECRET + b"z"),
        base64.urlsafe_b64encode(b"user:" + SECRET), quote(SECRET).encode(), quote(SECRET, safe="").encode(),
        quote_plus(SECRET).encode(), quote(SECRET, safe="").lower().encode().replace(b"value", b"Value"),
        json.dumps(SECRET.decode()).encode(), html.escape(SECRET.decode()).encode(), SECRET.hex().encode(),
        b"\n".join(bytes([char]) for char in SECRET), base64.encodebytes(b"x" * 50 + SECRET),
        b"\r\n".join(SECRET.hex()[at : at + 9].encode() for at in range(0, len(SECRET) * 2, 9)),
    ],
)  # fmt: skip
def test_every_form_is_hidden_and_counted(shown: bytes) -> None:
    out, count = redact(b"before " + shown + b" after")
    assert count == 1
    assert b"***" in out
    assert out.startswith(b"before ")
    assert out.endswith(b" after")
    assert all(form not in flat(out) for form in forms(SECRET))


def test_a_json_escaped_secret_of_several_lines_is_hidden() -> None:
    pem = b'-----BEGIN KEY-----\n"quoted\\line" of it\n\xc3\xa4\xc3\xb6\xc3\xbc-umlauts\n-----END KEY-----\n'
    for shown in (
        json.dumps(pem.decode()),
        json.dumps(pem.decode(), ensure_ascii=False),
        textwrap.indent(pem.decode(), "+ "),
    ):
        out, count = redact(shown.encode(), pem)
        assert count
        assert b"umlauts" not in out
        assert b"quoted" not in out


def test_innocent_text_stays_byte_for_byte() -> None:
    data = bytes(range(256)) * 50 + b"\r\n\nline\n"
    assert redact(data) == (data, 0)


def test_line_breaks_inside_of_what_is_hidden_stay() -> None:
    out, count = redact(b"a" + SECRET[:5] + b"\n" + SECRET[5:] + b"\nb\n")
    assert (out, count) == (b"a***\n\nb\n", 1)


def test_overlapping_secrets_leave_nothing() -> None:
    out, _ = redact(b"<abcdefghijkl>", b"abcdefgh", b"efghijkl")
    assert out == b"<***>"


def test_a_secret_that_looks_like_the_mask_gets_another_mask() -> None:
    out, count = redact(b"x***bbbbby", b"aaaaaaaa", b"***bbbbb")
    assert (out, count) == (b"x[hidden]y", 1)


def test_every_byte_value_can_be_part_of_a_secret() -> None:
    assert redact(b"<" + bytes(range(256)) + b">", bytes(range(256)))[1] == 1


def test_too_short_a_secret_has_no_forms() -> None:
    assert forms(b"x" * (SHORTEST - 1) + b"\n") == frozenset()


def test_what_cannot_be_a_beginning_is_given_at_once() -> None:
    redactor = Redactor([SECRET])
    assert redactor.feed(b"a line\n") == b"a line\n"
    assert redactor.feed(b"s3cr") == b""
    assert redactor.feed(b"et!\n") == b"s3cret!\n"
    assert redactor.finish() == b""


def test_finds_looks_without_hiding() -> None:
    redactor = Redactor([SECRET])
    assert redactor.finds(b"..." + base64.b64encode(SECRET))
    assert not redactor.finds(b"nothing")
    assert redactor.count == 0


small = st.sampled_from([b"ab", b"ba", b"a", b"b", b"*", b"\n", b"c", b"A"])
secret = st.one_of(
    st.lists(st.sampled_from([b"a", b"b", b"*", b"c"]), min_size=8, max_size=12).map(b"".join),
    st.binary(min_size=8, max_size=20),
)


@given(st.lists(secret, min_size=1, max_size=3), st.data())
def test_no_secret_survives_any_chunking(secrets: list[bytes], data: st.DataObject) -> None:
    known = [form for each in secrets for form in forms(each)]
    pieces = [small, st.binary(max_size=9), st.sampled_from(secrets)]
    pieces += [st.sampled_from(sorted(known))] if known else []
    pieces += [st.sampled_from(secrets).flatmap(lambda s: st.integers(0, len(s)).map(lambda n: s[:n]))]
    stream = b"".join(data.draw(st.lists(st.one_of(pieces), max_size=12)))
    cuts = data.draw(st.lists(st.integers(0, 500), max_size=8))
    whole, count = redact(stream, *secrets)
    assert in_chunks(stream, secrets, cuts) == (whole, count)
    assert in_chunks(stream, secrets, list(range(len(stream)))) == (whole, count)
    assert [form for form in known if form in flat(whole)] == []
    assert (count == 0) == (whole == stream)
    assert whole.count(b"\n") == stream.count(b"\n")
    once_more = Redactor(secrets)
    assert once_more.whole(whole) == whole


@given(st.binary(min_size=8, max_size=40), st.binary(max_size=5), st.binary(max_size=5))
def test_base64_of_anything_around_a_secret_is_hidden(value: bytes, before: bytes, after: bytes) -> None:
    if not forms(value):
        return
    for encode in (base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes):
        out, count = redact(encode(before + value + after), value)
        assert count
        assert all(form not in flat(out) for form in forms(value))
