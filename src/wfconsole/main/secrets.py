"""The operator's secrets: an environment variable, a file or a command, as config.toml says for each name.

Owns reading them, and the names of environment variables that need no configuration. Refuses to keep them anywhere but in
memory. What would surprise: a value is read anew for each attempt, and every value that this process has seen goes on being
hidden, so that a secret that is changed while a run goes on is hidden in both its forms.
"""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Mapping, Sequence

from wfconsole.config import SecretSource
from wfconsole.domain.redact import SHORTEST, forms
from wfconsole.ports import WfconsoleError

PREFIX = "WFCONSOLE_SECRET_"
"""`secrets: [TOKEN]` is read from WFCONSOLE_SECRET_TOKEN, when config.toml does not say otherwise."""
COMMAND_S = 30.0
FRESH_S = 30.0
"""How long what a command printed is taken for its answer."""
LARGEST = 1024**2


class OperatorSecrets:
    """`ports.Secrets` over the configured sources; `environ` is the environment that the process was started with."""

    def __init__(self, sources: Mapping[str, SecretSource], environ: Mapping[str, str]) -> None:
        self._sources = sources
        self._environ = environ
        self._seen: dict[str, set[bytes]] = {}
        self._printed: dict[str, tuple[float, bytes]] = {}

    async def read(self, names: Sequence[str]) -> Mapping[str, bytes]:
        """See `ports.Secrets`."""
        return await asyncio.to_thread(self._read_all, tuple(dict.fromkeys(names)))

    async def to_hide(self, names: Sequence[str]) -> Sequence[bytes]:
        """See `ports.Secrets`."""
        await self.read(names)
        return tuple(sorted({value for name in names for value in self._seen[name]}))

    def _read_all(self, names: Sequence[str]) -> Mapping[str, bytes]:
        found: dict[str, bytes] = {}
        missing: dict[str, WfconsoleError] = {}
        for name in names:
            try:
                found[name] = self._read(name)
            except WfconsoleError as error:
                missing[name] = error
        if missing:
            first = next(iter(missing.values()))
            message = "; ".join(error.message for error in missing.values())
            raise WfconsoleError(first.code, message, first.hint, {"secrets": sorted(missing)})
        for name, value in found.items():
            self._seen.setdefault(name, set()).add(value)
        return found

    def _read(self, name: str) -> bytes:
        source = self._sources.get(name) or SecretSource(env=PREFIX + name)
        if source.env is not None:
            value = self._of_environment(name, source.env)
        elif source.file is not None:
            value = _of_file(name, source)
        else:
            value = self._of_program(name, source.command)
        if not forms(value):
            raise WfconsoleError(
                "INPUT_INVALID",
                f"the secret {name} is shorter than {SHORTEST} characters, and could not be hidden in what the step prints",
                "use a longer one",
            )
        return value

    def _of_program(self, name: str, command: Sequence[str]) -> bytes:
        """What its command printed lately: one may ask a person, or a service, and an attempt reads more than once."""
        at, value = self._printed.get(name, (-FRESH_S, b""))
        if time.monotonic() - at > FRESH_S or not value:
            value = _of_command(name, command)
            self._printed[name] = (time.monotonic(), value)
        return value

    def _of_environment(self, name: str, variable: str) -> bytes:
        text = self._environ.get(variable)
        if not text:
            hint = f"export {variable}=..., or say in config.toml where it is: [secrets.{name}] env, file or command"
            raise _missing(name, f"the environment variable {variable} is not set", hint)
        return text.encode("utf-8", "surrogateescape")


def _of_file(name: str, source: SecretSource) -> bytes:
    path = source.file
    if path is None:
        raise TypeError(source)
    try:
        with path.open("rb") as file:
            value = file.read(LARGEST + 1)
    except OSError as error:
        raise _missing(name, f"{path}: {error.strerror}", f"see [secrets.{name}] in config.toml") from error
    if len(value) > LARGEST:
        raise _missing(name, f"{path} is larger than {LARGEST} bytes", f"see [secrets.{name}] in config.toml")
    return value


def _of_command(name: str, command: Sequence[str]) -> bytes:
    """What the command prints, without the line break at its end. Of its stderr nothing is shown: it may tell the secret."""
    hint = f"try it: {' '.join(command)}"
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=COMMAND_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _missing(name, f"its command took longer than {COMMAND_S:g} s", hint) from None
    except OSError as error:
        raise _missing(name, f"its command cannot be run: {error.strerror}", hint) from error
    if done.returncode != 0:
        raise _missing(name, f"its command ended with {done.returncode}", hint)
    value = done.stdout.removesuffix(b"\n")
    if not value:
        raise _missing(name, "its command printed nothing", hint)
    return value


def _missing(name: str, why: str, hint: str) -> WfconsoleError:
    return WfconsoleError("SECRET_MISSING", f"the secret {name} is missing: {why}", hint)
