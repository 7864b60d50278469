"""Named points of the engine that tests can wait on. A no-op until somebody arms it; so no test has to sleep.

The names are the points of a run at which a crash matters; `arm` returns what was emitted there.
"""

from __future__ import annotations

from collections.abc import Callable

POINTS = (
    "taken", "committing", "committed", "preparing", "prepared", "going", "gone", "waited", "attempt_ended", "stopping",
    "stopped", "removing", "removed", "workspace_kept", "closed_run", "sealing", "released",
)  # fmt: skip
"""Every point, about in the order in which a run meets them."""

APART = ("copied", "applying", "applied")
"""Points of a step that has a workspace of its own."""

BEFORE = ("keeping", "kept", "putting_back", "alone", "staged", "changing", "changed", "put_back")
"""Points of an attempt that may change the workspace: it is kept before it, or put back to before the one that was lost."""

OUTSIDE = ("sending", "permitted")
"""Points of an effect, each met twice: before the outbox is written, and before the sender may begin."""

Listener = Callable[[str, str], None]
"""Called with the point's name and its subject (a run id or ``STEP#N``)."""


class Signals:
    """A zero-cost tap: `emit` does nothing unless a listener is armed."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def arm(self, listener: Listener) -> None:
        self._listeners.append(listener)

    def emit(self, point: str, subject: str) -> None:
        for listener in self._listeners:
            listener(point, subject)
