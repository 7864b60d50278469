"""A letter as the bytes of a message, and what cannot be one.

Owns headers. Refuses to know servers. The decision that would surprise: a line break in what becomes a header is refused and not
folded away, because whoever wrote it meant another header. Nothing in a message leaves seven bits, so every server can take it.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

from wfconsole.ports import WfconsoleError
from wfconsole.ports.delivery import Attachment, Letter

_POLICY = SMTP.clone(cte_type="7bit")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]")
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SPEC = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_NAMED = re.compile(r'\s*(?:"([^"\\]*)"|([^"<>,;:@\\]*?))\s*<([^<>]+)>\s*')


def failed(message: str, hint: str) -> WfconsoleError:
    """What every problem of a letter is."""
    return WfconsoleError("EFFECT_FAILED", message, hint)


def address_of(text: str) -> Address:
    """``ann@example.org`` or ``Ann <ann@example.org>``. Raises EFFECT_FAILED for anything else, and for any line break."""
    _plain(text, "address")
    named = _NAMED.fullmatch(text)
    spec = named[3] if named else text.strip()
    if not _SPEC.fullmatch(spec) or len(spec) > 254:
        raise failed(f"{text[:100]!r} is no address", "write name@host.domain, or Name <name@host.domain>")
    return Address(display_name=(named[1] or named[2] or "") if named else "", addr_spec=spec)


def recipients(to: Sequence[str], aliases: Mapping[str, str], via: str) -> tuple[Address, ...]:
    """The addresses behind these names, each once. Raises EFFECT_FAILED."""
    found: dict[str, Address] = {}
    for name in to:
        if name not in aliases and "@" not in name:
            known = ", ".join(sorted(aliases)) or "none"
            hint = f"write an address, or one of the aliases of [connections.{via}]: {known}"
            raise failed(f"{_CONTROL.sub('?', name)[:100]!r} is no address and no alias of {via}", hint)
        address = address_of(aliases.get(name, name))
        found.setdefault(address.addr_spec.lower(), address)
    if not found:
        raise failed("the letter has no recipient", "give `to` an address or an alias")
    return tuple(found.values())


def compose(letter: Letter, sender: str, to: Sequence[Address]) -> bytes:
    """The whole message, lines ended by CR LF. Raises EFFECT_FAILED for a header that cannot be written."""
    message = EmailMessage(policy=_POLICY)
    message["From"] = address_of(sender)
    message["To"] = tuple(to)
    message["Subject"] = _plain(letter.subject, "subject")
    message["Date"] = datetime.fromtimestamp(letter.at // 1000, UTC)
    message["Message-ID"] = _plain(letter.message_id, "Message-ID")
    message["Idempotency-Key"] = _plain(letter.key, "idempotency key")
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_encodable(letter.body), subtype="plain", charset="utf-8")
    for attachment in letter.attachments:
        _attach(message, attachment)
    return message.as_bytes()


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    guessed, encoding = mimetypes.guess_type(attachment.name)
    main, _, sub = (guessed if guessed and encoding is None else "application/octet-stream").partition("/")
    if main in {"message", "multipart"}:  # those cannot be carried as the bytes that they are
        main, sub = "application", "octet-stream"
    name = _plain(attachment.name, "name of an attachment")
    message.add_attachment(attachment.data, maintype=main, subtype=sub, filename=name)


def _plain(text: str, what: str) -> str:
    """A text that a header can carry."""
    if _CONTROL.search(text):
        shown = _CONTROL.sub("?", text)[:100]
        raise failed(f"a line break or another control character in the {what}: {shown!r}", "keep it on one line")
    return text


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise failed("the body holds bytes that are no text", "send them as an attachment") from error
    return text
