"""Which boot of the machine this is, and the clock that runs since then: what leases are counted by.

Refuses to know leases. No setting of the wall clock moves this clock, no sleep of the machine stops it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import cache
from pathlib import Path


def boottime_ms() -> int:
    """Milliseconds since this machine started, asleep or not; no setting of the wall clock moves it, no time namespace either."""
    return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - namespace_offset_ns()) // 1_000_000


@cache
def namespace_offset_ns() -> int:
    """By how much this process sees the time since boot moved: rows of others are written in the machine's own."""
    with suppress(OSError):
        for line in Path("/proc/self/timens_offsets").read_text(encoding="ascii").splitlines():
            clock, seconds, nanoseconds = line.split()
            if clock == "boottime":
                return int(seconds) * 1_000_000_000 + int(nanoseconds)
    return 0


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
