"""Signatures of decisions: the operator's signer from the settings, and the look at a decision before it is decided."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from wfconsole.config import Settings
from wfconsole.domain.decision import DECISION_NAMESPACE, signed_bytes
from wfconsole.domain.facts import AnyFact, DecideGate, SignatureCheck
from wfconsole.main.actor import current_actor
from wfconsole.ports import Signer, Store, WfconsoleError
from wfconsole.signing.openssh import OpenSshSigner


def signer_of(settings: Settings) -> OpenSshSigner:
    """The signer of this operator; makes no key before it is asked to sign."""
    actor = current_actor()
    return OpenSshSigner(
        keys=settings.state / "keys",
        allowed_signers=settings.allowed_signers,
        own_key=settings.signing_key,
        actor_name=f"{actor.user}@{actor.host}",
        agent_socket=settings.environ.get("SSH_AUTH_SOCK"),
        revoked_keys=settings.revoked_keys,
    )


def admission(signer: Signer, store: Store) -> Callable[[AnyFact], Awaitable[AnyFact]]:
    """A function that hands a fact on; a decision with the verdict on its signature. Whatever verdict came with it is dropped."""

    async def admit(fact: AnyFact) -> AnyFact:
        if not isinstance(fact, DecideGate):
            return fact
        return replace(fact, check=await check_decision(fact, signer, store))

    return admit


async def check_decision(fact: DecideGate, signer: Signer, store: Store) -> SignatureCheck:
    """Does the signature hold, and is the journal that its signer saw this run's?"""
    if fact.signature is None:
        return SignatureCheck(valid=False, problem="it carries no signature")
    claimed = str(fact.payload.get("actor") or "")
    try:
        found = await signer.verify(
            signed_bytes(fact.payload), fact.signature, namespace=DECISION_NAMESPACE, claimed=claimed
        )
    except WfconsoleError as error:
        return SignatureCheck(valid=False, problem=error.message)
    return SignatureCheck(
        valid=found.valid,
        principal=found.principal,
        key=found.key,
        problem=found.problem,
        seen_holds=await _seen_holds(fact, store),
    )


async def _seen_holds(fact: DecideGate, store: Store) -> bool:
    seen = fact.payload.get("seen")
    run_id, seq = fact.payload.get("run_id"), seen.get("seq") if isinstance(seen, dict) else None
    if not isinstance(run_id, str) or not isinstance(seq, int) or not isinstance(seen, dict):
        return False
    try:
        _, digest = await store.event_hash(run_id, seq)
    except WfconsoleError:
        return False
    return digest == seen.get("hash")
