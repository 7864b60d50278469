"""Who starts a run, as far as its gates need to know: the principal that signed the start, or nobody.

A gate that counts people, names them or excludes the author can only be held when identities are vouched for: such a
run is refused at its start where there is no allowed_signers file, not at its gate.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from wfconsole.control.door import InvalidRequestError, Problem
from wfconsole.domain.codec import canonical
from wfconsole.domain.decision import START_NAMESPACE, signed_bytes, start_payload
from wfconsole.domain.plan import ApprovalBody, Json, Plan
from wfconsole.ports import Signer, WfconsoleError


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who starts a run, and what they signed: `start` is {payload, signature}."""

    principal: str
    start: dict[str, Json]


async def author_of(
    plan: Plan, inputs: Mapping[str, Json], signer: Signer | None, workflow_id: str, at: int
) -> Author | None:
    """Whoever starts this run; None when no gate of it asks. Raises InvalidRequestError."""
    gates = [step.step_id for step in plan.steps if isinstance(step.body, ApprovalBody) and step.body.wants_principals]
    if not gates:
        return None
    if signer is None or not signer.has_allowed_signers:
        raise _refused(gates, "it says who may decide, and there is no allowed_signers file to tell who is who")
    principal = await signer.identity()
    payload = start_payload(
        recipe_digest=plan.recipe.digest,
        inputs_sha256=hashlib.sha256(canonical(dict(inputs))).hexdigest(),
        workflow_id=workflow_id,
        actor=principal,
        at=at,
        nonce=secrets.token_hex(16),
    )
    data = signed_bytes(payload)
    try:
        signature = await signer.sign(data, namespace=START_NAMESPACE)
    except WfconsoleError as error:
        raise _refused(gates, f"the start cannot be signed: {error.message}") from error
    found = await signer.verify(data, signature, namespace=START_NAMESPACE, claimed=principal)
    if not found.valid or found.principal is None:
        raise _refused(gates, f"your key is not one of the allowed signers: {found.problem}")
    return Author(principal=found.principal, start={"payload": payload, "signature": signature})


def _refused(gates: list[str], why: str) -> InvalidRequestError:
    problems = [Problem(code="INPUT_INVALID", message=f"gate {gate}: {why}", where=gate) for gate in gates]
    hint = "set allowed_signers (and signing_key) in config.toml"
    return InvalidRequestError("INPUT_INVALID", f"the gates of this recipe cannot be held: {why}", problems, hint)
