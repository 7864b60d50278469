"""The events of setting a run aside and of taking it back. Part of the one union in `events`, whose rules hold here, too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class RunQuarantined:
    """Driving the run failed `attempts` times in a row, the last time like this: nobody drives it until it is taken back."""

    attempts: int
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReadmitted:
    """An operator's resume, or cancel, has taken the run back: the next owner drives it."""
