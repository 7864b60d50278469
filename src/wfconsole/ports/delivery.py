"""The port of messages to people: letters, the operator's connections, and what became of a letter.

Refuses to know protocols. The decision that would surprise: a delivery is a conversation with a folder, the outbox of one step of
one run. Whoever calls with the same outbox, this process or the next one after a crash, gets the answer to the same letter.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

Tls = Literal["none", "starttls", "tls"]
Verdict = Literal["accepted", "refused", "failed", "timed_out", "cancelled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SmtpConnection:
    """A mail server of the operator's. `password_file` or `password_command` gives the password; it stands nowhere else.

    `sender` is the address that letters are from; `aliases` are names for addresses; `timeout_s` bounds one delivery.
    """

    host: str
    port: int
    sender: str
    tls: Tls = "starttls"
    user: str | None = None
    password_file: Path | None = None
    password_command: tuple[str, ...] = ()
    ca_file: Path | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file of a letter, read whole. `name` is what the reader of the letter sees."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One message. `to` are addresses or aliases of `via`.

    `key` is the idempotency key: letters of one key have one `message_id`, by which a receiver drops what it has already.
    `at` is the date that the letter bears, milliseconds since the epoch.
    """

    via: str
    to: tuple[str, ...]
    subject: str
    body: str
    message_id: str
    key: str
    at: int
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """What became of a letter. `reply` is the server's own word, or why there is none.

    `accepted`: the server has it, for good. `refused`: it said no for good; trying again is of no use. `failed`: it said no
    for now, or could not be reached. `timed_out`: it did not answer in time. `cancelled`: stopped before it was handed over.
    `message` is where the letter lies as it was sent; None when there was nothing to send.
    """

    verdict: Verdict
    reply: str
    warnings: tuple[str, ...] = ()
    message: Path | None = None


Stopped = Callable[[], Awaitable[bool]]
"""Returns when a stop is asked for; True for a forced one."""


Writer = Callable[[], Awaitable[Letter]]
"""Writes the letter; asked for only when it has to be sent. What it raises comes out of `deliver`, and nothing was sent."""


Permit = Callable[[], Awaitable[None]]
"""Asked right before a letter goes out or its sender is stopped. What it raises comes out of `deliver`, and neither is done."""


class Mailer(Protocol):
    """Letters by the operator's connections. Raises WfconsoleError EFFECT_FAILED for what cannot be a letter.

    That is: an unknown connection or alias, a text with a line break where a header is made of it, no recipient.
    """

    def recipients(self, via: str, to: Sequence[str]) -> tuple[str, ...]:
        """The addresses that these names stand for, each once, in order."""
        ...

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
        """Hand a letter over, once: when one of this outbox was accepted, it is never sent again nor asked for.

        Survives the death of its caller: what was under way goes on by itself, and the next call with the same `outbox`
        and `attempt` waits for it and returns its answer; a higher `attempt` tries again what was not accepted. When nobody
        can know whether a letter arrived it is sent again with its Message-ID, and a warning says so. Ends within `limit_ms`,
        or the connection's own limit, whatever the server does, and a few seconds at most.

        `permit` is asked on the caller's loop while the outbox is locked, so nobody else can begin between its answer and the
        act; None: always.
        """
        ...
