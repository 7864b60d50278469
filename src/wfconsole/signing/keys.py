"""The operator's key of a state folder: made once, kept from others' eyes; and whose line in allowed_signers names a key.

The decision that would surprise: a public half whose private half is gone is not replaced. Signatures that were made
with the old key would no longer be anybody's.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wfconsole.signing.envelope import key_in
from wfconsole.signing.program import SshKeygen, unusable

_LINE = re.compile(r'\s*(?:"([^"]*)"|([^\s#"]\S*))\s+(\S.*)')


def operator_key(keygen: SshKeygen, folder: Path, comment: str) -> Path:
    """The private key ``operator`` in `folder`, with its public half beside it; made when it is not there.

    Several processes at once get the same key. Raises DECISION_NOT_APPLIED with what to do.
    """
    private, public = folder / "operator", folder / "operator.pub"
    try:
        if not (private.exists() and public.exists()):
            with _locked(folder):
                _complete(keygen, private, public, comment)
    except OSError as error:
        raise unusable(f"The key {private} could not be made: {error.strerror}.", "mend it, then try again") from error
    refuse_open_key(private)
    return private


def refuse_open_key(private: Path) -> None:
    """Raises DECISION_NOT_APPLIED for a private key that others than its owner may touch."""
    mode = private.stat().st_mode & 0o777
    if mode & 0o077:
        raise unusable(
            f"The private key {private} is open to others (mode {mode:04o}).",
            f"chmod 600 {private}; if others may have read it, have a new one made",
        )


def public_key(path: Path) -> str | None:
    """Fingerprint of the key in a ``.pub`` file; None when it cannot be read or has none."""
    try:
        return key_in(path.read_text(errors="replace"))
    except OSError:
        return None


def principals_of(key: str, allowed_signers: Path) -> tuple[str, ...]:
    """The literal principals (no patterns) that an allowed_signers file gives to the key with this fingerprint."""
    try:
        text = allowed_signers.read_text(errors="replace")
    except OSError as error:
        raise unusable(f"{allowed_signers} cannot be read: {error.strerror}.", "mend the path, or the file") from error
    names: list[str] = []
    for line in filter(None, map(_LINE.fullmatch, text.splitlines())):
        if "cert-authority" not in line[3].lower() and key_in(line[3]) == key:
            names += (line[1] or line[2] or "").split(",")
    return tuple(dict.fromkeys(name for name in names if name and not set(name) & set("*?!")))


def _complete(keygen: SshKeygen, private: Path, public: Path, comment: str) -> None:
    if not private.exists():
        if public.exists():
            raise unusable(
                f"{private} is gone, but its public half is still there.",
                f"put it back; or remove {public}, and a new key is made that did not sign what was decided before",
            )
        _make(keygen, private, comment)
    if not public.exists():
        refuse_open_key(private)
        told = keygen.run("-y", "-f", str(private))
        if not told.ok:
            raise unusable(f"The key {private} cannot be read: {told.last_words}.", "put the right file there")
        _place(public.with_name(".new.pub"), told.out.encode(), public)


def _make(keygen: SshKeygen, private: Path, comment: str) -> None:
    """Made beside its place and moved there whole: the private half first, the public half can be derived from it."""
    nest = private.with_name(".new")
    shutil.rmtree(nest, ignore_errors=True)  # what a killed process left, we hold the lock
    nest.mkdir(mode=0o700)
    plain = "".join(char if char.isprintable() else "?" for char in comment)
    made = keygen.run("-q", "-t", "ed25519", "-N", "", "-C", plain, "-f", str(nest / "operator"))
    if not made.ok:
        raise unusable(f"The key {private} could not be made: {made.last_words}.", "mend it, then try again")
    for name in ("operator", "operator.pub"):
        _sync(nest / name)
        (nest / name).rename(private.with_name(name))
    nest.rmdir()
    _sync(private.parent)


def _place(temporary: Path, data: bytes, place: Path) -> None:
    temporary.write_bytes(data)
    _sync(temporary)
    temporary.rename(place)


def _sync(path: Path) -> None:
    """A decision that is durable has to find its key after a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
