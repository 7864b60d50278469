"""Wall time. The one module of the engine that reads the clock."""

from __future__ import annotations

import time


class SystemClock:
    """`ports.Clock` by the system's wall clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
