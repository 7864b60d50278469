"""Patches of real git, read: what changed, how, and how many lines; and garbage, which gives less but never an error."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest
from hypothesis import given, strategies as st

from wfconsole.domain.codec import canonical
from wfconsole.views.diff import DiffLimits, FileChange, document, parse

Change = Callable[..., bytes]


def by_path(patch: bytes) -> dict[str, FileChange]:
    summary, _ = parse(patch)
    assert summary.files_changed == len(summary.files)
    assert summary.bytes == len(patch)
    return {one.path: one for one in summary.files}


def test_added_deleted_and_modified_files_are_counted_by_line(change: Change) -> None:
    patch = change(
        {"gone": b"a\nb\n", "same": b"x", "mod": b"1\n2\n3\n"},
        {"new": b"n\n", "same": b"x", "mod": b"1\n+two\n-3\n4\n"},
    )
    found = by_path(patch)
    assert {path: (one.status, one.added, one.removed) for path, one in found.items()} == {
        "gone": ("deleted", 0, 2),
        "new": ("added", 1, 0),
        "mod": ("modified", 3, 2),
    }
    assert found["mod"].sample == ("@@ -1,3 +1,4 @@", " 1", "-2", "-3", "++two", "+-3", "+4")
    assert not found["mod"].cut
    summary, _ = parse(patch)
    assert (summary.added, summary.removed, summary.truncated) == (4, 4, False)


def test_the_same_content_under_another_path_is_a_rename(change: Change) -> None:
    text = b"".join(b"line %d\n" % number for number in range(50))
    patch = change(
        {"old/a.py": text, "old/b.py": text, "empty": b"", "x/__init__.py": b""},
        {"new/b.py": text, "new/c.py": text, "void": b"", "y/__init__.py": b""},
    )
    found = by_path(patch)
    assert (found["new/b.py"].status, found["new/b.py"].old_path) == ("renamed", "old/b.py")
    assert (found["new/c.py"].status, found["new/c.py"].old_path) == ("renamed", "old/a.py")
    assert (found["new/c.py"].added, found["new/c.py"].sample) == (0, ())
    # Empty files are all alike: only one that keeps its name was moved.
    assert found["y/__init__.py"].old_path == "x/__init__.py"
    assert (found["void"].status, found["empty"].status) == ("added", "deleted")
    assert parse(patch)[1] == ()


def test_a_copy_is_no_rename_and_a_rename_keeps_its_modes(change: Change) -> None:
    found = by_path(change({"a": b"t\n"}, {"a": b"t\n", "b": b"t\n"}))
    assert found["b"].status == "added"
    found = by_path(change({"a": b"t\n"}, {"b": ("100755", b"t\n")}))
    assert (found["b"].status, found["b"].old_mode, found["b"].new_mode) == ("renamed", "100644", "100755")
    link = by_path(change({"a": b"t"}, {"b": ("120000", b"t")}))
    assert {one.status for one in link.values()} == {"added", "deleted"}


def test_a_rename_that_git_told_is_read(change: Change) -> None:
    patch = (
        b'diff --git "a/o\\303\\244 \\"x" b/n w\nsimilarity index 90%\nrename from "o\\303\\244 \\"x"\nrename to n w\n'
        b'index 1111111..2222222 100644\n--- "a/o\\303\\244 \\"x"\n+++ b/n w\t\n@@ -1 +1 @@\n-a\n+b\n'
    )
    [one] = by_path(patch).values()
    assert (one.status, one.old_path, one.path, one.added, one.removed) == ("renamed", 'oä "x', "n w", 1, 1)


def test_modes_links_and_submodules(change: Change) -> None:
    commit, other = b"1" * 40, b"2" * 40
    patch = change(
        {"run": b"x\n", "both": b"x\n", "link": ("120000", b"a"), "file": b"now\n", "sub": ("160000", commit)},
        {
            "run": ("100755", b"x\n"), "both": ("100755", b"y\n"), "link": ("120000", b"b"), "file": ("120000", b"/etc/passwd"),
            "sub": ("160000", other), "sub2": ("160000", commit),
        },
    )  # fmt: skip
    found = by_path(patch)
    assert (found["run"].status, found["run"].old_mode, found["run"].new_mode) == ("mode", "100644", "100755")
    assert (found["both"].status, found["both"].added) == ("modified", 1)
    assert found["link"].symlink
    assert not found["link"].submodule
    assert (found["file"].status, found["file"].old_mode, found["file"].new_mode) == ("modified", "100644", "120000")
    assert found["file"].sample[-2:] == ("+/etc/passwd", "\\ No newline at end of file")
    assert found["sub"].submodule
    assert found["sub"].status == "modified"
    assert (found["sub2"].submodule, found["sub2"].status) == (True, "added")


def test_binary_files_are_skipped_with_their_size(change: Change) -> None:
    noise = random.Random(1).randbytes(300_000)
    patch = change({"b": b"\0old", "c": b"\0"}, {"b": b"\0old and new", "a": noise, "z": b"text\n"})
    found = by_path(patch)
    assert (found["a"].binary, found["a"].size, found["a"].status) == (True, 300_000, "added")
    assert (found["a"].added, found["a"].sample) == (0, ())
    assert (found["b"].binary, found["b"].status) == (True, "modified")
    assert found["c"].status == "deleted"
    assert (found["z"].added, found["z"].binary) == (1, False)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain with spaces b/x", "plain with spaces b/x"),
        (b'quote"back\\slash', 'quote"back\\slash'),
        (b'"starts', '"starts'),
        (b"tab\tnew\nline\r", "tab\tnew\nline\r"),
        ("söurce/日本".encode(), "söurce/日本"),
        (b"latin\xff\xfe/\x01", "latin\udcff\udcfe/\x01"),
        (b"a/b/dev/null", "a/b/dev/null"),
        (b"trailing ", "trailing "),
    ],
)
@pytest.mark.parametrize("content", [b"", b"x\n", b"\0"], ids=["empty", "text", "binary"])
def test_odd_names_come_back_byte_by_byte(change: Change, name: bytes, shown: str, content: bytes) -> None:
    for patch, status in (
        (change({"k": b"k"}, {"k": b"k", name: content}), "added"),
        (change({name: content}, {}), "deleted"),
    ):
        [one] = by_path(patch).values()
        assert (one.path, one.status) == (shown, status)
        canonical(document(parse(patch)[0]))
    [one] = by_path(change({name: b"x"}, {name: ("100755", b"x")})).values()
    assert (one.path, one.status) == (shown, "mode")


def test_crlf_missing_newlines_and_bytes_that_are_no_text(change: Change) -> None:
    found = by_path(
        change({"a": b"one\r\ntwo\r\n", "b": b"no end"}, {"a": b"one\r\n2\r\n", "b": b"no end\n", "c": b"\xff\xfe\r"})
    )
    assert found["a"].sample[1:] == (" one\r", "-two\r", "+2\r")
    assert (found["b"].added, found["b"].removed) == (1, 1)
    assert found["b"].sample[1:] == ("-no end", "\\ No newline at end of file", "+no end")
    assert found["c"].sample[1] == "+\udcff\udcfe\r"


def test_lines_that_look_like_headers_are_content(change: Change) -> None:
    text = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\nGIT binary patch\nrename to y\n"
    found = by_path(change({"f": b"-- old\n"}, {"f": b"++ new\n" + text}))
    assert list(found) == ["f"]
    assert (found["f"].added, found["f"].removed, found["f"].binary) == (7, 1, False)


def test_line_numbers_are_those_of_the_new_file(change: Change) -> None:
    old = [b"line %d" % number for number in range(1, 101)]
    new = [*old[:9], b"needle one", *old[10:59], *old[61:90], b"x", b"needle two", *old[90:]]
    patch = change({"f": b"\n".join(old)}, {"f": b"\n".join(new)})
    [hunks] = parse(patch)[1]
    wanted = [(index + 1, line) for index, line in enumerate(new) if b"needle" in line]
    assert [(hunks.number(offset), text) for offset, text in hunks.hits((b"needle", b"NEE".lower()))] == wanted
    assert [text for _, text in hunks.lines()] == [b"needle one", b"x", b"needle two"]
    assert [text for _, text in hunks.hits((b"line 10",), b"-")] == [b"line 10"]


def test_a_document_repeats_no_more_than_its_limits_and_says_so(change: Change) -> None:
    many = {f"f{index:03}": b"a\nb\nc\n" for index in range(30)}
    limits = DiffLimits(lines=20, file_lines=3, files=10, line_chars=40)
    patch = change({}, {**many, "f000": b"y" * 100 + b"\n"})
    summary, _ = parse(patch, limits)
    assert (summary.files_changed, summary.added, summary.truncated) == (30, 88, True)
    assert sum(len(one.sample) for one in summary.files) == 20
    assert [len(one.sample) for one in summary.files[:3]] == [2, 3, 3]
    assert summary.files[0].sample[1] == "+" + "y" * 39
    told = document(summary, limits)
    assert len(told["files"]) == 10
    assert "20 more files" in told["note"]
    assert "artifact is complete" in told["note"]
    whole, _ = parse(patch)
    assert not whole.truncated
    assert document(whole)["note"] is None


def test_an_empty_patch_changes_nothing() -> None:
    summary, hunks = parse(b"")
    assert (summary.files, summary.added, summary.truncated, hunks) == ((), 0, False, ())
    assert document(summary)["changed"] is False


def big(lines: int) -> bytes:
    body = b"".join(b"+    value_%d = compute(%d)  # a line of ordinary length here\n" % (n, n) for n in range(lines))
    head = b"diff --git a/big.py b/big.py\nnew file mode 100644\nindex %b..%b\n--- /dev/null\n+++ b/big.py\n" % (
        b"0" * 40,
        b"1" * 40,
    )
    return head + b"@@ -0,0 +1,%d @@\n" % lines + body


def test_a_diff_of_50_mb_is_summarised_in_seconds() -> None:
    patch = big(800_000)
    assert len(patch) > 50_000_000
    began = time.process_time()
    summary, _ = parse(patch)
    spent = time.process_time() - began
    assert (summary.added, summary.truncated, len(summary.files[0].sample)) == (800_000, True, 400)
    assert len(canonical(document(summary))) < 100_000
    assert spent < 3


HEADERS = st.sampled_from(
    [
        b"diff --git a/x b/x\n", b"diff --git \n", b"diff --git", b'diff --git "a/\\', b"index 1..2 100644\n", b"--- a/x\n",
        b"+++ \n",
        b'+++ "b/\\3', b"new file mode 100755\n", b"deleted file mode 1\n", b"old mode \n", b"rename to \n", b"rename from x\n",
        b"@@ -1 +1 @@\n", b"@@ ", b"GIT binary patch\nliteral 12\n", b"Binary files a/x and b/x differ\n", b"+a\n",
        b"-b\n", b"\n", b"\0",
    ]
)  # fmt: skip


@given(st.lists(HEADERS | st.binary(max_size=30), max_size=20).map(b"".join))
def test_garbage_gives_a_summary(patch: bytes) -> None:
    summary, hunks = parse(patch)
    assert canonical(document(summary))
    assert summary.files_changed == len(summary.files)
    for part in hunks:
        for offset, _ in [*part.lines(), *part.hits((b"a", b"b"))]:
            assert part.number(offset) >= 0
