"""What every test of delivery needs: a mailer for a port, and one letter on its way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.contracts.mailer_contract import LETTER
from wfconsole.delivery.mailer import SmtpMailer
from wfconsole.ports.delivery import Delivery, Letter, SmtpConnection

HERE = SmtpConnection(host="127.0.0.1", port=0, tls="none", sender="Flow <flow@example.org>", timeout_s=5)
PASSWORD = "correct horse é battery"
TO_ANN = replace(LETTER, to=("ann@example.org",))


def to(port: int, **more: Any) -> SmtpMailer:
    return SmtpMailer({"mail": replace(HERE, port=port, **more)})


def deliver(
    mailer: SmtpMailer,
    outbox: Path,
    attempt: int = 1,
    letter: Letter = TO_ANN,
    stop: asyncio.Event | None = None,
) -> Delivery:
    async def write() -> Letter:
        return letter

    async def work() -> Delivery:
        event = stop or asyncio.Event()

        async def stopped() -> bool:
            await event.wait()
            return False

        one = mailer.deliver(write, outbox=outbox, attempt=attempt, limit_ms=None, stopped=stopped)
        return await asyncio.wait_for(one, 20)

    return asyncio.run(work())
