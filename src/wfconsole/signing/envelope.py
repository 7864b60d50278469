"""What an armored SSH signature says of itself: its namespace and its key. Pure; ssh-keygen alone says whether it holds.

Owns the limits that foreign bytes meet first. The format is the one of OpenSSH's PROTOCOL.sshsig.
"""

from __future__ import annotations

import binascii
import hashlib
from base64 import b64decode, b64encode
from dataclasses import dataclass

LIMIT = 16 * 1024
_BEGIN, _END, _MAGIC = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----", b"SSHSIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """`key`: the fingerprint of the key that claims to have signed, as ssh-keygen prints it."""

    namespace: str
    key: str


def fingerprint(blob: bytes) -> str:
    """``SHA256:...`` of a public key in its binary form."""
    return "SHA256:" + b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def key_in(text: str) -> str | None:
    """Fingerprint of the first public key in a line of a ``.pub`` or allowed_signers file; None when there is none."""
    for word in text.split():
        blob = _decoded(word) if word.startswith("AAAA") else None
        if blob is not None and _strings(blob):
            return fingerprint(blob)
    return None


def read_envelope(armored: str) -> Envelope | str:
    """The envelope, or a sentence that says why this is no signature."""
    if len(armored) > LIMIT:
        return f"The signature is larger than {LIMIT // 1024} KiB."
    text = armored.strip()
    if not text.startswith(_BEGIN):
        return "This is no SSH signature."
    if not text.endswith(_END):
        return "The signature is cut off: its last line is missing."
    blob = _decoded("".join(text[len(_BEGIN) : -len(_END)].split()))
    if blob is None or blob[:6] != _MAGIC:
        return "This is no SSH signature."
    parts = _strings(blob[10:])
    if len(parts) != 5 or int.from_bytes(blob[6:10]) != 1:
        return "The signature is damaged, or of a newer kind."
    return Envelope(namespace=parts[1].decode("utf-8", "backslashreplace"), key=fingerprint(parts[0]))


def _decoded(word: str) -> bytes | None:
    try:
        return b64decode(word, validate=True)
    except (binascii.Error, ValueError):
        return None


def _strings(blob: bytes) -> list[bytes]:
    """The length-prefixed strings that `blob` consists of; empty when it consists of something else."""
    found, at = [], 0
    while at < len(blob):
        end = at + 4 + int.from_bytes(blob[at : at + 4])
        if at + 4 > len(blob) or end > len(blob):
            return []
        found.append(blob[at + 4 : end])
        at = end
    return found
