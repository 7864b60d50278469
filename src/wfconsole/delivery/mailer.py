"""`ports.delivery.Mailer` by SMTP: judges an outbox under its lock, starts the sender, waits for whichever sender there is.

Owns the decision whether a letter is sent (again). Refuses to speak SMTP itself: the sender is another process, which lives on
when this one dies. The decision that would surprise: whether a sender is alive is asked of the lock alone, so it makes no
difference whether we started it or a process before us did.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from wfconsole.delivery.letter import compose, failed, recipients
from wfconsole.delivery.outbox import ACCEPTED, MESSAGE, REFUSED, REQUEST, SENDER, TRANSMITTING, Outbox
from wfconsole.ports.delivery import Delivery, Letter, Permit, SmtpConnection, Stopped, Verdict, Writer

POLL_S = 0.02
GRACE_S = 5.0
"""How long after its deadline a sender may take to say so before it is killed."""
LAUNCHES = 3
"""How often one call starts a sender: more than once only when one died without a word."""
PASSWORD_S = 10.0
_LEFT: list[subprocess.Popen[bytes]] = []
_HELD = "another process keeps the outbox and does not go on; whether the letter arrives is not known"
_AGAIN = "it is not known whether an earlier transmission of this letter arrived; it was sent again as {}"


class SmtpMailer:
    """Letters by the operator's SMTP connections. Passwords reach the sender by a pipe, never by argv, environment or disk."""

    def __init__(self, connections: Mapping[str, SmtpConnection]) -> None:
        self._connections = connections

    def recipients(self, via: str, to: Sequence[str]) -> tuple[str, ...]:
        return tuple(str(address) for address in recipients(to, self._connection(via).aliases, via))

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
        async def begin() -> _Posting:
            letter = await write()
            connection = self._connection(letter.via)
            limit = connection.timeout_s if limit_ms is None else min(connection.timeout_s, limit_ms / 1000)
            return _Posting(letter=letter, connection=connection, limit=limit)

        one = _Delivering(begin, Outbox(outbox), attempt, permit or _always)
        stop: asyncio.Future[bool] = asyncio.ensure_future(_stop(stopped))
        try:
            return await one.to_end(stop)
        finally:
            one.leave()
            stop.cancel()
            await asyncio.gather(stop, return_exceptions=True)

    def _connection(self, via: str) -> SmtpConnection:
        found = self._connections.get(via)
        if found is None:
            known = ", ".join(sorted(self._connections)) or "none"
            hint = f"add [connections.{via}] to config.toml; there is {known}"
            raise failed(f"there is no connection {via!r}", hint)
        return found


async def _stop(stopped: Stopped) -> bool:
    return await stopped()


async def _always() -> None: ...


async def _asked(permit: Permit) -> None:
    await permit()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Posting:
    """A letter with the connection that it goes by; `limit` bounds the sender, in seconds."""

    letter: Letter
    connection: SmtpConnection
    limit: float


class _Delivering:
    """One call of `deliver`; made on the loop of its caller."""

    def __init__(self, begin: Callable[[], Awaitable[_Posting]], box: Outbox, attempt: int, permit: Permit) -> None:
        self._begin_with, self._box, self._attempt, self._permit = begin, box, attempt, permit
        self._loop = asyncio.get_running_loop()
        self._posting: _Posting | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._launches = 0
        self._doubt = False
        self._late = False

    def leave(self) -> None:
        """Of a sender that goes on without us only the handle is kept, which would complain of being dropped."""
        if self._process is not None and self._process.poll() is None:
            _LEFT.append(self._process)

    async def to_end(self, stop: asyncio.Future[bool]) -> Delivery:
        """Turn by turn: judge what there is, or start a sender, then wait until nobody holds the outbox."""
        while True:
            done = await asyncio.shield(asyncio.ensure_future(asyncio.to_thread(self._turn, cancelled=stop.done())))
            if isinstance(done, Delivery):
                return done
            if done == "unwritten":
                self._posting = await self._begin_with()
            elif not await self._until_free(stop):
                return Delivery(verdict="timed_out", reply=_HELD)

    def _turn(self, *, cancelled: bool) -> Delivery | Literal["sending", "unwritten"]:
        """The answer, or that somebody is sending now, or that the letter is wanted. Blocking; runs in a thread."""
        descriptor = self._box.lock()
        if descriptor is None:
            return "sending"
        try:
            done = self._judge() or self._given_up(cancelled=cancelled)
            if done is not None:
                return done
            if self._posting is None:
                return "unwritten"
            self._begin(descriptor, self._posting)
            return "sending"
        finally:
            os.close(descriptor)  # a sender that was started holds it on

    def _judge(self) -> Delivery | None:
        """What the files say of this letter and attempt, when nobody sends it; None when it is to be sent (again)."""
        box = self._box
        accepted = box.read(ACCEPTED)
        self._doubt = self._doubt or (box.read(REQUEST) or {}).get("doubt", False)
        if accepted is not None:
            return self._ended("accepted", accepted["reply"])
        refused = box.read(REFUSED)
        if refused is not None and refused["attempt"] == self._attempt:
            doubt = "" if refused["certain"] else "; whether the letter arrived is not known"
            return self._ended(refused["verdict"], f"{refused['reply']}{doubt}")
        self._doubt = self._doubt or (
            box.read(TRANSMITTING) is not None and (refused is None or not refused["certain"])
        )
        return None

    def _ended(self, verdict: str, reply: str) -> Delivery:
        known: Verdict = next((word for word in get_args(Verdict) if word == verdict), "failed")
        request, message = self._box.read(REQUEST) or {}, self._box.folder / MESSAGE
        warnings = (_AGAIN.format(request.get("message_id")),) if self._doubt else ()
        return Delivery(verdict=known, reply=reply, warnings=warnings, message=message if request else None)

    def _given_up(self, *, cancelled: bool) -> Delivery | None:
        if cancelled:
            return self._ended("cancelled", "stopped before the message was handed over")
        if self._late:
            doubt = "; whether the letter arrived is not known" if self._doubt else ""
            return self._ended("timed_out", f"the sending program did not end in time and was killed{doubt}")
        if self._launches >= LAUNCHES:
            return self._ended("failed", f"the sending program died {LAUNCHES} times without a word")
        return None

    def _ask(self) -> None:
        """Wait in a thread for the permit, which is given on the loop."""
        asyncio.run_coroutine_threadsafe(_asked(self._permit), self._loop).result()

    def _begin(self, descriptor: int, posting: _Posting) -> None:
        letter, connection = posting.letter, posting.connection
        server = _server(posting)
        to = recipients(letter.to, connection.aliases, letter.via)
        (sender,) = recipients([connection.sender], {}, letter.via)
        message = compose(letter, connection.sender, to)
        self._ask()  # what another owner noted here is not ours to overwrite
        self._box.put(MESSAGE, message)
        self._box.note(
            REQUEST,
            attempt=self._attempt,
            doubt=self._doubt,
            message_id=letter.message_id,
            limit_s=posting.limit,
            sender=sender.addr_spec,
            to=[address.addr_spec for address in to],
        )
        self._box.clear(TRANSMITTING, REFUSED, SENDER)
        self._launch(descriptor, server)

    def _launch(self, descriptor: int, server: bytes) -> None:
        """The sender begins when it has the whole connection; without a permit it gets none, and ends."""
        package = Path(__file__).resolve().parents[2]  # where `wfconsole` is imported from
        kept = {
            name: os.environ[name]
            for name in ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR")
            if name in os.environ
        }
        self._launches += 1
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "wfconsole.delivery.sender", str(self._box.folder.absolute())],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env={**kept, "PYTHONPATH": str(package)},
            pass_fds=(descriptor,),
            start_new_session=True,
        )
        stdin = self._process.stdin
        if stdin is not None:
            with suppress(BrokenPipeError), stdin:
                self._ask()
                stdin.write(server)

    async def _until_free(self, stop: asyncio.Future[bool]) -> bool:
        """Wait for the end of whoever sends; tell it of a stop, and end it when it is far over its time.

        False when the outbox is held even then: by an owner that was stopped when it was about to send.
        """
        request = await asyncio.to_thread(self._box.read, REQUEST)
        end = time.monotonic() + (request or {}).get("limit_s", 0.0) + GRACE_S
        told = False
        while not self._is_free():
            if stop.done() and not told:
                await self._permit()  # whoever lost the run would stop the sender of the next owner
                told = self._signal(signal.SIGTERM)
            if time.monotonic() > end:
                await self._permit()
                if self._late:
                    return False
                self._late = True
                self._signal(signal.SIGKILL)
                end = time.monotonic() + GRACE_S
            await asyncio.sleep(POLL_S)
        if self._process is not None:
            await asyncio.to_thread(self._process.wait)  # the lock went with it
        return True

    def _is_free(self) -> bool:
        if self._process is not None:
            self._process.poll()
        descriptor = self._box.lock()
        if descriptor is None:
            return False
        os.close(descriptor)
        return True

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the sender by the id that it noted; only while the outbox is held, so that the id is surely still its."""
        noted = self._box.read(SENDER)
        if noted is None:
            return False
        try:
            handle = os.pidfd_open(noted["pid"])
        except ProcessLookupError:
            return False
        try:
            if not self._is_free():
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            os.close(handle)
        return True


def _server(posting: _Posting) -> bytes:
    """What the sender is told of the connection, by its stdin alone."""
    connection = posting.connection
    server = {
        "host": connection.host,
        "port": connection.port,
        "tls": connection.tls,
        "user": connection.user,
        "password": _password(connection),
        "ca_file": None if connection.ca_file is None else str(connection.ca_file),
        "timeout_s": posting.limit,
    }
    return json.dumps(server).encode()


def _password(connection: SmtpConnection) -> str | None:
    """Read when a letter is sent, so that a new one counts at once. Raises EFFECT_FAILED."""
    if connection.password_command:
        return _told(connection.password_command)
    if connection.password_file is None:
        return None
    try:
        return connection.password_file.read_text().removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise failed(f"the password file of {connection.host} cannot be read: {error}", "see config.toml") from error


def _told(command: Sequence[str]) -> str:
    hint = "see password_command in config.toml"
    try:
        done = subprocess.run(
            list(command), stdin=subprocess.DEVNULL, capture_output=True, timeout=PASSWORD_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise failed(f"{command[0]} told no password: {type(error).__name__}", hint) from error
    if done.returncode != 0:
        raise failed(f"{command[0]} told no password: it ended with {done.returncode}", hint)
    return done.stdout.decode().removesuffix("\n")
