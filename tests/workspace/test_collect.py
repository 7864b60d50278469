"""Artifacts out of a workspace in which everything may lie in wait."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
from pathlib import Path

import pytest

from wfconsole.ports import Collected, RunFolder, WfconsoleError
from wfconsole.workspace.collect import CollectLimits, FileCollector


class Shelf:
    """`ports.Artifacts` as a folder of files."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)

    async def put_file(self, path: Path) -> tuple[str, int]:
        return await self.put_bytes(path.read_bytes())

    async def put_bytes(self, data: bytes) -> tuple[str, int]:
        name = hashlib.sha256(data).hexdigest()
        (self._root / name).write_bytes(data)
        return name, len(data)

    def path(self, sha256: str) -> Path:
        return self._root / sha256


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    (made.workspace / "out" / "deep").mkdir(parents=True)
    (made.workspace / "out" / "a.xml").write_bytes(b"<a/>")
    (made.workspace / "out" / "deep" / "b.xml").write_bytes(b"<b/>")
    (made.workspace / "c.txt").write_bytes(b"c")
    return made


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    place = tmp_path / "secret"
    place.mkdir()
    (place / "key").write_bytes(b"the key")
    return place


def collect(folder: RunFolder, *patterns: str, limits: CollectLimits | None = None, attempt: int = 1) -> Collected:
    shelf = Shelf(folder.root.parent / f"shelf{os.urandom(4).hex()}")
    collector = FileCollector(artifacts=shelf, limits=limits)
    return asyncio.run(collector.collect(folder=folder, step_id="unit", attempt=attempt, patterns=patterns))


def read(folder: RunFolder, path: str, limit: int = 100) -> bytes | None:
    collector = FileCollector(artifacts=Shelf(folder.root.parent / "shelf"))
    return asyncio.run(collector.read(root=folder.workspace, path=path, limit=limit))


def names(collected: Collected) -> list[str]:
    return [record.name for record in collected.artifacts]


def test_matching_files_are_stored_recorded_and_laid_out(folder: RunFolder) -> None:
    made = collect(folder, "out/**", "*.txt", "out/a.xml", attempt=2)
    assert made.refused == ()
    assert names(made) == ["c.txt", "out/a.xml", "out/deep/b.xml"]
    record = made.artifacts[1]
    assert record.artifact_id == "unit#2/out/a.xml"
    assert (record.step_id, record.attempt, record.kind, record.bytes) == ("unit", 2, "file", 4)
    assert record.sha256 == hashlib.sha256(b"<a/>").hexdigest()
    assert record.media_type == "application/xml"
    laid = folder.artifacts / "unit" / "out" / "a.xml"
    assert laid.read_bytes() == b"<a/>"
    assert laid.stat().st_mode & 0o777 == 0o444
    assert laid.stat().st_nlink == 1
    assert sorted(path.name for path in folder.root.iterdir()) == ["bundle", "workspace"]


def test_a_later_attempt_replaces_what_lies_there(folder: RunFolder) -> None:
    collect(folder, "c.txt")
    (folder.workspace / "c.txt").write_bytes(b"second")
    assert collect(folder, "c.txt", attempt=2).refused == ()
    assert (folder.artifacts / "unit" / "c.txt").read_bytes() == b"second"


def test_a_name_that_was_a_file_and_is_a_folder_now_is_told(folder: RunFolder) -> None:
    collect(folder, "c.txt")
    (folder.workspace / "c.txt").unlink()
    (folder.workspace / "c.txt").mkdir()
    (folder.workspace / "c.txt" / "x").write_text("x")
    made = collect(folder, "c.txt/x", attempt=2)
    assert names(made) == ["c.txt/x"]
    assert "could not be laid out" in made.refused[0]


def test_a_pattern_that_matches_nothing_is_told(folder: RunFolder) -> None:
    assert collect(folder, "*.sarif").refused == ("No file matches the artifact pattern *.sarif.",)
    assert collect(RunFolder(folder.root / "none"), "x").refused == ("No file matches the artifact pattern x.",)


def test_patterns_that_lead_out_are_told(folder: RunFolder, secret: Path) -> None:
    made = collect(folder, str(secret / "key"), "../secret/key")
    assert made.artifacts == ()
    assert len(made.refused) == 2


def test_links_are_never_followed(folder: RunFolder, secret: Path) -> None:
    (folder.workspace / "out" / "key.xml").symlink_to(secret / "key")
    (folder.workspace / "out" / "dir").symlink_to(secret)
    (folder.workspace / "loop").symlink_to(".")
    made = collect(folder, "out/*.xml", "out/dir/key", "**/key")
    assert names(made) == ["out/a.xml"]
    assert made.refused == (
        "out/key.xml is a link and was not taken.",
        "No file matches the artifact pattern out/dir/key.",
        "No file matches the artifact pattern **/key.",
    )


def test_hard_links_pipes_and_sockets_are_refused_and_never_block(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.link(folder.workspace / "c.txt", folder.workspace / "out" / "hard")
    os.mkfifo(folder.workspace / "out" / "pipe")
    monkeypatch.chdir(folder.workspace / "out")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("sock")
    made = collect(folder, "out/*")
    assert names(made) == ["out/a.xml"]
    assert made.refused == (
        "out/hard has other names (hard links) and was not taken.",
        "out/pipe is a pipe and was not taken.",
        "out/sock is a socket and was not taken.",
    )


def test_a_file_that_becomes_a_pipe_after_the_look_does_not_block(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = folder.workspace / "c.txt"
    real = os.stat

    def swap(path: str | bytes, **words: object) -> os.stat_result:
        info = real(path, **words)  # type: ignore[arg-type]
        if path == b"c.txt" and victim.is_file():
            victim.unlink()
            os.mkfifo(victim)
        return info

    monkeypatch.setattr(os, "stat", swap)
    assert collect(folder, "c.txt").refused[0] == "c.txt is a pipe and was not taken."


def test_a_file_that_becomes_a_link_after_the_look_is_not_followed(
    folder: RunFolder, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = folder.workspace / "c.txt"
    real = os.stat

    def swap(path: str | bytes, **words: object) -> os.stat_result:
        info = real(path, **words)  # type: ignore[arg-type]
        if path == b"c.txt" and not victim.is_symlink():
            victim.unlink()
            victim.symlink_to(secret / "key")
        return info

    monkeypatch.setattr(os, "stat", swap)
    made = collect(folder, "c.txt")
    assert made.artifacts == ()
    assert "could not be read" in made.refused[0]


def test_a_sparse_file_of_a_terabyte_is_refused(folder: RunFolder) -> None:
    with (folder.workspace / "hole").open("wb") as file:
        file.truncate(1 << 40)
    made = collect(folder, "hole", "c.txt")
    assert names(made) == ["c.txt"]
    assert made.refused == ("hole is larger than 268435456 bytes and was not taken.",)


def test_blocks_beyond_the_end_count_as_size(folder: RunFolder) -> None:
    with (folder.workspace / "fat").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, 4 << 20)
        file.truncate(4 << 20)
    made = collect(folder, "fat", limits=CollectLimits(file_bytes=1000))
    assert "fat is larger than 1000 bytes" in made.refused[0]


def test_count_total_and_depth_are_bounded(folder: RunFolder) -> None:
    for number in range(20):
        (folder.workspace / f"n{number:02}").write_bytes(b"12345")
    made = collect(folder, "n*", limits=CollectLimits(files=3))
    assert names(made) == ["n00", "n01", "n02"]
    assert made.refused == ("Only the first 3 artifacts were taken, up to n02.",)
    made = collect(folder, "n*", limits=CollectLimits(total_bytes=12))
    assert names(made) == ["n00", "n01"]
    assert "n02 would make the step's artifacts larger than 12 bytes" in made.refused[0]
    made = collect(folder, "out/**", limits=CollectLimits(depth=1))
    assert names(made) == ["out/a.xml"]
    assert made.refused == ("The folder out/deep lies deeper than 1 folders; nothing in it was taken.",)
    made = collect(folder, "n*", limits=CollectLimits(entries=2))
    assert "first 2 entries" in made.refused[0]


def test_folders_that_no_pattern_needs_are_not_entered(folder: RunFolder) -> None:
    deep = folder.workspace / "node_modules"
    for _ in range(40):
        deep = deep / "d"
    deep.mkdir(parents=True)
    assert collect(folder, "out/*.xml").refused == ()


def test_names_that_are_not_utf8_or_not_printable_are_shown_escaped(folder: RunFolder) -> None:
    top = os.fsencode(folder.workspace)
    for name in (b"\xff.bin", b"e\x1b[31m\n.bin", b"\\xff.bin"):
        with open(os.path.join(top, name), "wb") as file:
            file.write(name)
    made = collect(folder, "*.bin")
    assert names(made) == ["\\xff.bin", "e\\x1b[31m\\n.bin"]
    assert made.refused == ("A second file that reads as \\xff.bin was not taken.",)
    laid = os.listdir(os.fsencode(folder.artifacts / "unit"))
    assert len(laid) == 2
    assert b"e\x1b[31m\n.bin" in laid


def test_a_file_that_grows_meanwhile_is_taken_as_long_as_it_was(folder: RunFolder) -> None:
    """A writer that never stops does not make the collector follow it for ever."""
    stop = threading.Event()
    path = folder.workspace / "growing"
    path.write_bytes(b"x" * 1000)

    def grow() -> None:
        with path.open("ab") as file:
            while not stop.is_set() and file.tell() < 64 << 20:
                file.write(b"y" * 65536)

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        made = collect(folder, "growing")
    finally:
        stop.set()
        writer.join()
    record = made.artifacts[0]
    laid = (folder.artifacts / "unit" / "growing").read_bytes()
    assert record.bytes == len(laid)
    assert record.sha256 == hashlib.sha256(laid).hexdigest()


def test_read_gives_small_files_and_none_without_a_workspace(folder: RunFolder) -> None:
    assert read(folder, "out/a.xml") == b"<a/>"
    assert read(RunFolder(folder.root / "none"), "out/a.xml") is None


@pytest.mark.parametrize("path", ["nope", "out/nope", "nope/nope"])
def test_read_of_what_is_not_there_is_none(folder: RunFolder, path: str) -> None:
    assert read(folder, path) is None


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("link", "is a link"), ("dir/key", "below a link"), ("pipe", "is a pipe"), ("out", "is a folder"),
        ("hard", "hard links"),
        ("big", "larger than 100"), ("hole", "larger than 100"), ("../secret/key", "not a path inside"),
        ("/etc/passwd", "not a path"),
        ("", "not a path"), ("c.txt/x", "below a link or a file"), ("a" * 300, "cannot be read"),
    ],
)  # fmt: skip
def test_read_refuses_what_is_no_small_ordinary_file(folder: RunFolder, secret: Path, path: str, words: str) -> None:
    work = folder.workspace
    (work / "link").symlink_to(secret / "key")
    (work / "dir").symlink_to(secret)
    os.mkfifo(work / "pipe")
    (work / "one").write_bytes(b"1")
    os.link(work / "one", work / "hard")
    (work / "big").write_bytes(b"x" * 101)
    with (work / "hole").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(WfconsoleError, match=words) as caught:
        read(folder, path)
    assert caught.value.code == "OUTPUT_INVALID"
