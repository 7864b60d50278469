"""What leaves a run with secrets: hidden in text, refused in binary files, withheld when nobody knows what to hide."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.steps.screen import Hiding, ScreenedCollector, Withheld, screen_of, screened_diff
from wfconsole.store.artifacts import DiskArtifacts
from wfconsole.workspace.collect import FileCollector

TOKEN = b"correct-horse-battery"


def collect(tmp_path: Path, screen: Hiding | Withheld, **files: bytes) -> tuple[dict[str, bytes], str]:
    folder = RunFolder(tmp_path / "run")
    folder.workspace.mkdir(parents=True)
    for name, data in files.items():
        (folder.workspace / name).write_bytes(data)
    store = DiskArtifacts(tmp_path / "store")
    collector = ScreenedCollector(FileCollector(artifacts=store), screen)
    taken = asyncio.run(collector.collect(folder=folder, step_id="s", attempt=1, patterns=["*"]))
    found = {each.name: store.path(each.sha256 or "").read_bytes() for each in taken.artifacts}
    laid = {path.name: path.read_bytes() for path in (folder.artifacts / "s").rglob("*")} if found else {}
    assert laid == found
    return found, "\n".join(taken.refused)


def test_text_is_hidden_and_binary_files_with_a_secret_are_refused(tmp_path: Path) -> None:
    screen = Hiding([TOKEN])
    found, refused = collect(
        tmp_path,
        screen,
        text=b"a " + TOKEN + b" b",
        packed=b"\0" + TOKEN,
        plain=b"\0\1\2",
        late=b"x" * 3_000_000 + TOKEN + b"\0",
    )
    assert found == {"text": b"a *** b", "plain": b"\0\1\2"}
    assert "packed is a binary file that holds a secret and was not taken." in refused
    assert "late is a binary file" in refused
    assert screen.count == 1


def test_a_name_with_a_secret_in_it_is_refused_without_saying_it(tmp_path: Path) -> None:
    found, refused = collect(tmp_path, Hiding([TOKEN]), **{TOKEN.decode(): b"x", "ok": b"y"})
    assert found == {"ok": b"y"}
    assert TOKEN.decode() not in refused
    assert "whose name holds a secret" in refused


def test_a_refusal_that_would_name_a_secret_does_not(tmp_path: Path) -> None:
    workspace = RunFolder(tmp_path / "run").workspace
    workspace.mkdir(parents=True)
    (workspace / TOKEN.decode()).symlink_to("/etc/passwd")
    collector = ScreenedCollector(FileCollector(artifacts=DiskArtifacts(tmp_path / "store")), Hiding([TOKEN]))
    taken = asyncio.run(collector.collect(folder=RunFolder(tmp_path / "run"), step_id="s", attempt=1, patterns=["*"]))
    assert taken.refused == ("A file was not taken; its name is not told.",)


def test_nothing_is_taken_when_nobody_knows_what_to_hide(tmp_path: Path) -> None:
    found, refused = collect(tmp_path, Withheld("the secret TOKEN is missing"), a=b"x")
    assert found == {}
    assert refused == "A file was not taken; its name is not told."


def test_what_is_read_for_outputs_is_hidden_too(tmp_path: Path) -> None:
    (tmp_path / "o").write_bytes(b"<" + TOKEN + b">")
    inner = FileCollector(artifacts=DiskArtifacts(tmp_path / "store"))
    hiding = ScreenedCollector(inner, Hiding([TOKEN]))
    assert asyncio.run(hiding.read(root=tmp_path, path="o", limit=100)) == b"<***>"
    assert asyncio.run(hiding.read(root=tmp_path, path="nope", limit=100)) is None
    with pytest.raises(WfconsoleError, match="withheld"):
        asyncio.run(ScreenedCollector(inner, Withheld("x")).read(root=tmp_path, path="o", limit=100))


def diff_of(tmp_path: Path, before: Mapping[str, bytes], after: Mapping[str, bytes]) -> bytes:
    repo = tmp_path / "repo"
    repo.mkdir()

    def git(*words: str) -> bytes:
        settings = ("-c", "user.name=t", "-c", "user.email=t@example.invalid", "-c", "core.compression=9")
        return subprocess.run(["git", *settings, *words], cwd=repo, check=True, capture_output=True).stdout

    git("init", "-q")
    for files in (before, after):
        for name, data in files.items():
            (repo / name).write_bytes(data)
        git("add", "-A")
        git("commit", "-qm", "x", "--allow-empty")
    return git("diff", "--binary", "--full-index", "HEAD~1", "HEAD")


def test_a_diff_of_text_is_hidden_and_still_applies(tmp_path: Path) -> None:
    diff = diff_of(tmp_path, {"a": b"1\n2\n3\n"}, {"a": b"1\n" + TOKEN + b"\n3\n"})
    hidden = screened_diff(diff, Hiding([TOKEN]))
    assert b"+***\n" in hidden
    (tmp_path / "other").mkdir()
    (tmp_path / "other/a").write_bytes(b"1\n2\n3\n")
    subprocess.run(["git", "apply"], cwd=tmp_path / "other", input=hidden, check=True)
    assert (tmp_path / "other/a").read_bytes() == b"1\n***\n3\n"


@pytest.mark.parametrize("size", [0, 40_000], ids=["literal", "delta"])
def test_a_binary_change_that_holds_a_secret_is_refused(tmp_path: Path, size: int) -> None:
    rest = bytes(number * number % 251 for number in range(size))
    kind = b"delta" if size else b"literal"
    diff = diff_of(tmp_path, {"a": b"\0" + rest}, {"a": b"\0" + rest + TOKEN + b"\0"})
    assert b"\n" + kind in diff
    with pytest.raises(WfconsoleError, match="binary file that the run changed holds a secret"):
        screened_diff(diff, Hiding([TOKEN]))
    assert screened_diff(diff, Hiding([b"another-secret"])) == diff


class Source:
    def __init__(self, values: Mapping[str, bytes]) -> None:
        self.values = values

    async def read(self, names: Sequence[str]) -> Mapping[str, bytes]:
        missing = [name for name in names if name not in self.values]
        if missing:
            raise WfconsoleError("SECRET_MISSING", f"the secret {missing[0]} is missing")
        return {name: self.values[name] for name in names}

    async def to_hide(self, names: Sequence[str]) -> Sequence[bytes]:
        return tuple((await self.read(names)).values())


def test_a_run_without_secrets_has_no_screen_and_one_without_their_values_withholds() -> None:
    assert asyncio.run(screen_of(Source({}), [])) is None
    assert isinstance(asyncio.run(screen_of(Source({"A": TOKEN}), ["A"])), Hiding)
    for source in (Source({}), None):
        screen = asyncio.run(screen_of(source, ["A"]))
        assert isinstance(screen, Withheld)
        assert screen.finds(b"anything")
