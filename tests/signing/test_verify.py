"""Whose signature holds: every way in which one does not is a sentence, none an exception."""

from __future__ import annotations

import asyncio
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.signing.conftest import MakeKey, MakeSigner, public
from wfconsole.ports import Verification, WfconsoleError
from wfconsole.signing.envelope import key_in, read_envelope
from wfconsole.signing.openssh import OpenSshSigner

DECISION, START = "decision@wfconsole", "start@wfconsole"
PAYLOAD = b'{"choice":"approve"}'
Allow = Callable[..., Path]


def signature_by(key: Path, payload: bytes = PAYLOAD, namespace: str = DECISION) -> str:
    argv = ["ssh-keygen", "-Y", "sign", "-f", str(key), "-n", namespace]
    return subprocess.run(argv, input=payload, capture_output=True, check=True).stdout.decode()


def verified(
    signer: OpenSshSigner,
    armored: str,
    claimed: str,
    *,
    payload: bytes = PAYLOAD,
    namespace: str = DECISION,
    at: int | None = None,
) -> Verification:
    return asyncio.run(signer.verify(payload, armored, namespace=namespace, claimed=claimed, at=at))


# ------------------------------------------------------------------------------------------------ no allowed_signers file


@pytest.fixture
def own(make_signer: MakeSigner) -> OpenSshSigner:
    return make_signer()


@pytest.fixture
def armored(own: OpenSshSigner) -> str:
    return asyncio.run(own.sign(PAYLOAD, namespace=DECISION))


def test_the_operators_signature_holds(own: OpenSshSigner, armored: str, tmp_path: Path) -> None:
    key = key_in(public(tmp_path / "state" / "keys" / "operator"))
    assert verified(own, armored, "ann@desk") == Verification(valid=True, principal="ann@desk", key=key)


def test_an_altered_payload_does_not_hold(own: OpenSshSigner, armored: str) -> None:
    found = verified(own, armored, "ann@desk", payload=PAYLOAD + b" ")
    assert not found.valid
    assert found.principal is None
    assert "does not fit" in str(found.problem)


def test_a_signature_for_another_purpose_does_not_hold(own: OpenSshSigner) -> None:
    start = asyncio.run(own.sign(PAYLOAD, namespace=START))
    assert verified(own, start, "ann@desk", namespace=START).valid
    found = verified(own, start, "ann@desk")
    assert (found.valid, found.problem) == (False, f"The signature was made for {START}, not for {DECISION}.")


def test_anybody_elses_key_is_unknown(own: OpenSshSigner, armored: str, make_key: MakeKey) -> None:
    key = make_key("bob")
    found = verified(own, signature_by(key), "ann@desk")
    assert found == Verification(
        valid=False, key=key_in(public(key)), problem=f"The key {key_in(public(key))} is unknown here."
    )


def test_before_a_key_is_made_every_key_is_unknown(own: OpenSshSigner, make_key: MakeKey) -> None:
    assert "is unknown here" in str(verified(own, signature_by(make_key("bob")), "ann@desk").problem)


def test_the_operator_signs_for_nobody_else(own: OpenSshSigner, armored: str) -> None:
    found = verified(own, armored, "bob")
    assert (found.valid, found.problem) == (False, "The key belongs to ann@desk, the payload names bob.")


def test_a_foreign_envelope_around_the_operators_key_does_not_hold(
    own: OpenSshSigner, armored: str, make_key: MakeKey
) -> None:
    """The key inside is public: whoever puts it beside a signature of his own must get nowhere."""
    mine, his = _blob(armored), _blob(signature_by(make_key("bob")))
    assert len(mine) == len(his)
    forged = mine[:-64] + his[-64:]
    found = verified(own, _armored(forged), "ann@desk")
    assert not found.valid
    assert "does not fit" in str(found.problem)


def _blob(armored: str) -> bytes:
    return b64decode("".join(armored.splitlines()[1:-1]))


def _armored(blob: bytes) -> str:
    text = b64encode(blob).decode()
    lines = [text[at : at + 70] for at in range(0, len(text), 70)]
    return "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""])


# ---------------------------------------------------------------------------------------------------------- hostile bytes


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "\0",
        "no signature",
        "\ud800",
        "-----BEGIN SSH SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\n-----END SSH SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\n????\n-----END SSH SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----",
        "-----BEGIN PGP SIGNATURE-----\n\n-----END PGP SIGNATURE-----",
    ],
)
def test_garbage_is_no_signature(own: OpenSshSigner, garbage: str) -> None:
    found = verified(own, garbage, "ann@desk")
    assert not found.valid
    assert found.key is None
    assert str(found.problem).endswith(".")


def test_a_cut_signature_does_not_hold_wherever_it_is_cut(own: OpenSshSigner, armored: str) -> None:
    for length in range(0, len(armored.strip()), 7):
        assert not verified(own, armored[:length], "ann@desk").valid


def test_a_damaged_signature_does_not_hold_wherever_it_is_damaged(own: OpenSshSigner, armored: str) -> None:
    blob = _blob(armored)
    assert verified(own, _armored(blob), "ann@desk").valid
    for at in range(0, len(blob), 5):
        damaged = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        found = verified(own, _armored(damaged), "ann@desk")
        assert not found.valid, at
        assert found.problem


def test_a_huge_signature_is_not_even_looked_at(make_signer: MakeSigner, armored: str) -> None:
    signer = make_signer(program="ssh-keygen-that-is-not-there")
    found = verified(signer, armored.replace("\n", "\n" * 20_000, 1), "ann@desk")
    assert (found.valid, found.problem) == (False, "The signature is larger than 16 KiB.")


@pytest.mark.parametrize("claimed", ["", "a\0b", "a\nb", "\ud800", "x" * 2000])
def test_a_name_that_is_none_does_not_hold(
    make_signer: MakeSigner, armored: str, allow: Allow, tmp_path: Path, claimed: str
) -> None:
    everybody = allow(f"* {public(tmp_path / 'state' / 'keys' / 'operator')}")
    signer = make_signer(allowed_signers=everybody)
    assert verified(signer, armored, "anybody").valid
    found = verified(signer, armored, claimed)
    assert (found.valid, found.problem) == (False, "The payload names nobody that a key could belong to.")


@pytest.mark.parametrize("claimed", ["-I", "--", "-r/dev/null", "*", "a,b", "al*", "!bob"])
def test_a_name_is_neither_an_option_nor_a_pattern(
    make_signer: MakeSigner, armored: str, allow: Allow, tmp_path: Path, claimed: str
) -> None:
    allowed = allow(f"alice,a {public(tmp_path / 'state' / 'keys' / 'operator')}")
    assert not verified(make_signer(allowed_signers=allowed), armored, claimed).valid


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text() | st.binary().map(_armored) | st.binary().map(lambda data: _armored(b"SSHSIG\0\0\0\1" + data)))
def test_any_text_reads_as_an_envelope_or_a_sentence(text: str) -> None:
    found = read_envelope(text)
    assert not isinstance(found, str) or found.endswith(".")


# ------------------------------------------------------------------------------------------------------- allowed_signers


def test_a_listed_principal_holds(make_signer: MakeSigner, make_key: MakeKey, allow: Allow) -> None:
    alice, bob = make_key("alice"), make_key("bob")
    signer = make_signer(allowed_signers=allow(f"alice {public(alice)}", f"bob {public(bob)}"))
    assert verified(signer, signature_by(bob), "bob") == Verification(
        valid=True, principal="bob", key=key_in(public(bob))
    )


def test_nobody_signs_as_somebody_else(make_signer: MakeSigner, make_key: MakeKey, allow: Allow) -> None:
    alice, bob = make_key("alice"), make_key("bob")
    signer = make_signer(allowed_signers=allow(f"alice {public(alice)}", f"bob,rob {public(bob)}"))
    found = verified(signer, signature_by(bob), "alice")
    assert found == Verification(
        valid=False, key=key_in(public(bob)), problem="The key belongs to bob, rob, the payload names alice."
    )


def test_a_key_that_is_not_listed_is_unknown(make_signer: MakeSigner, make_key: MakeKey, allow: Allow) -> None:
    signer = make_signer(allowed_signers=allow(f"alice {public(make_key('alice'))}"))
    found = verified(signer, signature_by(make_key("bob")), "alice")
    assert not found.valid
    assert "is unknown: " in str(found.problem)


def test_with_the_file_the_state_folders_key_has_to_be_listed_too(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow, armored: str
) -> None:
    signer = make_signer(allowed_signers=allow(f"alice {public(make_key('alice'))}"))
    assert "is unknown: " in str(verified(signer, armored, "ann@desk").problem)


def test_a_principal_may_have_several_keys_and_a_key_several_principals(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    laptop, desk = make_key("laptop"), make_key("desk", kind="ecdsa")
    lines = (f"alice {public(laptop)}", f"alice,ops@team {public(desk)}", f"bob {public(desk)}")
    signer = make_signer(allowed_signers=allow(*lines))
    for key, claimed in ((laptop, "alice"), (desk, "alice"), (desk, "ops@team"), (desk, "bob")):
        found = verified(signer, signature_by(key), claimed)
        assert found == Verification(valid=True, principal=claimed, key=key_in(public(key)))
    assert not verified(signer, signature_by(laptop), "bob").valid


def test_an_altered_payload_of_a_listed_principal_does_not_hold(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    key = make_key("alice")
    found = verified(
        make_signer(allowed_signers=allow(f"alice {public(key)}")), signature_by(key), "alice", payload=b""
    )
    assert not found.valid
    assert "does not fit" in str(found.problem)


def test_a_key_limited_to_another_namespace_does_not_hold(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    key = make_key("alice")
    signer = make_signer(allowed_signers=allow(f'alice namespaces="git,{START}" {public(key)}'))
    found = verified(signer, signature_by(key), "alice")
    assert not found.valid
    assert "may not be used for this purpose" in str(found.problem)
    assert verified(signer, signature_by(key, namespace=START), "alice", namespace=START).valid


@pytest.mark.parametrize(
    ("limit", "words"), [('valid-before="20200101"', "had expired"), ('valid-after="29990101"', "was not yet valid")]
)
def test_a_key_outside_its_time_does_not_hold(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow, limit: str, words: str
) -> None:
    key = make_key("alice")
    signer = make_signer(allowed_signers=allow(f"alice {limit} {public(key)}"))
    found = verified(signer, signature_by(key), "alice")
    assert not found.valid
    assert words in str(found.problem)


def test_a_key_counts_as_of_the_moment_that_is_asked_for(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "XYZ-5")
    time.tzset()
    try:
        key = make_key("alice")
        signer = make_signer(
            allowed_signers=allow(f'alice valid-after="20200101",valid-before="20200102Z" {public(key)}')
        )
        first = 1_577_836_800_000 - 5 * 3_600_000  # midnight five hours east of Greenwich
        last = 1_577_923_200_000
        at = {moment: verified(signer, signature_by(key), "alice", at=moment) for moment in (first - 1000, first, last)}
        assert at[first - 1000].problem == f"The key {key_in(public(key))} was not yet valid, says {_file(signer)}."
        assert at[first].valid
        assert at[last].valid
        assert "had expired" in str(verified(signer, signature_by(key), "alice", at=last + 1000).problem)
    finally:
        monkeypatch.undo()
        time.tzset()


def _file(signer: OpenSshSigner) -> Path | None:
    return signer._allowed


def test_an_expired_line_does_not_hide_a_good_one(make_signer: MakeSigner, make_key: MakeKey, allow: Allow) -> None:
    key = make_key("alice")
    signer = make_signer(allowed_signers=allow(f'old valid-before="20200101" {public(key)}', f"alice {public(key)}"))
    assert verified(signer, signature_by(key), "alice").valid
    assert "had expired" in str(verified(signer, signature_by(key), "old").problem)


def test_an_expired_key_is_called_so_whoever_is_named(make_signer: MakeSigner, make_key: MakeKey, allow: Allow) -> None:
    key = make_key("alice")
    signer = make_signer(allowed_signers=allow(f'alice valid-before="20200101" {public(key)}'))
    found = verified(signer, signature_by(key), "bob")
    assert not found.valid
    assert "had expired" in str(found.problem)


@pytest.mark.parametrize("form", ["krl", "keys"])
def test_a_revoked_key_does_not_hold(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow, tmp_path: Path, form: str
) -> None:
    alice, bob = make_key("alice"), make_key("bob")
    revoked = tmp_path / "revoked"
    if form == "krl":
        subprocess.run(["ssh-keygen", "-q", "-k", "-f", revoked, f"{alice}.pub"], check=True)
    else:
        revoked.write_text(public(alice) + "\n")
    signer = make_signer(allowed_signers=allow(f"alice {public(alice)}", f"bob {public(bob)}"), revoked_keys=revoked)
    found = verified(signer, signature_by(alice), "alice")
    assert (found.valid, found.problem) == (False, f"The key {key_in(public(alice))} of alice is revoked.")
    assert verified(signer, signature_by(bob), "bob").valid


def test_a_file_that_is_not_there_lets_nobody_in(make_signer: MakeSigner, make_key: MakeKey, tmp_path: Path) -> None:
    found = verified(make_signer(allowed_signers=tmp_path / "gone"), signature_by(make_key("alice")), "alice")
    assert (found.valid, found.problem) == (False, f"{tmp_path / 'gone'} cannot be read, so nobody's signature counts.")


def test_a_line_that_makes_no_sense_lets_nobody_in_and_keeps_nobody_out(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    alice, bob = make_key("alice"), make_key("bob")
    signer = make_signer(allowed_signers=allow("what is this", f"bob {public(alice)[:40]}", f"alice {public(alice)}"))
    assert verified(signer, signature_by(alice), "alice").valid
    assert not verified(signer, signature_by(bob), "bob").valid


def test_a_certificate_of_an_authority_holds_for_its_principal(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    authority, alice = make_key("authority"), make_key("alice")
    argv = ["ssh-keygen", "-q", "-s", str(authority), "-I", "id", "-n", "alice", "-V", "-1d:+1d", f"{alice}.pub"]
    subprocess.run(argv, check=True)
    signer = make_signer(allowed_signers=allow(f"* cert-authority {public(authority)}"))
    armored = signature_by(alice.with_name("alice-cert.pub"))
    assert verified(signer, armored, "alice") == Verification(valid=True, principal="alice", key=key_in(public(alice)))
    assert not verified(signer, armored, "bob").valid


def test_a_program_that_hangs_makes_nothing_valid(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow, tmp_path: Path
) -> None:
    hanging = tmp_path / "hangs"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    alice = make_key("alice")
    signer = make_signer(allowed_signers=allow(f"alice {public(alice)}"), program=str(hanging), seconds=0.2)
    found = verified(signer, signature_by(alice), "alice")
    assert (found.valid, found.problem) == (
        False,
        "The signature could not be checked: it took longer than 0.2 seconds.",
    )


def test_without_ssh_keygen_verifying_says_what_to_install(make_signer: MakeSigner, armored: str) -> None:
    with pytest.raises(WfconsoleError) as caught:
        verified(make_signer(program="ssh-keygen-that-is-not-there"), armored, "ann@desk")
    assert (caught.value.code, caught.value.hint) == ("DECISION_NOT_APPLIED", "install openssh-client")


def test_what_was_signed_elsewhere_by_plain_ssh_keygen_holds_here(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    key = make_key("alice", kind="rsa")
    signer = make_signer(allowed_signers=allow(f"alice {public(key)}"))
    windows = signature_by(key).replace("\n", "\r\n") + "\r\n"
    assert verified(signer, windows, "alice").valid
