"""What became of the attempts that a dead owner left: gathered as it turns out, told once when all of it is known.

Refuses to change anything: it listens. An owner that dies before all is known tells nothing; the next one does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from wfconsole.domain.events import AttemptAbandoned, AttemptAdopted, Record
from wfconsole.views.crash_report import Found, crash_report

Say = Callable[[str], None]


class Recovery:
    """One take-over. `open_attempts` are names ``STEP#ATTEMPT``; `before` is the journal as it was found."""

    def __init__(
        self, run_id: str, crashed: str, before: Sequence[Record], open_attempts: Sequence[str], say: Say
    ) -> None:
        self._run_id = run_id
        self._crashed = crashed
        self._before = before
        self._open = list(open_attempts)
        self._found: dict[str, Found] = {}
        self._say: Say | None = say

    def begun(self, name: str) -> None:
        """An attempt that had not begun begins now."""
        self._note(name, "begun")

    def committed(self, records: Sequence[Record]) -> None:
        """Look at what was recorded; whatever ends and was neither there nor begun anew had no container."""
        for event in (record.event for record in records):
            name = f"{getattr(event, 'step_id', '')}#{getattr(event, 'attempt', '')}"
            match event:
                case AttemptAdopted():
                    self._note(name, "adopted")
                case AttemptAbandoned():
                    self._note(name, "again")
                case _:
                    self._note(name, "ended")
        if len(self._found) == len(self._open):
            self.tell()

    def _note(self, name: str, what: Found) -> None:
        if name in self._open and (what == "again" or name not in self._found):
            self._found[name] = what

    def tell(self) -> None:
        """Tell what is known, once."""
        if self._say is not None:
            say, self._say = self._say, None
            found = {name: self._found[name] for name in self._open if name in self._found}
            say(crash_report(self._run_id, self._crashed, self._before, found))
