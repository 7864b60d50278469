"""When a byte of a log was written, about: read from what the sandbox's owner noted while it looked on.

Refuses to be exact: the answer is the moment at which somebody first saw the stream longer than that.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import BinaryIO

LARGEST = 16 * 1024 * 1024


class LogTimes:
    """Moments by offset. Made anew when the file has grown; a file that does not read as one gives no times."""

    def __init__(self, data: bytes = b"") -> None:
        self._sizes: list[int] = []
        self._moments: list[int | None] = []
        for line in data.splitlines():
            parts = line.split()
            if len(parts) not in {2, 3} or not (parts[0].isdigit() and parts[1].isdigit()):
                continue
            size = int(parts[1])
            if not self._sizes or size > self._sizes[-1]:
                self._sizes.append(size)
                self._moments.append(None if len(parts) == 3 else int(parts[0]))

    def __bool__(self) -> bool:
        return bool(self._sizes)

    def at(self, offset: int) -> int | None:
        """Milliseconds since the epoch at which the byte at `offset` had been written; None when nobody looked on."""
        place = bisect_right(self._sizes, offset)
        return self._moments[place] if place < len(self._moments) else None


def read_times(file: BinaryIO | None) -> LogTimes:
    """From an open file, which is closed; nothing for a file that is not there or too large to be one of ours."""
    if file is None:
        return LogTimes()
    with file:
        data = file.read(LARGEST + 1)
    return LogTimes(data if len(data) <= LARGEST else b"")
