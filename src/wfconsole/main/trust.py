"""Which recipes may reach beyond the sandbox: the built-in, the user's own, and those that the operator trusts by digest.

Owns the file of trusted recipes and the refusal of all others. Refuses to know what effects do. The decision that would surprise:
trust is of a digest, which covers the recipe and every file of it, so a recipe that was changed has to be trusted again.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wfconsole.config import Settings
from wfconsole.control.wiring import Trusted
from wfconsole.domain.plan import EFFECT_KINDS, EmailBody, Json, Plan
from wfconsole.domain.values import ExpressionError, as_text, resolve
from wfconsole.ports import Evaluate, WfconsoleError

_OWN = ("user", "built-in")


def effects_of(plan: Plan) -> tuple[str, ...]:
    """The steps of a plan that are effects."""
    return tuple(step.step_id for step in plan.steps if step.kind in EFFECT_KINDS)


def distrust(settings: Settings, plan: Plan) -> tuple[str, str] | None:
    """Why this recipe's effects may not be carried out, and the command that changes it; None when they may."""
    effects = effects_of(plan)
    if not effects or _is_own(settings, plan.recipe.origin):
        return None
    if any(item.digest == plan.recipe.digest for item in TrustFile(settings).read()):
        return None
    origin = plan.recipe.origin
    ref = origin.removeprefix("path:") if origin.startswith("path:") else plan.recipe.name
    steps = ", ".join(effects)
    message = f"recipe {plan.recipe.name} reaches beyond the sandbox ({steps}) and is not trusted in this form"
    return message, f"read it, then: wfconsole recipes trust {ref}"


def permit(settings: Settings, plan: Plan, inputs: Mapping[str, Json], evaluate: Evaluate) -> None:
    """Refuse a run whose effects may not or cannot be. Raises POLICY_BLOCKED, or RECIPE_INVALID for an unknown connection."""
    why = distrust(settings, plan)
    if why is not None:
        raise WfconsoleError("POLICY_BLOCKED", why[0], why[1], {"digest": plan.recipe.digest})
    for step in plan.steps:
        via = _via(step.body.via, inputs, plan, evaluate) if isinstance(step.body, EmailBody) else None
        if via is not None and via not in settings.connections:
            known = ", ".join(sorted(settings.connections)) or "there is none"
            raise WfconsoleError(
                "RECIPE_INVALID",
                f"{step.step_id}: there is no connection {via!r}",
                f"add [connections.{via}] to {settings.config / 'config.toml'}; connections: {known}",
                {"step_id": step.step_id, "via": via},
            )


def _via(via: Json, inputs: Mapping[str, Json], plan: Plan, evaluate: Evaluate) -> str | None:
    """The connection's name, when the inputs alone say it; else it is looked at when the step is carried out."""
    scope = {"inputs": dict(inputs), "state": plan.state}
    try:
        return as_text(resolve(via, lambda source: evaluate(source, scope)))
    except ExpressionError:
        return None


def _is_own(settings: Settings, origin: str) -> bool:
    if origin in _OWN:
        return True
    if not origin.startswith("path:"):
        return False
    path = Path(origin.removeprefix("path:")).resolve()
    own = [folder.resolve() for word, folder in settings.recipe_folders if word in _OWN]
    return any(path.is_relative_to(folder) for folder in own)


class TrustFile:
    """``trusted.json`` in the config folder. Changes are made under a lock, and are whole or not at all."""

    def __init__(self, settings: Settings) -> None:
        self._path = settings.config / "trusted.json"

    def read(self) -> Sequence[Trusted]:
        """What is trusted, by name. Raises STORE_CORRUPT for a file that cannot be read: then nothing is."""
        try:
            data: list[dict[str, Any]] = json.loads(self._path.read_bytes())
            return [Trusted(**{key: item[key] for key in ("name", "digest", "path", "by", "at")}) for item in data]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            message = f"{self._path} cannot be read: {error}"
            raise WfconsoleError("STORE_CORRUPT", message, "remove it, and trust the recipes again") from error

    def add(self, item: Trusted) -> None:
        """Trust `item`, besides earlier forms of the same recipe, which runs that are retried may still have."""
        with self._locked():
            rest = [other for other in self.read() if other.digest != item.digest]
            self._write([*rest, item])

    def remove(self, name: str) -> int:
        """Forget every form of the recipe of that name, or the one of that digest; how many there were."""
        with self._locked():
            items = self.read()
            rest = [item for item in items if name not in {item.name, item.digest}]
            self._write(rest)
            return len(items) - len(rest)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, items: Sequence[Trusted]) -> None:
        listed = sorted(items, key=lambda item: (item.name, item.at))
        documents = [
            {"name": item.name, "digest": item.digest, "path": item.path, "by": item.by, "at": item.at}
            for item in listed
        ]
        partial = self._path.with_name(f".{self._path.name}.partial")
        with partial.open("w") as out:
            json.dump(documents, out, indent=2, sort_keys=True)
            out.write("\n")
            out.flush()
            os.fsync(out.fileno())
        partial.replace(self._path)
