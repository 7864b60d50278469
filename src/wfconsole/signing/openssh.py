"""A Signer over OpenSSH's own ssh-keygen: signs with the operator's key, and asks it whether others' signatures hold.

Owns the words for what is wrong with a signature. Refuses to judge a signature itself: what is read here of an envelope or
of a message can only refuse. The decision that would surprise: without an allowed_signers file two keys count, the state
folder's and the operator's own when one is configured, and both are one principal, the actor's name.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from wfconsole.ports import Verification
from wfconsole.signing.envelope import Envelope, read_envelope
from wfconsole.signing.keys import operator_key, principals_of, public_key, refuse_open_key
from wfconsole.signing.program import Ended, SshKeygen, unusable

_LONGEST_NAME = 1024
_LIMITS = {
    "has expired": "had expired",
    "not yet valid": "was not yet valid",
    "not permitted for use in signature namespace": "may not be used for this purpose",
}


class OpenSshSigner:
    """`keys`: the state folder's folder of keys. `own_key`: path of the operator's own SSH key, either half.

    `agent_socket` is asked for the own key only. `revoked_keys`: a key revocation list or a file of public keys.
    """

    def __init__(
        self,
        *,
        keys: Path,
        allowed_signers: Path | None,
        own_key: str | None,
        actor_name: str,
        agent_socket: str | None,
        revoked_keys: Path | None = None,
        program: str = "ssh-keygen",
        seconds: float = 5.0,
    ) -> None:
        self._keys = keys
        self._allowed = allowed_signers
        self._own = Path(own_key).expanduser() if own_key else None
        self._actor_name = actor_name
        self._agent_socket = agent_socket
        self._revoked = ("-r", str(revoked_keys)) if revoked_keys else ()
        self._keygen = SshKeygen(program=program, seconds=seconds)

    @property
    def has_allowed_signers(self) -> bool:
        return self._allowed is not None

    async def identity(self) -> str:
        return await asyncio.to_thread(self._identity)

    async def sign(self, payload: bytes, *, namespace: str) -> str:
        return await asyncio.to_thread(self._sign, payload, namespace)

    async def verify(
        self, payload: bytes, armored: str, *, namespace: str, claimed: str, at: int | None = None
    ) -> Verification:
        return await asyncio.to_thread(self._verify, payload, armored, namespace, claimed, at)

    # -------------------------------------------------------------------------------------------------------- signing

    def _identity(self) -> str:
        """The actor's name when the file lists it for this key (or lists only patterns, or nothing), else the first name."""
        if self._allowed is None:
            return self._actor_name
        key = self._own_fingerprint(self._own) if self._own else public_key(_public(self._operator_key()))
        names = principals_of(key, self._allowed) if key else ()
        return names[0] if names and self._actor_name not in names else self._actor_name

    def _operator_key(self) -> Path:
        return operator_key(self._keygen, self._keys, self._actor_name)

    def _sign(self, payload: bytes, namespace: str) -> str:
        key = _checked(self._own) if self._own else self._operator_key()
        agent = self._agent_socket if self._own else None
        ended = self._keygen.run("-Y", "sign", "-f", str(key), "-n", namespace, stdin=payload, agent_socket=agent)
        if not ended.ok:
            hint = f"`ssh-add {_private(key)}`, so that the agent holds it" if self._own else "mend it, then try again"
            raise unusable(f"The key {key} could not sign: {ended.last_words}.", hint)
        return ended.out

    def _own_fingerprint(self, path: Path) -> str:
        ended = self._keygen.run("-l", "-E", "sha256", "-f", str(_checked(path)))
        words = ended.out.split()
        if not ended.ok or len(words) < 2:
            raise unusable(f"The key {path} cannot be read: {ended.last_words}.", "give the path of an SSH key")
        return words[1]

    # ------------------------------------------------------------------------------------------------------ verifying

    def _verify(self, payload: bytes, armored: str, namespace: str, claimed: str, at: int | None) -> Verification:
        envelope = read_envelope(armored)
        if isinstance(envelope, str):
            return Verification(valid=False, problem=envelope)
        if envelope.namespace != namespace:
            problem = f"The signature was made for {_shown(envelope.namespace)}, not for {namespace}."
        elif not claimed.isprintable() or not 0 < len(claimed) <= _LONGEST_NAME:
            problem = "The payload names nobody that a key could belong to."
        else:
            with _descriptor("\n".join([*armored.strip().splitlines(), ""]).encode()) as signature:
                check = _Check(self._keygen, signature, payload, namespace)
                if self._allowed is None:
                    return self._by_operator(check, envelope, claimed)
                return self._by_allowed(check, envelope, claimed, self._allowed, at)
        return Verification(valid=False, key=envelope.key, problem=problem)

    def _by_operator(self, check: _Check, envelope: Envelope, claimed: str) -> Verification:
        found = Verification(valid=False, key=envelope.key)
        if not self._knows(envelope.key):
            return replace(found, problem=f"The key {envelope.key} is unknown here.")
        if claimed != self._actor_name:
            return replace(found, problem=f"The key belongs to {self._actor_name}, the payload names {claimed}.")
        ended = check.bare()
        if not ended.ok or ended.out.split()[-1:] != [envelope.key]:
            return replace(found, problem=_unfit(ended))
        return Verification(valid=True, principal=claimed, key=envelope.key)

    def _knows(self, key: str) -> bool:
        return key == public_key(_public(self._keys / "operator")) or (
            self._own is not None and key == self._own_fingerprint(self._own)
        )

    def _by_allowed(
        self, check: _Check, envelope: Envelope, claimed: str, allowed: Path, at: int | None
    ) -> Verification:
        found = Verification(valid=False, key=envelope.key)
        if not os.access(allowed, os.R_OK):
            return replace(found, problem=f"{allowed} cannot be read, so nobody's signature counts.")
        # The zone that ssh-keygen reads the file's own times in; it is given ours.
        moment = () if at is None else (f"-Overify-time={time.strftime('%Y%m%d%H%M%S', time.localtime(at // 1000))}",)
        ended = check.run("verify", "-f", str(allowed), "-I", claimed, *self._revoked, *moment)
        if ended.ok:
            return Verification(valid=True, principal=claimed, key=ended.out.split()[-1])
        return replace(found, problem=_why_not(check, ended, envelope, claimed, allowed, moment))


class _Check:
    """One signature, as a file descriptor, and the questions about it."""

    def __init__(self, keygen: SshKeygen, signature: int, payload: bytes, namespace: str) -> None:
        self._keygen = keygen
        self._signature = signature
        self._payload = payload
        self._namespace = namespace

    def run(self, verb: str, *words: str) -> Ended:
        about = ("-n", self._namespace, "-s", f"/dev/fd/{self._signature}")
        return self._keygen.run("-Y", verb, *words, *about, stdin=self._payload, keep=(self._signature,))

    def bare(self) -> Ended:
        """Whether it fits the payload, whosever it is."""
        return self.run("check-novalidate")


def _why_not(
    check: _Check, ended: Ended, envelope: Envelope, claimed: str, allowed: Path, moment: tuple[str, ...]
) -> str:
    """In order: it does not fit; its key is listed with limits; it is nobody's; it is somebody else's; it is revoked."""
    bare = check.bare()
    if ended.late or not bare.ok:
        return _unfit(ended if ended.late else bare)
    named = check.run("find-principals", "-f", str(allowed), *moment)
    owners = named.out.split("\n")[:-1] if named.ok else []
    told = ended.err if owners else ended.err + named.err
    for words, reason in _LIMITS.items():
        if words in told:
            return f"The key {envelope.key} {reason}, says {allowed}."
    if not owners:
        return f"The key {envelope.key} is unknown: {allowed} does not list it."
    if claimed not in owners:
        return f"The key belongs to {', '.join(owners)}, the payload names {claimed}."
    return f"The key {envelope.key} of {claimed} is revoked."


def _unfit(ended: Ended) -> str:
    if ended.late:
        return f"The signature could not be checked: {ended.last_words}."
    return "The signature does not fit: it is damaged, or what it was made for has been changed since."


def _checked(own: Path) -> Path:
    if not own.is_file():
        raise unusable(f"There is no key {own}.", "give the path of an SSH key, either half")
    if _private(own).exists():
        refuse_open_key(_private(own))
    return own


def _private(path: Path) -> Path:
    return path.with_suffix("") if path.suffix == ".pub" else path


def _public(private: Path) -> Path:
    return private.with_name(private.name + ".pub")


def _shown(text: str) -> str:
    plain = "".join(char if char.isprintable() else "?" for char in text[:80])
    return plain or "nothing"


@contextmanager
def _descriptor(data: bytes) -> Iterator[int]:
    """A file without a name: nothing stays on disk when this process is killed."""
    descriptor = os.memfd_create("signature", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        yield descriptor
    finally:
        os.close(descriptor)
