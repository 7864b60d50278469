"""`ports.delivery.Mailer` in memory: what was sent, and what it says of the next letters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wfconsole.ports import WfconsoleError
from wfconsole.ports.delivery import Delivery, Letter, Permit, Stopped, Verdict, Writer


class FakeMailer:
    """Knows the connection ``mail`` with the alias ``ops``. `verdicts` are used up first to last; then all is accepted."""

    def __init__(self) -> None:
        self.sent: list[Letter] = []
        self.verdicts: list[tuple[Verdict, str]] = []
        self._answers: dict[Path, tuple[int, Delivery]] = {}

    def recipients(self, via: str, to: Sequence[str]) -> tuple[str, ...]:
        if via != "mail":
            raise WfconsoleError("EFFECT_FAILED", f"there is no connection {via!r}", "add it")
        found = tuple(dict.fromkeys("ops@example.org" if name == "ops" else name for name in to))
        for address in found:
            if "@" not in address or "\n" in address or "\r" in address:
                raise WfconsoleError("EFFECT_FAILED", f"{address!r} is no address and no alias", "write one")
        if not found:
            raise WfconsoleError("EFFECT_FAILED", "the letter has no recipient", "name one")
        return found

    async def deliver(
        self,
        write: Writer,
        *,
        outbox: Path,
        attempt: int,
        limit_ms: int | None,
        stopped: Stopped,
        permit: Permit | None = None,
    ) -> Delivery:
        known = self._answers.get(outbox)
        if known is not None and (known[1].verdict == "accepted" or known[0] == attempt):
            return known[1]
        letter = await write()
        self.recipients(letter.via, letter.to)
        if "\n" in letter.subject or "\r" in letter.subject:
            raise WfconsoleError("EFFECT_FAILED", "a line break in the subject", "keep it on one line")
        if permit is not None:
            await permit()
        verdict, reply = self.verdicts.pop(0) if self.verdicts else ("accepted", "250 taken")
        outbox.mkdir(parents=True, exist_ok=True)
        message = outbox / "message.eml"
        message.write_text(f"Subject: {letter.subject}\n\n{letter.body}")
        if verdict == "accepted":
            self.sent.append(letter)
        delivery = Delivery(verdict=verdict, reply=reply, message=message)
        self._answers[outbox] = (attempt, delivery)
        return delivery
