"""Durations and sizes as recipes spell them: `domain.units`, under the compiler's own name."""

from __future__ import annotations

from wfconsole.domain.units import DURATION, SIZE, duration_ms, size_bytes

__all__ = ["DURATION", "SIZE", "duration_ms", "size_bytes"]
