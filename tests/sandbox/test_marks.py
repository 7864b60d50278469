"""Marks: the first word is the only one, and it is whole and on disk before anybody can read it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from wfconsole.sandbox import marks


def test_whoever_comes_second_learns_what_the_first_one_said(tmp_path: Path) -> None:
    first = marks.make(tmp_path, marks.GO, marks.VOID)
    assert marks.make(tmp_path, marks.GO, marks.BEGIN) == first
    assert marks.read(tmp_path, marks.GO) == first
    assert [path.name for path in tmp_path.iterdir()] == [marks.GO]


def test_a_mark_of_a_folder_that_is_gone_is_an_error_and_one_that_was_not_made_is_none(tmp_path: Path) -> None:
    assert marks.read(tmp_path, marks.STOP) is None
    with pytest.raises(FileNotFoundError):
        marks.make(tmp_path / "gone", marks.STOP, "stop")


def test_a_mark_has_its_name_when_it_is_whole_and_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    sync, link = os.fsync, os.link

    def synced(descriptor: int) -> None:
        order.append(f"on disk: {os.pread(descriptor, 100, 0).decode().split()[0]}")
        sync(descriptor)

    def named(draft: Path, name: Path, **more: Any) -> None:
        order.append(f"named: {draft.read_text().split()[0]} {draft.stat().st_mode & 0o777:o}")
        link(draft, name, **more)

    def read_only(path: Any, flags: int, mode: int = 0o777, **more: Any) -> int:
        return real_open(path, flags & ~os.O_WRONLY | os.O_RDWR, mode, **more)  # so that it can be looked at

    real_open = os.open
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", synced)
        patched.setattr(os, "link", named)
        patched.setattr(os, "open", read_only)
        marks.make(tmp_path, marks.GO, marks.BEGIN)
    assert order == ["on disk: go", "named: go 444"]
