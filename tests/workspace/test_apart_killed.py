"""A change of the workspace during which the process dies, or the disk refuses: all of it, or nothing, in the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.workspace.test_apart import apply, edit, lay
from tests.workspace.test_keep import content
from wfconsole.ports import RunFolder, WfconsoleError
from wfconsole.workspace import replace
from wfconsole.workspace.apart import GitCopies


class Killed(BaseException):
    """The process dies here."""


CALLS = ["rename", "unlink", "rmdir", "mkdir", "fsync"]


def dying(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Die at the n-th change of the file system that is made beside and in the workspace."""
    count = 0
    for name in CALLS:
        real = getattr(os, name)

        def counted(*words: object, real: Callable[..., object] = real, **more: object) -> object:
            nonlocal count
            count += 1
            if count == after:
                raise Killed
            return real(*words, **more)

        monkeypatch.setattr(os, name, counted)


@pytest.mark.parametrize("after", [*range(1, 17), 1000])
def test_whoever_dies_while_a_change_is_made_leaves_all_of_it_or_nothing(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1", "gone": "2", "d/x": "3", "was": "4", "hollow": None})

    def work(top: Path) -> None:
        (top / "gone").unlink()
        shutil.rmtree(top / "d")
        (top / "was").unlink()
        (top / "hollow").rmdir()
        lay(top, {"a": "5", "d": "a file now", "was/not": "6", "empty": None})

    copy, changed = edit(copies, folder, "one", work)
    before, wanted = content(folder.workspace), content(copy.workspace)
    with monkeypatch.context() as patched:
        dying(patched, after)
        died = _dies(lambda: copies.apply(copy, changed, b'{"n":1}'))
    assert died == (after < 1000)
    found = asyncio.run(copies.pending(folder))
    if found is None:
        assert content(folder.workspace) == before
        return
    assert (found.name, found.outcome) == ("one#1", b'{"n":1}')
    with monkeypatch.context() as patched:  # the next owner dies, too
        dying(patched, max(1, after - 4))
        _dies(lambda: copies.finish(folder))
    asyncio.run(copies.finish(folder))
    assert content(folder.workspace) == wanted
    asyncio.run(copies.undo(folder))
    assert content(folder.workspace) == before
    assert asyncio.run(copies.pending(folder)) is None


def _dies(work: Callable[[], Awaitable[None]]) -> bool:
    async def whole() -> None:
        await work()

    try:
        asyncio.run(whole())
    except Killed:
        return True
    return False


KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from wfconsole.ports import RunFolder
from wfconsole.ports.copies import Copy
from wfconsole.workspace.apart import GitCopies

async def main(top, after):
    copies, copy, left = GitCopies(), Copy(folder=RunFolder(Path(top)), step_id="one", attempt=1), [after]
    changed = await copies.changed(copy)
    real = os.rename
    def rename(*words, **more):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*words, **more)
    os.rename = rename
    await copies.apply(copy, changed, b"{}")

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


@pytest.mark.parametrize("after", [1, 2, 4])
def test_kill_9_while_a_change_is_made(folder: RunFolder, after: int) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1", "gone": "2"})

    def work(top: Path) -> None:
        (top / "gone").unlink()
        lay(top, {"a": "5", "b": "6", "d/c": "7", "d/e": "8"})

    copy, _ = edit(copies, folder, "one", work)
    before, wanted = content(folder.workspace), content(copy.workspace)
    process = subprocess.run([sys.executable, "-c", KILLED, folder.root, str(after)], check=False)
    assert process.returncode == -signal.SIGKILL
    if after == 1:  # nothing was on record
        assert content(folder.workspace) == before
        asyncio.run(copies.apply(copy, asyncio.run(copies.changed(copy)), b"{}"))
    else:
        assert content(folder.workspace) not in (before, wanted)
        asyncio.run(copies.finish(folder))
    assert content(folder.workspace) == wanted


def test_a_change_that_the_disk_refuses_is_taken_back(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    copies = GitCopies()
    folder.workspace.mkdir(parents=True)
    lay(folder.workspace, {"a": "1", "b": "2"})
    made = edit(copies, folder, "one", lambda top: lay(top, {"a": "3", "b": "4"}))
    before, real, count = content(folder.workspace), replace._put, 0

    def full(*words: object) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(28, "No space left on device")
        real(*words)  # type: ignore[arg-type]

    monkeypatch.setattr(replace, "_put", full)
    with pytest.raises(WfconsoleError) as caught:
        apply(copies, made)
    assert caught.value.code == "DISK_FULL"
    assert content(folder.workspace) == before
    assert asyncio.run(copies.pending(folder)) is None
