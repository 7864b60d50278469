"""Artifacts on disk and in memory: the same promises; on disk also what a crash and a second process may not break."""

from __future__ import annotations

import asyncio
import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from tests.fakes.store import MemoryArtifacts
from wfconsole.ports import Artifacts, WfconsoleError
from wfconsole.store import artifacts as module
from wfconsole.store.artifacts import DiskArtifacts


@pytest.fixture(params=["disk", "memory"])
def artifacts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Artifacts]:
    if request.param == "disk":
        yield DiskArtifacts(tmp_path / "artifacts")
        return
    memory = MemoryArtifacts()
    yield memory
    memory.close()


def test_content_lies_under_its_digest_and_is_read_only(artifacts: Artifacts, tmp_path: Path) -> None:
    source = tmp_path / "a name with ü"
    source.write_bytes(b"\x00\xffbytes")
    expected = (hashlib.sha256(b"\x00\xffbytes").hexdigest(), 7)
    assert asyncio.run(artifacts.put_file(source)) == expected
    assert asyncio.run(artifacts.put_bytes(b"\x00\xffbytes")) == expected
    stored = artifacts.path(expected[0])
    assert stored.read_bytes() == b"\x00\xffbytes"
    assert stat.S_IMODE(stored.stat().st_mode) == 0o444
    source.write_bytes(b"changed later")
    assert stored.read_bytes() == b"\x00\xffbytes"


@pytest.mark.parametrize("name", ["0" * 64, "", "..", "../../../etc/passwd", "A" * 64])
def test_what_is_not_stored_is_not_found(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(FileNotFoundError):
        artifacts.path(name)


@given(st.lists(st.binary(max_size=20)))
def test_the_same_content_is_stored_once(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    folder = tmp_path_factory.mktemp("artifacts")
    store = DiskArtifacts(folder)

    async def put_all() -> list[tuple[str, int]]:
        return list(await asyncio.gather(*(store.put_bytes(content) for content in contents)))

    digests = asyncio.run(put_all())
    assert [store.path(digest).read_bytes() for digest, _ in digests] == contents
    assert sum(path.is_file() for path in folder.rglob("*")) == len(set(contents)), "and no draft is left"


def test_content_lies_in_a_folder_of_its_first_two_digits(tmp_path: Path) -> None:
    digest, _ = asyncio.run(DiskArtifacts(tmp_path).put_bytes(b"x"))
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()] == [
        f"{digest[:2]}/{digest[2:]}"
    ]


def test_a_large_file_is_copied_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 1000)
    source = tmp_path / "large"
    source.write_bytes(b"0123456789" * 12_345)
    store = DiskArtifacts(tmp_path / "artifacts")
    digest, size = asyncio.run(store.put_file(source))
    assert (size, store.path(digest).read_bytes()) == (123_450, source.read_bytes())


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    store = DiskArtifacts(tmp_path / "artifacts")
    with pytest.raises(WfconsoleError) as caught:
        asyncio.run(_put_where_nothing_fits(store))
    assert caught.value.code == "DISK_FULL"
    assert [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()] == []


async def _put_where_nothing_fits(store: DiskArtifacts) -> tuple[str, int]:
    class Full:
        """A source whose copy meets the end of the disk."""

        def read(self, _size: int) -> bytes:
            raise OSError(28, "No space left on device")

    return await asyncio.to_thread(store._put, Full())  # type: ignore[arg-type]
