"""Events of drift: the sandbox was not what its template's lock says, and another template is tried instead.

Part of the one union in `events`, apart because of its size.
"""

from __future__ import annotations

from dataclasses import dataclass

from wfconsole.domain.policy.drift import Decision, Difference, Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvDrift:
    """`phase` says when it was found; unless that is `exit` no command had started. `artifact_id` holds the same in full."""

    step_id: str
    attempt: int
    template: str
    phase: Phase
    differences: tuple[Difference, ...]
    decision: Decision
    command_started: bool = False
    fallback_template: str | None = None
    artifact_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateFallback:
    """The step goes on in another template; the store takes one such event a step."""

    step_id: str
    attempt: int
    from_template: str
    to_template: str
