"""What leaves a run with secrets is screened here: artifacts, outputs, diffs.

Owns what may be kept: text with its secrets hidden, and binary files that hold none. Refuses to look into what is compressed,
but for the binary parts of a diff. The decision that would surprise: every step of a run with secrets is screened for all of
them, because what one step was given it can leave in the workspace for the next.
"""

from __future__ import annotations

import asyncio
import base64
import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from wfconsole.domain.facts import WorkspacePin
from wfconsole.domain.records import ArtifactKind
from wfconsole.domain.redact import Redactor
from wfconsole.ports import Collected, Collector, RunFolder, Screen, Secrets, WfconsoleError, Workspaces

CHUNK = 1024**2
_HUNK = re.compile(rb"^(literal|delta) \d+\n((?:[A-Za-z][!-~]+\n)+)", re.MULTILINE)
_INFLATED = 256 * 1024**2


class Hiding:
    """`ports.Screen` over values that are known. `count` is how many places have been hidden."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.values = tuple(values)
        self.count = 0

    def text(self, data: bytes) -> bytes:
        redactor = Redactor(self.values)
        hidden = redactor.whole(data)
        self.count += redactor.count
        return hidden

    def finds(self, data: bytes) -> bool:
        return Redactor(self.values).finds(data)

    def file(self, path: Path) -> str | None:
        redactor, binary = Redactor(self.values), False
        draft = path.with_name(f"{path.name}.hidden")
        with path.open("rb") as source, draft.open("xb") as target:
            while chunk := source.read(CHUNK):
                binary = binary or b"\0" in chunk
                target.write(redactor.feed(chunk))
            target.write(redactor.finish())
        if redactor.count and binary:
            draft.unlink()
            return "is a binary file that holds a secret"
        if redactor.count:
            self.count += redactor.count
            draft.replace(path)
        else:
            draft.unlink()
        return None


class Withheld:
    """`ports.Screen` when it is not known what to hide: nothing passes. `why` is a sentence."""

    def __init__(self, why: str) -> None:
        self.why = why

    def text(self, data: bytes) -> bytes:  # noqa: ARG002 - the port has it
        raise WfconsoleError("SECRET_MISSING", f"withheld: {self.why}", "set the secret and run again")

    def finds(self, data: bytes) -> bool:  # noqa: ARG002 - the port has it
        return True

    def file(self, path: Path) -> str | None:  # noqa: ARG002 - the port has it
        return f"is withheld: {self.why}"


async def screen_of(secrets: Secrets | None, names: Sequence[str]) -> Screen | None:
    """The screen of a run whose plan names these secrets; None when there are none. Never raises: it withholds instead."""
    if not names:
        return None
    if secrets is None:
        return Withheld(f"there is no secret {names[0]}")
    try:
        return Hiding(await secrets.to_hide(names))
    except WfconsoleError as error:
        return Withheld(error.message)


class ScreenedCollector:
    """`ports.Collector` whose files and names have passed a screen."""

    def __init__(self, collector: Collector, screen: Screen) -> None:
        self._collector = collector
        self.screen = screen

    async def collect(
        self,
        *,
        folder: RunFolder,
        step_id: str,
        attempt: int,
        patterns: Sequence[str],
        kind: ArtifactKind = "file",
        root: Path | None = None,
        screen: Screen | None = None,
    ) -> Collected:
        taken = await self._collector.collect(
            folder=folder, step_id=step_id, attempt=attempt, patterns=patterns, kind=kind, root=root,
            screen=screen or self.screen,
        )  # fmt: skip
        return replace(taken, refused=tuple(map(self._sentence, taken.refused)))

    def _sentence(self, text: str) -> str:
        """What was refused is named by the step."""
        data = text.encode("utf-8", "surrogateescape")
        return "A file was not taken; its name is not told." if self.screen.finds(data) else text

    async def read(self, *, root: Path, path: str, limit: int) -> bytes | None:
        data = await self._collector.read(root=root, path=path, limit=limit)
        return None if data is None else await asyncio.to_thread(self.screen.text, data)


class _ScreenedWorkspaces:
    """The workspaces, but for `diff`."""

    def __init__(self, workspaces: Workspaces, screen: Screen) -> None:
        self._workspaces = workspaces
        self._screen = screen

    async def diff(self, folder: RunFolder, pin: WorkspacePin) -> bytes | None:
        found = await self._workspaces.diff(folder, pin)
        return None if found is None else await asyncio.to_thread(screened_diff, found, self._screen)

    def __getattr__(self, name: str) -> object:
        return getattr(self._workspaces, name)


def screened_workspaces(workspaces: Workspaces, screen: Screen) -> Workspaces:
    """`workspaces` whose diffs have passed the screen, and may raise what `screened_diff` raises."""
    return cast("Workspaces", _ScreenedWorkspaces(workspaces, screen))


def screened_diff(diff: bytes, screen: Screen) -> bytes:
    """The diff as it may be kept. Raises SECRET_MISSING, or POLICY_BLOCKED for a binary change that holds a secret."""
    if b"GIT binary patch" in diff and any(screen.finds(content) for content in _binary_parts(diff)):
        raise WfconsoleError(
            "POLICY_BLOCKED",
            "a binary file that the run changed holds a secret",
            "do not write secrets into binary files",
        )
    return screen.text(diff)


def _binary_parts(diff: bytes) -> Iterator[bytes]:
    """The contents of a diff's binary hunks; of a delta what it inserts."""
    for match in _HUNK.finditer(diff):
        packed = b"".join(_unpacked(line) for line in match[2].splitlines())
        try:
            content = zlib.decompressobj().decompress(packed, _INFLATED)
        except zlib.error:
            continue
        yield content if match[1] == b"literal" else _inserted(content)


def _inserted(delta: bytes) -> bytes:
    """The new bytes in a git delta: after two lengths come copies (high bit set) and insertions of up to 127 bytes."""
    at, out = 0, b""
    for _ in range(2):
        while at < len(delta) and delta[at] & 0x80:
            at += 1
        at += 1
    while at < len(delta):
        word = delta[at]
        at += 1
        if word & 0x80:
            at += (word & 0x7F).bit_count()
        else:
            out += delta[at : at + word]
            at += word
    return out


def _unpacked(line: bytes) -> bytes:
    """One line of git's base 85: a letter for the length, then groups of five."""
    length = line[0] - 64 if line[0] < 97 else line[0] - 70
    try:
        return base64.b85decode(line[1:])[:length]
    except ValueError:
        return b""
