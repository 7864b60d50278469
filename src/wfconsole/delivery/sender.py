"""The program that hands one letter to a mail server: ``python -m wfconsole.delivery.sender OUTBOX``, the connection on stdin.

Runs in a session of its own, so that whoever started it may die. Refuses to decide whether a letter should be sent: that was
decided under the lock that it inherits. The decision that would surprise: the message's end mark is sent apart from the message,
because only then it is known to the byte up to when a stop, a crash or a deadline means that nothing was sent.

SIGTERM stops it before that moment and is disregarded after it; a deadline ends it either way.
"""

from __future__ import annotations

import base64
import json
import os
import signal
import smtplib
import socket
import ssl
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from wfconsole.delivery.outbox import ACCEPTED, MESSAGE, REFUSED, REQUEST, SENDER, TRANSMITTING, Outbox

_GOODBYE_S = 2.0


class _StopError(Exception):
    """Somebody asked to stop before the message was handed over."""


class _LateError(Exception):
    """The deadline has passed."""


class _RefusedError(Exception):
    """The server said no."""

    def __init__(self, code: int, text: bytes, about: str) -> None:
        words = text.decode("utf-8", "replace").strip()
        super().__init__(f"{about}: {code} {words}".strip())
        self.code = code


@dataclass(slots=True)
class _Sending:
    """One conversation; `committed` from right before the end mark on."""

    box: Outbox
    server: dict[str, Any]
    committed: bool = False

    def stop(self, _number: int, _frame: FrameType | None) -> None:
        if not self.committed:
            raise _StopError

    def late(self, _number: int, _frame: FrameType | None) -> None:
        raise _LateError

    def run(self, request: dict[str, Any], message: bytes) -> str:
        """The server's word on the message that it has taken."""
        connection = self._connect()
        try:
            _expect(
                connection.mail(request["sender"], [f"size={len(message)}"] * connection.has_extn("size")), "sender"
            )
            for address in request["to"]:
                _expect(connection.rcpt(address), address)
            _expect(connection.docmd("DATA"), "message", wanted=3)
            return self._transmit(connection, message)
        finally:
            if not self.committed:
                connection.close()

    def _connect(self) -> smtplib.SMTP:
        server, name = self.server, socket.gethostname()
        wait = 2 * float(
            server["timeout_s"]
        )  # the deadline of the whole comes first, and is told from a lost connection
        if server["tls"] == "tls":
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server["host"], server["port"], local_hostname=name, timeout=wait, context=self._context()
            )
        else:
            connection = smtplib.SMTP(server["host"], server["port"], local_hostname=name, timeout=wait)
        connection.ehlo_or_helo_if_needed()
        if server["tls"] == "starttls":
            connection.starttls(context=self._context())
            connection.ehlo_or_helo_if_needed()
        if server["user"] is not None:
            _login(connection, server["user"], server["password"] or "")
        return connection

    def _context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.server["ca_file"])

    def _transmit(self, connection: smtplib.SMTP, message: bytes) -> str:
        connection.send(_stuffed(message))
        self.committed = True  # first: from here on a stop is disregarded
        self.box.note(TRANSMITTING, pid=os.getpid())
        connection.send(b".\r\n")
        answer = connection.getreply()
        signal.setitimer(signal.ITIMER_REAL, 0)  # nothing may interrupt the note of what was answered
        code, text = _expect(answer, "message")
        reply = f"{code} {text.decode('utf-8', 'replace').strip()}".strip()
        self.box.note(ACCEPTED, reply=reply)
        with suppress(OSError):
            if connection.sock is not None:
                connection.sock.settimeout(_GOODBYE_S)
            connection.quit()
        return reply


def _login(connection: smtplib.SMTP, user: str, password: str) -> None:
    """PLAIN where the server takes it, because smtplib writes no password that is not ASCII."""
    if "PLAIN" in str(connection.esmtp_features.get("auth", "")).upper().split():
        said = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        _expect(connection.docmd("AUTH", f"PLAIN {said}"), "login")
    else:
        connection.login(user, password)


def _expect(answer: tuple[int, bytes], about: str, wanted: int = 2) -> tuple[int, bytes]:
    """The answer, when it is of the wanted class."""
    if answer[0] // 100 != wanted:
        raise _RefusedError(answer[0], answer[1], about)
    return answer


def _stuffed(message: bytes) -> bytes:
    """The message as it goes over the wire but for its end mark: lines end with CR LF, leading dots are doubled."""
    lines = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return b"".join(b"." * line.startswith(b".") + line + b"\r\n" for line in lines)


def send(box: Outbox, server: dict[str, Any]) -> None:
    """Have the conversation and note how it ended."""
    sending = _Sending(box, server)
    signal.signal(signal.SIGTERM, sending.stop)
    signal.signal(signal.SIGALRM, sending.late)
    signal.setitimer(signal.ITIMER_REAL, float(server["timeout_s"]))
    request = box.read(REQUEST) or {}
    try:
        box.note(SENDER, pid=os.getpid())
        sending.run(request, (box.folder / MESSAGE).read_bytes())
    except _StopError:
        _refuse(box, sending, "cancelled", "stopped before the message was handed over")
    except (_LateError, TimeoutError):
        _refuse(box, sending, "timed_out", f"no answer within {server['timeout_s']:g} s")
    except _RefusedError as error:
        _refuse(box, sending, "refused" if error.code >= 500 else "failed", str(error), answered=True)
    except smtplib.SMTPResponseException as error:
        refused = _RefusedError(error.smtp_code, _bytes(error.smtp_error), "server")
        _refuse(box, sending, "refused" if error.smtp_code >= 500 else "failed", str(refused))
    except (smtplib.SMTPNotSupportedError, ssl.SSLCertVerificationError) as error:
        _refuse(box, sending, "refused", str(error))
    except (OSError, smtplib.SMTPException) as error:
        _refuse(box, sending, "failed", f"{type(error).__name__}: {error}")
    except Exception as error:  # noqa: BLE001 - whoever waits is told; not the text, which could hold a password
        _refuse(box, sending, "failed", type(error).__name__)


def _bytes(text: bytes | str) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def _refuse(box: Outbox, sending: _Sending, verdict: str, reply: str, *, answered: bool = False) -> None:
    """`certain`: the server has surely not taken the message."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    if box.read(ACCEPTED) is not None:  # the deadline came between the answer and our end
        return
    attempt = (box.read(REQUEST) or {}).get("attempt")
    certain = answered or not sending.committed
    box.note(REFUSED, verdict=verdict, reply=reply[:2000], certain=certain, attempt=attempt)


def main() -> int:
    """Nothing is done unless the whole connection came in: whoever started this may have died meanwhile."""
    try:
        server = json.loads(sys.stdin.buffer.read())
    except ValueError:
        return 1
    send(Outbox(Path(sys.argv[1])), server)
    return 0


if __name__ == "__main__":
    sys.exit(main())
