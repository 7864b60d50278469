"""What the operator should know about a copy, gathered path by path and told as a few sentences."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from wfconsole.workspace.beneath import shown

_SHOWN = 3

_SENTENCES = {
    "changed": "uncommitted changes are not in the copy",
    "untracked": "untracked files are not in the copy",
    "submodules": "submodules are not fetched; their folders are empty",
    "links": "links point outside the workspace and lead nowhere in it",
    "git": "nested git folders are left out",
    "special": "pipes, sockets and devices are left out",
    "sparse": "huge files full of holes are left out",
    "lfs": "files are Git LFS pointers, not their contents",
    "own": "the folder of this run is left out",
    "unsafe": "entries have names that cannot be copied",
}


@dataclass(slots=True)
class Notes:
    """Paths by what is to be said about them; `first` are sentences that go before."""

    first: list[str] = field(default_factory=list)
    paths: defaultdict[str, list[bytes]] = field(default_factory=lambda: defaultdict(list))

    def add(self, kind: str, *paths: bytes) -> None:
        """Remember paths under one of the kinds above."""
        self.paths[kind].extend(paths)

    def sentences(self) -> tuple[str, ...]:
        """One sentence a kind, with the first few names."""
        told = list(self.first)
        for kind, sentence in _SENTENCES.items():
            found = self.paths.get(kind)
            if found:
                names = ", ".join(shown(path) for path in found[:_SHOWN])
                more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
                told.append(f"{sentence[0].upper()}{sentence[1:]}: {names}{more}.")
        return tuple(told)


def leads_out(path: bytes, target: bytes) -> bool:
    """Whether a link at `path` with this target points outside, as far as the text of both can say."""
    if target.startswith(b"/"):
        return True
    level = path.count(b"/")
    for part in target.split(b"/"):
        if part == b"..":
            level -= 1
        elif part not in {b"", b"."}:
            level += 1
        if level < 0:
            return True
    return False


def is_lfs_pointer(data: bytes) -> bool:
    """Whether the start of a small file is a Git LFS pointer."""
    return data.startswith(b"version https://git-lfs.github.com/spec/")
