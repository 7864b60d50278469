"""Effects put together: the operator's connections behind the port, imported when the first effect is met."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from wfconsole.config import Settings
from wfconsole.domain.effects import StartAttempt
from wfconsole.domain.facts import AttemptEnded
from wfconsole.domain.run import RunState
from wfconsole.engine.attempt import EffectRunner
from wfconsole.engine.local import Attempt
from wfconsole.ports import RunFolder
from wfconsole.steps.command import StepPorts
from wfconsole.steps.screen import ScreenedCollector, screen_of

if TYPE_CHECKING:
    from wfconsole.ports.delivery import Mailer


def mailers(settings: Settings) -> Callable[[], Mailer]:
    """A function that gives the mailer over the operator's connections."""

    @cache
    def mailer() -> Mailer:
        from wfconsole.delivery.mailer import SmtpMailer

        return SmtpMailer(settings.connections)

    return mailer


def outside(steps: StepPorts, mailer: Callable[[], Mailer], folder: Callable[[str], RunFolder]) -> EffectRunner:
    """A function that carries effects out; attachments of a run with secrets pass the same screen as on its cards."""

    async def run(effect: StartAttempt, state: RunState, attempt: Attempt) -> AttemptEnded:
        from wfconsole.engine.effects import effect_runner
        from wfconsole.steps.email import EmailPorts

        screen = await screen_of(steps.secrets, state.plan.secrets)
        ports = EmailPorts(
            mailer=mailer(),
            artifacts=steps.artifacts,
            collector=steps.collector if screen is None else ScreenedCollector(steps.collector, screen),
            clock=steps.clock,
        )
        return await effect_runner(ports, folder)(effect, state, attempt)

    return run
