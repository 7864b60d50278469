"""How this operator wants the console: theme, glyphs, keys, pace. `main` reads it from config.toml's table ``[console]``.

Owns the defaults and what depends on the terminal. Refuses to read files and the environment itself: both come in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FRAME_SECONDS = 0.1
SSH_FRAME_SECONDS = 0.25
LOW_BANDWIDTH_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsoleSettings:
    """`theme` None: chosen by the terminal. `themes`: folders of theme files, the first that has a name wins.

    `keys`: keys by action id, in Textual's spelling. `read_only` hides every action that changes something. `save`: where the
    choices of the settings screen are kept; None keeps them nowhere.
    """

    theme: str | None = None
    themes: tuple[Path, ...] = ()
    ascii_only: bool = False
    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    read_only: bool = False
    low_bandwidth: bool = False
    over_ssh: bool = False
    mouse: bool = True
    no_color: bool = False
    in_tmux: bool = False
    notices: tuple[str, ...] = ("bell", "title")
    save: Path | None = None

    @property
    def frame_seconds(self) -> float:
        """How often at most a live picture is drawn anew."""
        if self.low_bandwidth:
            return LOW_BANDWIDTH_SECONDS
        return SSH_FRAME_SECONDS if self.over_ssh else FRAME_SECONDS
