"""Durations and sizes with units: ``250ms``, ``1h30m``, ``2d``, ``64MiB``.

Owns the spelling of both. A bare number is refused: whether 30 means seconds or minutes must be written.
"""

from __future__ import annotations

import re

DURATION = r"(?:[0-9]+d)?(?:[0-9]+h)?(?:[0-9]+m(?!s))?(?:[0-9]+s)?(?:[0-9]+ms)?"
SIZE = r"[0-9]+(?:\.[0-9]+)?(?:B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)"
_PART = re.compile(r"([0-9]+)(ms|d|h|m|s)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_BYTES = {
    "B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
}  # fmt: skip
_LONGEST = 30


def duration_ms(text: str) -> int | None:
    """Milliseconds of a duration, larger units first; None when it is not one."""
    if not text or len(text) > _LONGEST or not re.fullmatch(DURATION, text, re.ASCII):
        return None
    return sum(int(number) * _MS[unit] for number, unit in _PART.findall(text))


def size_bytes(text: str) -> int | None:
    """Bytes of a size; None when it is not one. 1 MiB is 1,048,576 bytes, 1 MB is 1,000,000."""
    if len(text) > _LONGEST or not re.fullmatch(SIZE, text, re.ASCII):
        return None
    unit = text.lstrip("0123456789.")
    return int(float(text[: -len(unit)]) * _BYTES[unit])
