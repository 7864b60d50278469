"""Loading recipe text: what YAML offers and a recipe must not use is refused with its place; nothing crashes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings, strategies as st

from wfconsole.compiler.load import MAX_BYTES, MAX_DEPTH, load
from wfconsole.compiler.tree import Scalar, Table, plain
from wfconsole.domain.plan import Json


def value(text: str) -> Json:
    document, findings = load(text.encode(), file="r.yaml")
    assert findings == ()
    assert document is not None
    return plain(document.root)


def said(data: bytes) -> list[tuple[int, int, str]]:
    _, findings = load(data, file="r.yaml")
    assert all(finding.code == "RECIPE_INVALID" and finding.file == "r.yaml" for finding in findings)
    return [(finding.line, finding.column, finding.message) for finding in findings]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: on", "on"), ("a: no", "no"), ("a: y", "y"), ("a: 012", 12), ("a: 0o12", 10), ("a: 0x1F", 31), ("a: +3", 3),
        ("a: 1_000", "1_000"), ("a: 1.50", 1.5), ("a: 1e3", 1000.0), ("a: .5", 0.5), ("a: ~", None), ("a:", None),
        ("a: True", True), ("a: FALSE", False), ("a: tRUE", "tRUE"), ("a: '3'", "3"), ('a: "true"', "true"),
        ("a: 2024-01-01", "2024-01-01"), ("a: 12:30:45", "12:30:45"), ("a: |\n  x\n  y\n", "x\ny\n"), ("a: =", "="),
    ],
)  # fmt: skip
def test_scalars_follow_the_yaml_1_2_core_schema(text: str, expected: Json) -> None:
    found = value(text)["a"]
    assert found == expected
    assert type(found) is type(expected)


def test_every_key_and_value_has_its_place() -> None:
    document, _ = load(b"recipe: a\nsteps:\n  unit:\n    run: [x, yy]\n", file="r.yaml")
    assert document is not None
    assert isinstance(document.root, Table)
    key, steps = document.root.entries[1]
    assert (key.place.line, key.place.column) == (2, 1)
    assert isinstance(steps, Table)
    assert (steps.place.line, steps.place.column) == (3, 3)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"a: 1\nb: 2\na: 3\n", (3, 1, "the key 'a' a second time")),
        (b"a: &x 1\n", (1, 4, "an anchor (&x)")),
        (b"a: 1\nb: *x\n", (2, 4, "an alias (*x)")),
        (b"a: !!str 1\n", (1, 4, "a tag (tag:yaml.org,2002:str)")),
        (b"a: !python/object:os.system x\n", (1, 4, "a tag (!python/object:os.system)")),
        (b"a:\n  <<: {b: 1}\n", (2, 3, "a merge key (<<)")),
        (b"a: 1\n? [x]\n: 2\n", (2, 3, "a key that is a collection")),
        (b"1: 2\n", (1, 1, "the key 1 is not text")),
        (b"a: .inf\n", (1, 4, "the number .inf")),
        (b"a: " + b"9" * 50, (1, 4, "the number " + "9" * 50)),
        (b"a: x\0y\n", (1, 5, "a NUL character")),
        (b'a: "x\\0y"\n', (1, 4, "a character that text cannot carry (NUL or a lone surrogate)")),
        (b"a: 1\nb: \xff\n", (2, 4, "not UTF-8 text")),
        (b"", (1, 1, "the recipe is empty")),
        (b"# only a comment\n", (1, 1, "the recipe is empty")),
        (b"a: 1\n--- \nb: 1\n", (2, 1, "a second document")),
        (b"a: b: c\n", (1, 5, "not readable as YAML: mapping values are not allowed here")),
    ],
)
def test_what_a_recipe_must_not_use_is_refused_at_its_place(data: bytes, expected: tuple[int, int, str]) -> None:
    assert said(data) == [expected]


def test_all_refusals_are_found_in_one_go() -> None:
    places = said(b"a: &x 1\na: 2\nb: *x\nc: !!int 3\n<<: {}\n")
    assert [(line, message.split(" (")[0]) for line, _, message in places] == [
        (1, "an anchor"), (2, "the key 'a' a second time"), (3, "an alias"), (4, "a tag"), (5, "a merge key"),
    ]  # fmt: skip


def test_a_recipe_that_is_too_large_is_refused_unread() -> None:
    assert said(b"a" * (MAX_BYTES + 1)) == [(1, 1, f"the recipe has {MAX_BYTES + 1} bytes; the limit is {MAX_BYTES}")]


@pytest.mark.parametrize("opening", [b"[", b"{a: ", b"- ", b"{? "])
def test_nesting_is_refused_at_the_cap(opening: bytes) -> None:
    (finding,) = load(opening * 5000, file="r.yaml")[1]
    assert finding.message == f"nested deeper than {MAX_DEPTH} levels"


def test_a_billion_laughs_costs_nothing() -> None:
    lines = [b"a0: &a0 [x, x]"] + [b"a%d: &a%d [*a%d, *a%d]" % (n, n, n - 1, n - 1) for n in range(1, 60)]
    assert len(said(b"\n".join(lines))) == 60 + 59 * 2


def test_places_are_found_inside_quoted_and_block_text() -> None:
    document, _ = load(b"a: 'x|y'\nb: |\n    one\n    two|z\nc: x\n", file="r.yaml")
    assert document is not None
    assert isinstance(document.root, Table)
    quoted, block, _ = (node for _, node in document.root.entries)
    assert isinstance(quoted, Scalar)
    assert isinstance(block, Scalar)
    place = document.place_in(quoted, 1)
    assert (place.line, place.column) == (1, 6)
    place = document.place_in(block, block.text.index("|"))
    assert (place.line, place.column) == (4, 8)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co"])),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc-_. ", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text("abcdef", min_size=1), json_values, min_size=1, max_size=4))
def test_json_is_yaml(document: dict[str, Json]) -> None:
    loaded, findings = load(json.dumps(document, ensure_ascii=False).encode(), file="r.yaml")
    assert [str(finding) for finding in findings] == []
    assert loaded is not None
    assert plain(loaded.root) == document


@given(st.binary(max_size=300))
@settings(max_examples=300)
def test_no_bytes_crash_the_loader(data: bytes) -> None:
    document, findings = load(data, file="r.yaml")
    assert document is not None or findings


@given(st.text("ab:-[]{}&*!|>'\"%@`#,?~<\n \t\\0", max_size=80))
@settings(max_examples=500)
def test_no_punctuation_crashes_the_loader(text: str) -> None:
    document, findings = load(text.encode(), file="r.yaml")
    assert document is not None or findings
