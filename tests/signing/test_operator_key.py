"""The key of a state folder: made once, private, never quietly replaced."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.signing.conftest import MakeSigner, public
from wfconsole.ports import WfconsoleError
from wfconsole.signing.envelope import read_envelope

NAMESPACE = "decision@wfconsole"


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """Where the key of the state folder lies, once it is made."""
    return tmp_path / "state" / "keys" / "operator"


def sign(signer: MakeSigner, **other: object) -> str:
    return asyncio.run(signer(**other).sign(b"payload", namespace=NAMESPACE))


def test_the_first_signature_makes_an_ed25519_key_for_its_owner_only(make_signer: MakeSigner, private: Path) -> None:
    before = os.umask(0)
    try:
        sign(make_signer)
    finally:
        os.umask(before)
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.parent.stat().st_mode & 0o777 == 0o700
    kind, _, comment = public(private).split(" ", 2)
    assert (kind, comment) == ("ssh-ed25519", "ann@desk")
    assert {path.name for path in private.parent.iterdir()} == {"operator", "operator.pub", ".lock"}


def test_the_second_signature_uses_the_same_key(make_signer: MakeSigner) -> None:
    one, two = read_envelope(sign(make_signer)), read_envelope(sign(make_signer))
    assert one == two
    assert not isinstance(one, str)


def test_identity_is_the_actor_and_needs_no_key(make_signer: MakeSigner, private: Path) -> None:
    assert asyncio.run(make_signer().identity()) == "ann@desk"
    assert not make_signer().has_allowed_signers
    assert not private.exists()


def test_two_processes_at_once_make_one_key(tmp_path: Path, private: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from wfconsole.signing.openssh import OpenSshSigner
signer = OpenSshSigner(keys=Path({str(private.parent)!r}), allowed_signers=None, own_key=None, actor_name=sys.argv[1],
                       agent_socket=None)
print("ready", flush=True)
sys.stdin.readline()
print(asyncio.run(signer.sign(b"payload", namespace="{NAMESPACE}")))
"""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"p{number}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for number in range(2)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    signatures = [process.communicate()[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    one, two = map(read_envelope, signatures)
    assert one == two
    assert not isinstance(one, str)
    assert len(list(private.parent.glob("operator*"))) == 2


def test_threads_of_one_process_make_one_key(make_signer: MakeSigner) -> None:
    async def many() -> list[str]:
        return await asyncio.gather(*(make_signer().sign(b"payload", namespace=NAMESPACE) for _ in range(6)))

    assert len(set(asyncio.run(many()))) == 1, "Ed25519 signatures of one key and payload are one and the same"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o700 | 0o010])
def test_a_key_that_others_may_touch_is_refused(make_signer: MakeSigner, private: Path, mode: int) -> None:
    sign(make_signer)
    private.chmod(mode)
    with pytest.raises(WfconsoleError) as caught:
        sign(make_signer)
    assert caught.value.code == "DECISION_NOT_APPLIED"
    assert caught.value.message == f"The private key {private} is open to others (mode {mode:04o})."
    assert caught.value.hint.startswith(f"chmod 600 {private}")


def test_a_lost_public_half_is_derived_again(make_signer: MakeSigner, private: Path) -> None:
    signature = sign(make_signer)
    before = public(private).split()[:2]
    private.with_name("operator.pub").unlink()
    assert sign(make_signer) == signature
    assert public(private).split()[:2] == before


def test_a_lost_private_half_is_not_quietly_replaced(make_signer: MakeSigner, private: Path) -> None:
    sign(make_signer)
    private.unlink()
    with pytest.raises(WfconsoleError, match="is gone, but its public half is still there"):
        sign(make_signer)
    assert not private.exists()


def test_what_a_killed_process_left_is_no_obstacle(make_signer: MakeSigner, private: Path) -> None:
    (private.parent / ".new").mkdir(parents=True)
    (private.parent / ".new" / "operator").write_text("half a key")
    assert sign(make_signer).startswith("-----BEGIN SSH SIGNATURE-----\n")
    assert not (private.parent / ".new").exists()


def test_a_broken_key_is_refused_with_a_sentence(make_signer: MakeSigner, private: Path) -> None:
    sign(make_signer)
    private.write_text("no key at all\n")
    private.with_name("operator.pub").write_text("nor this\n")
    with pytest.raises(WfconsoleError, match=r"could not sign: .+\."):
        sign(make_signer)


def test_a_folder_that_cannot_be_made_is_refused_with_a_sentence(make_signer: MakeSigner, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WfconsoleError, match=r"could not be made: Not a directory\.") as caught:
        sign(make_signer, keys=tmp_path / "file" / "keys")
    assert caught.value.code == "DECISION_NOT_APPLIED"


def test_an_odd_actor_name_is_a_comment_like_any_other(make_signer: MakeSigner, private: Path) -> None:
    sign(make_signer, actor_name="-P x\ny")
    assert public(private).endswith(" -P x?y")


def test_without_ssh_keygen_the_hint_says_what_to_install(make_signer: MakeSigner) -> None:
    with pytest.raises(WfconsoleError) as caught:
        sign(make_signer, program="ssh-keygen-that-is-not-there")
    assert (caught.value.code, caught.value.hint) == ("DECISION_NOT_APPLIED", "install openssh-client")


def test_a_program_that_hangs_is_ended_at_its_deadline(make_signer: MakeSigner, tmp_path: Path) -> None:
    sign(make_signer)
    hanging = tmp_path / "hangs"
    hanging.write_text('#!/bin/sh\nsleep 60 & echo $! >"$0.pid"\nwait\n')
    hanging.chmod(0o755)
    with pytest.raises(WfconsoleError, match=r"it took longer than 0.5 seconds\."):
        sign(make_signer, program=str(hanging), seconds=0.5)
    child = int((tmp_path / "hangs.pid").read_text())
    assert _gone(child), "what it had started is ended too"


def _gone(pid: int) -> bool:
    """No such process, or one that is over and waits for its parent; SIGKILL has been sent, so one of them comes."""
    while True:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0]
        except FileNotFoundError:
            return True
        if state in "ZX":
            return True
        os.sched_yield()
