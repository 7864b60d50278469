"""Copies of a step's own: what parallel steps made of theirs comes together, or says what is in the way."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from tests.workspace.conftest import ENVIRONMENT
from tests.workspace.test_keep import content
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.ports.copies import Changed, Copies, Copy
from wfconsole.workspace.apart import GitCopies

Files = dict[str, str | None]
"""Path to content; a folder has None."""


def lay(top: Path, files: Files) -> None:
    for name, text in files.items():
        path = top / name
        if text is None:
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


@contextmanager
def place(files: Files) -> Iterator[RunFolder]:
    with tempfile.TemporaryDirectory(prefix="apart-") as top:
        folder = RunFolder(Path(top) / "run")
        folder.workspace.mkdir(parents=True)
        lay(folder.workspace, files)
        yield folder


def edit(copies: Copies, folder: RunFolder, step_id: str, work: Callable[[Path], None]) -> tuple[Copy, Changed]:
    """The copy of one step, and what `work` made of it."""
    copy = Copy(folder=folder, step_id=step_id, attempt=1)
    asyncio.run(copies.make(copy))
    work(copy.workspace)
    return copy, asyncio.run(copies.changed(copy))


def apply(copies: Copies, made: tuple[Copy, Changed]) -> None:
    asyncio.run(copies.apply(*made, b"{}"))
    asyncio.run(copies.settled(made[0].folder))


def refused(copies: Copies, made: tuple[Copy, Changed]) -> WfconsoleError:
    before = content(made[0].folder.workspace)
    with pytest.raises(WfconsoleError) as caught:
        apply(copies, made)
    assert caught.value.code == "PATCH_CONFLICT"
    assert content(made[0].folder.workspace) == before
    return caught.value


def test_everything_that_a_step_did_comes_back(folder: RunFolder) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1", "gone": "2", "old/name": "3", "was/file": "4", "plain": "5", "hollow": None})

    def work(top: Path) -> None:
        (top / "a").write_bytes(b"\0\xff binary")
        (top / "gone").unlink()
        (top / "old").rename(top / "new")
        shutil.rmtree(top / "was")
        (top / "was").write_text("a file now")
        (top / "plain").unlink()
        lay(top, {"plain/is a": "folder now", "deep/empty": None})
        (top / "deep").chmod(0o755)
        (top / "tool").write_text("#!/bin/sh\n")
        (top / "tool").chmod(0o755)
        (top / "link").symlink_to("a")
        (top / "hollow").rmdir()
        Path(os.fsdecode(os.fsencode(top) + b'/\xff\n" name')).write_bytes(b"x")

    made = edit(copies, folder, "one", work)
    assert (folder.workspace / "gone").exists()
    expected = content(made[0].workspace)
    apply(copies, made)
    assert content(folder.workspace) == expected
    assert (folder.workspace / "tool").stat().st_mode & 0o777 == 0o755
    asyncio.run(copies.drop(made[0]))
    assert not made[0].workspace.exists()


def test_the_patch_is_what_git_apply_takes(folder: RunFolder, tmp_path: Path) -> None:
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1\n", "gone": "2\n", "tool": "3\n"})
    before = tmp_path / "before"
    shutil.copytree(folder.workspace, before)

    def work(top: Path) -> None:
        (top / "a").write_bytes(b"\0\1\2" * 100)
        (top / "gone").unlink()
        (top / "tool").chmod(0o755)
        (top / "new").write_text("x\n")

    copies = GitCopies()
    copy, changed = edit(copies, folder, "one", work)
    patch = asyncio.run(copies.patch(copy, changed))
    assert patch is not None
    done = subprocess.run(["git", "apply", "-"], cwd=before, env=ENVIRONMENT, input=patch, check=False)
    assert done.returncode == 0
    assert content(before) == content(copy.workspace)
    assert (before / "tool").stat().st_mode & 0o111


def test_a_step_that_changed_nothing_has_no_patch(folder: RunFolder) -> None:
    folder.workspace.mkdir(parents=True)
    copies = GitCopies()
    copy, changed = edit(copies, folder, "one", lambda _top: None)
    assert asyncio.run(copies.patch(copy, changed)) is None


def test_both_steps_and_the_files_are_named(folder: RunFolder) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1", "b": "1"})
    first = edit(copies, folder, "first", lambda top: lay(top, {"a": "2", "new": "x"}))
    second = edit(copies, folder, "second", lambda top: lay(top, {"a": "3", "b": "4", "new": "y"}))
    apply(copies, first)
    error = refused(copies, second)
    assert error.details == {"files": ["a", "new"], "steps": ["second", "first"]}
    assert "second and first both changed a, new" in error.message


def test_the_workspace_itself_may_be_what_is_in_the_way(folder: RunFolder) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    made = edit(copies, folder, "one", lambda top: lay(top, {"a": "2"}))
    lay(folder.workspace, {"a": "3"})
    assert refused(copies, made).details == {"files": ["a"], "steps": ["one"]}


@pytest.mark.parametrize(
    ("mine", "theirs", "names"),
    [
        ({"x": "file"}, {"x/in": "folder"}, ["x"]),
        ({"x/in": "folder"}, {"x": "file"}, ["x", "x/in"]),
        ({"x": None}, {"x": "file"}, ["x"]),
        ({"x": "file"}, {"x": None}, ["x"]),
        ({"x": "file"}, {"x/.git/config": "hidden from trees"}, ["x"]),
    ],
)
def test_a_file_where_the_other_has_a_folder_is_a_conflict(
    folder: RunFolder, mine: Files, theirs: Files, names: list[str]
) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    made = edit(copies, folder, "one", lambda top: lay(top, mine))
    lay(folder.workspace, theirs)
    assert refused(copies, made).details["files"] == names


def test_the_same_change_made_twice_is_no_conflict(folder: RunFolder) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    first = edit(copies, folder, "first", lambda top: lay(top, {"a": "same"}))
    second = edit(copies, folder, "second", lambda top: lay(top, {"a": "same", "b": "more"}))
    apply(copies, first)
    apply(copies, second)
    assert content(folder.workspace) == {b"a": b"same", b"b": b"more"}


def test_a_copy_that_was_completed_is_left_and_one_that_was_not_is_made_anew(folder: RunFolder) -> None:
    copies, copy = GitCopies(), Copy(folder=folder, step_id="group/one", attempt=2)
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1"})
    lay(copy.workspace, {"half": "made"})
    asyncio.run(copies.make(copy))
    assert content(copy.workspace) == {b"a": b"1"}
    lay(copy.workspace, {"b": "2"})
    asyncio.run(copies.make(copy))
    assert content(copy.workspace) == {b"a": b"1", b"b": b"2"}


def test_a_copy_with_closed_folders_goes_too(folder: RunFolder) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    made = edit(copies, folder, "one", lambda top: lay(top, {"shut/in": "x"}))
    (made[0].workspace / "shut").chmod(0)
    asyncio.run(copies.drop(made[0]))
    asyncio.run(copies.drop(made[0]))
    assert not made[0].workspace.exists()


def test_nothing_that_a_link_in_the_workspace_points_to_is_touched(folder: RunFolder, tmp_path: Path) -> None:
    copies, outside = GitCopies(), tmp_path / "outside"
    lay(outside, {"precious": "1"})
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"d/precious": "0"})
    made = edit(copies, folder, "one", lambda top: lay(top, {"d/precious": "2", "d/new": "3"}))
    shutil.rmtree(folder.workspace / "d")
    (folder.workspace / "d").symlink_to(outside)
    refused(copies, made)
    assert content(outside) == {b"precious": b"1"}


NAMES = ["a", "b", "d/a", "d/b", "d/e/a", "f/a"]
START: Files = {"a": "0", "d/a": "0", "d/e/a": "0"}
edits = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(["1", "2", "3", None]), max_size=4)
"""Each path to its new content, or to None: it is removed."""


def change(top: Path, wanted: dict[str, str | None]) -> None:
    for name, text in wanted.items():
        if text is None:
            (top / name).unlink(missing_ok=True)
        else:
            lay(top, {name: text})


def effect(wanted: dict[str, str | None]) -> dict[str, str | None]:
    """What of these edits makes a difference."""
    return {name: text for name, text in wanted.items() if START.get(name) != text}


@settings(max_examples=60, deadline=None)
@given(edits, edits)
def test_two_copies_come_together_as_if_one_had_followed_the_other_or_conflict_in_what_both_changed(
    one: dict[str, str | None], two: dict[str, str | None]
) -> None:
    copies = GitCopies()
    both = {name for name in effect(one).keys() & effect(two).keys() if one[name] != two[name]}
    with place(START) as folder, place(START) as serial:
        made = edit(copies, folder, "one", lambda top: change(top, one))
        other = edit(copies, folder, "two", lambda top: change(top, two))
        apply(copies, made)
        change(serial.workspace, effect(one))
        if both:
            assert refused(copies, other).details["files"] == sorted(both)
        else:
            apply(copies, other)
            change(serial.workspace, effect(two))
        assert content(folder.workspace) == content(serial.workspace)


def test_what_another_process_holds_is_not_changed(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    from wfconsole.workspace import apart

    monkeypatch.setattr(apart, "_PATIENCE_S", 0.1)
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    made = edit(copies, folder, "one", lambda top: lay(top, {"a": "3"}))
    with apart.alone(folder), pytest.raises(WfconsoleError) as caught:
        apply(copies, made)
    assert caught.value.code == "WORKSPACE_INVALID"
    assert content(folder.workspace) == {}


def test_copies_of_the_same_content_are_made_and_compared_at_once(folder: RunFolder) -> None:
    copies, made = GitCopies(), [Copy(folder=folder, step_id=f"s{number}", attempt=1) for number in range(6)]
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1"})

    async def whole() -> list[Changed]:
        await asyncio.gather(*(copies.make(copy) for copy in made))
        for copy in made:
            lay(copy.workspace, {"b": "the same"})
        return await asyncio.gather(*(copies.changed(copy) for copy in made))

    assert len({changed.tree for changed in asyncio.run(whole())}) == 1
