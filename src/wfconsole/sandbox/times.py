"""When a step wrote what: for each stream how long it was at which moment, as far as somebody looked on.

Owns the files: lines ``MILLISECONDS BYTES``, with `` gap`` where nobody looked on before. While the attempt runs they lie in
its `in` folder, which the container can only read, so a step cannot forge them; afterwards beside the logs, as
``N.stdout.times``. The decision that would surprise: a moment is when growth was seen, a quarter of a second late at most,
and whoever shows it says "about".
"""

from __future__ import annotations

import stat
from contextlib import suppress
from pathlib import Path

from wfconsole.ports import SandboxSpec

FOLDER = "times"
STREAMS = ("stdout", "stderr")


class Times:
    """The growth of one attempt's streams. An owner that takes the attempt over goes on where the one before left off."""

    def __init__(self, spec: SandboxSpec) -> None:
        self._spec = spec
        self._folder = spec.in_dir / FOLDER
        self._known: dict[str, int] = {}
        self._gap: set[str] = set()
        for name in self._names():
            with suppress(OSError, ValueError, IndexError):
                self._known[name] = int((self._folder / name).read_text().splitlines()[-1].split()[1])
                self._gap.add(name)

    def _names(self) -> list[str]:
        return [f"{index}.{stream}" for index in range(len(self._spec.commands)) for stream in STREAMS]

    def look(self, now_ms: int) -> None:
        """Note what has grown. What cannot be written is left out: a log without times is a log."""
        for name in self._names():
            with suppress(OSError):
                found = (self._spec.out_dir / name).lstat()
                if stat.S_ISREG(found.st_mode) and found.st_size != self._known.get(name, 0):
                    self._note(name, now_ms, found.st_size)

    def _note(self, name: str, now_ms: int, size: int) -> None:
        self._folder.mkdir(exist_ok=True)
        with (self._folder / name).open("a") as file:
            file.write(f"{now_ms} {size}{' gap' if name in self._gap else ''}\n")
        self._gap.discard(name)
        self._known[name] = size

    def keep(self) -> None:
        """Lay the files beside the logs, over whatever the step may have put there."""
        for name in self._names():
            target = self._spec.out_dir / f"{name}.times"
            with suppress(OSError):
                _clear(target)
                (self._folder / name).replace(target)


def _clear(path: Path) -> None:
    """Whatever has this name goes, unless it is a folder: then there will be no times."""
    with suppress(FileNotFoundError):
        path.unlink()
