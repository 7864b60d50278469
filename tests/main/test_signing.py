"""The look at a decision before it is decided: whose signature it carries, and whether its signer saw this run."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.fakes.store import MemoryStore
from wfconsole.domain.facts import AnyFact, DecideGate, PauseRun, SignatureCheck
from wfconsole.domain.records import Actor
from wfconsole.main.actor import current_actor
from wfconsole.main.signing import admission, signer_of
from wfconsole.main.wiring import settings
from wfconsole.ports import Verification, WfconsoleError

ACTOR = Actor(user="ann", host="build-7")
PAYLOAD: dict[str, Any] = {"run_id": "run-1", "actor": "ann@build-7", "seen": {"seq": 3, "hash": "ab" * 32}}


class Known(MemoryStore):
    """A store in which event 3 of run-1 has a hash that is known."""

    async def event_hash(self, run_id: str, seq: int | None = None) -> tuple[int, str]:
        if (run_id, seq) != ("run-1", 3):
            raise WfconsoleError("NOT_FOUND", "no such event", "")
        return 3, "ab" * 32


class Says:
    """A signer that says of every signature what it was told to say."""

    has_allowed_signers = False

    def __init__(self, found: Verification | WfconsoleError) -> None:
        self.found = found

    async def identity(self) -> str:
        return "ann@build-7"

    async def sign(self, payload: bytes, *, namespace: str) -> str:
        return f"{namespace}: {len(payload)}"

    async def verify(
        self, payload: bytes, armored: str, *, namespace: str, claimed: str, at: int | None = None
    ) -> Verification:
        assert (namespace, claimed) == ("decision@wfconsole", str(PAYLOAD["actor"]))
        if isinstance(self.found, WfconsoleError):
            raise self.found
        return self.found


VALID = Verification(valid=True, principal="ann@build-7", key="SHA256:x")


def decision(**more: Any) -> DecideGate:
    fact = DecideGate(fact_id="f", at=1, actor=ACTOR, payload=PAYLOAD, signature="signed")
    return replace(fact, **more)


def admit(fact: AnyFact, found: Verification | WfconsoleError = VALID) -> AnyFact:
    async def look() -> AnyFact:
        return await admission(Says(found), Known())(fact)

    return asyncio.run(look())


def checked(fact: AnyFact, found: Verification | WfconsoleError = VALID) -> SignatureCheck:
    admitted = admit(fact, found)
    assert isinstance(admitted, DecideGate)
    assert admitted.check is not None
    return admitted.check


def test_the_verdict_has_the_principal_the_key_and_what_was_seen() -> None:
    check = checked(decision())
    assert (check.valid, check.principal, check.key, check.seen_holds) == (True, "ann@build-7", "SHA256:x", True)


def test_a_verdict_that_came_with_the_decision_counts_for_nothing() -> None:
    forged = SignatureCheck(valid=True, principal="boss", key="SHA256:y", seen_holds=True)
    bad = Verification(valid=False, problem="it does not fit")
    check = checked(decision(check=forged), bad)
    assert (check.valid, check.principal, check.problem) == (False, None, "it does not fit")


def test_without_a_signature_nothing_is_asked() -> None:
    check = checked(decision(signature=None))
    assert (check.valid, check.problem) == (False, "it carries no signature")


def test_a_signer_that_cannot_check_is_no_yes() -> None:
    check = checked(decision(), WfconsoleError("DECISION_NOT_APPLIED", "ssh-keygen is missing", ""))
    assert (check.valid, check.problem) == (False, "ssh-keygen is missing")


@pytest.mark.parametrize(
    "seen",
    [None, 3, {}, {"seq": 3, "hash": "cd" * 32}, {"seq": 4, "hash": "ab" * 32}, {"seq": "3", "hash": "ab" * 32}, []],
)
def test_a_journal_that_is_not_this_runs_was_not_seen(seen: Any) -> None:
    assert not checked(decision(payload={**PAYLOAD, "seen": seen})).seen_holds


def test_every_other_command_is_handed_on_as_it_is() -> None:
    fact = PauseRun(fact_id="p", at=1, actor=ACTOR)
    assert admit(fact) is fact


def test_one_person_has_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("USER", "LOGNAME", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    actor = current_actor()
    assert asyncio.run(signer_of(settings()).identity()) == f"{actor.user}@{actor.host}"
