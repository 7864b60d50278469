"""The operator's own SSH key: from its file or from the agent, and what is said when neither has it."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.signing.conftest import Agent, MakeKey, MakeSigner, public
from wfconsole.ports import Verification, WfconsoleError
from wfconsole.signing.envelope import key_in
from wfconsole.signing.openssh import OpenSshSigner

NAMESPACE = "decision@wfconsole"
Allow = Callable[..., Path]


def signed_and_verified(signer: OpenSshSigner, claimed: str = "ann@desk") -> Verification:
    async def both() -> Verification:
        signature = await signer.sign(b"payload", namespace=NAMESPACE)
        return await signer.verify(b"payload", signature, namespace=NAMESPACE, claimed=claimed)

    return asyncio.run(both())


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
@pytest.mark.parametrize("half", ["", ".pub"])
def test_a_key_file_signs_whichever_half_is_named(
    make_signer: MakeSigner, make_key: MakeKey, tmp_path: Path, kind: str, half: str
) -> None:
    key = make_key("ann", kind=kind)
    found = signed_and_verified(make_signer(own_key=f"{key}{half}"))
    assert found == Verification(valid=True, principal="ann@desk", key=key_in(public(key)))
    assert not (tmp_path / "state").exists(), "no key of the state folder is made"


def test_a_public_half_alone_signs_through_the_agent(make_signer: MakeSigner, make_key: MakeKey, agent: Agent) -> None:
    key = make_key("ann")
    agent.add(key)
    key.unlink()
    found = signed_and_verified(make_signer(own_key=f"{key}.pub", agent_socket=agent.socket))
    assert found == Verification(valid=True, principal="ann@desk", key=key_in(public(key)))


def test_a_locked_key_signs_through_the_agent(make_signer: MakeSigner, make_key: MakeKey, agent: Agent) -> None:
    open_key = make_key("ann")
    agent.add(open_key)
    _lock(open_key)
    signer = make_signer(own_key=str(open_key), agent_socket=agent.socket)
    assert signed_and_verified(signer).valid


def _lock(key: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", key], check=True, capture_output=True)


def test_a_locked_key_without_an_agent_asks_nobody_and_says_what_to_do(
    make_signer: MakeSigner, make_key: MakeKey
) -> None:
    key = make_key("ann", passphrase="secret")
    with pytest.raises(WfconsoleError) as caught:
        signed_and_verified(make_signer(own_key=str(key)))
    assert caught.value.code == "DECISION_NOT_APPLIED"
    assert "incorrect passphrase" in caught.value.message
    assert f"ssh-add {key}" in caught.value.hint


@pytest.mark.parametrize("held", [False, True])
def test_a_public_half_that_the_agent_lacks_says_what_to_do(
    make_signer: MakeSigner, make_key: MakeKey, agent: Agent, held: bool
) -> None:
    key = make_key("ann")
    key.unlink()
    if held:
        agent.add(make_key("somebody"))
    with pytest.raises(WfconsoleError, match="could not sign: No private key found") as caught:
        signed_and_verified(make_signer(own_key=f"{key}.pub", agent_socket=agent.socket))
    assert "ssh-add" in caught.value.hint


def test_an_agent_that_does_not_answer_ends_at_the_deadline(make_signer: MakeSigner, make_key: MakeKey) -> None:
    key = make_key("ann")
    with tempfile.TemporaryDirectory(prefix="wf-agent-") as folder, socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{folder}/socket")
        silent.listen()
        with pytest.raises(WfconsoleError, match=r"it took longer than 0.5 seconds\."):
            signed_and_verified(make_signer(own_key=f"{key}.pub", agent_socket=f"{folder}/socket", seconds=0.5))


def test_an_open_key_file_is_refused_with_a_sentence(make_signer: MakeSigner, make_key: MakeKey) -> None:
    key = make_key("ann")
    key.chmod(0o640)
    with pytest.raises(WfconsoleError, match=r"is open to others \(mode 0640\)\."):
        signed_and_verified(make_signer(own_key=str(key)))


@pytest.mark.parametrize("name", ["nothing", "folder"])
def test_a_path_that_is_no_key_is_refused_with_a_sentence(make_signer: MakeSigner, tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(WfconsoleError, match="There is no key"):
        signed_and_verified(make_signer(own_key=str(tmp_path / name)))


def test_the_state_folders_key_still_counts_beside_the_own_one(make_signer: MakeSigner, make_key: MakeKey) -> None:
    before = asyncio.run(make_signer().sign(b"payload", namespace=NAMESPACE))
    own = make_signer(own_key=str(make_key("ann")))
    found = asyncio.run(own.verify(b"payload", before, namespace=NAMESPACE, claimed="ann@desk"))
    assert found.valid


def test_the_agent_serves_the_own_key_only(make_signer: MakeSigner, make_key: MakeKey, agent: Agent) -> None:
    agent.add(make_key("somebody"))
    found = signed_and_verified(make_signer(agent_socket=agent.socket))
    assert found.key == asyncio.run(_state_key(make_signer))


async def _state_key(make_signer: MakeSigner) -> str | None:
    signer = make_signer()
    signature = await signer.sign(b"x", namespace=NAMESPACE)
    return (await signer.verify(b"x", signature, namespace=NAMESPACE, claimed="ann@desk")).key


@pytest.mark.parametrize(
    ("principals", "identity"),
    [
        ("alice", "alice"),
        ("alice,ann@desk", "ann@desk"),
        ("*@desk", "ann@desk"),
        ('"alice of sales",al', "alice of sales"),
        ("!bob,alice", "alice"),
    ],
)
def test_identity_is_the_principal_of_the_key(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow, principals: str, identity: str
) -> None:
    key, other = make_key("ann"), make_key("bob")
    principals = '"alice of sales,al"' if " " in principals else principals
    allowed = allow("# people", f"bob {public(other)}", "", f'{principals} namespaces="{NAMESPACE}" {public(key)}')
    signer = make_signer(own_key=f"{key}.pub", allowed_signers=allowed)
    assert signer.has_allowed_signers
    assert asyncio.run(signer.identity()) == identity
    assert signed_and_verified(signer, identity).valid


def test_identity_of_a_key_that_is_not_listed_is_the_actor_and_does_not_hold(
    make_signer: MakeSigner, make_key: MakeKey, allow: Allow
) -> None:
    key = make_key("ann")
    lines = (f"bob {public(make_key('bob'))}", f"ca cert-authority {public(key)}")
    signer = make_signer(own_key=str(key), allowed_signers=allow(*lines))
    assert asyncio.run(signer.identity()) == "ann@desk"
    assert "is unknown" in str(signed_and_verified(signer).problem)


def test_identity_of_the_state_folders_key_is_looked_up_too(
    make_signer: MakeSigner, tmp_path: Path, allow: Allow
) -> None:
    asyncio.run(make_signer().sign(b"x", namespace=NAMESPACE))
    allowed = allow(f"alice {public(tmp_path / 'state' / 'keys' / 'operator')}")
    assert asyncio.run(make_signer(allowed_signers=allowed).identity()) == "alice"


def test_identity_without_the_allowed_signers_file_is_refused(make_signer: MakeSigner, tmp_path: Path) -> None:
    with pytest.raises(WfconsoleError, match=r"cannot be read: No such file or directory\."):
        asyncio.run(make_signer(allowed_signers=tmp_path / "nowhere").identity())
