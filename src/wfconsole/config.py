"""Settings, read once: where things are kept and what the operator configured. Nobody else reads the environment.

With ``WFCONSOLE_HOME`` everything lies beneath it (the state folder is that folder itself); else the XDG folders are used.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wfconsole.domain.policy.retention import Retention
from wfconsole.domain.units import duration_ms, size_bytes
from wfconsole.ports import WfconsoleError
from wfconsole.ports.delivery import SmtpConnection

_KEYS: dict[str, type] = {
    "trace_url": str,
    "events_file": str,
    "project": str,
    "signing_key": str,
    "allowed_signers": str,
    "revoked_keys": str,
    "hooks": dict,
    "console": dict,
    "retention": dict,
    "secrets": dict,
    "connections": dict,
}
_PORTS = {"none": 25, "starttls": 587, "tls": 465}
_SMTP: dict[str, type | tuple[type, ...]] = {
    "kind": str, "host": str, "port": int, "tls": str, "user": str, "password_file": str, "password_command": list,
    "from": str, "aliases": dict, "ca_file": str, "timeout_s": (int, float),
}  # fmt: skip
HOOK_EVENTS = ("approval_requested", "approval_expired", "run_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretSource:
    """Where one secret is read: exactly one of an environment variable, a file, or a command's output."""

    env: str | None = None
    file: Path | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What `gc` keeps: `runs` where a recipe says nothing, workspaces of ended runs for `workspaces_ms`, that many `backups`."""

    runs: Retention = field(default_factory=Retention)
    workspaces_ms: int = 24 * 60 * 60 * 1000
    backups: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are, and what was configured.

    `state`: database, runs, artifacts. `config`: config.toml and the user's recipes. `cache`: can be deleted any time.
    `account`: shared by all state folders of the account.

    `trace_url` is a template with ``{trace_id}`` and ``{span_id}``; `events_file` gets every event as a JSON line, a relative
    one lies beside config.toml. `signing_key` is the operator's own SSH key, `allowed_signers` and `revoked_keys` are files of
    OpenSSH's formats. `hooks` are commands by event, `secrets` sources by name,
    `connections` what effects go by.
    `console` is that table as it is written.
    `recipes` and `themes` are the folders that come with the program.
    """

    state: Path
    config: Path
    cache: Path
    account: Path
    recipes: Path
    themes: Path
    trace_url: str | None = None
    events_file: Path | None = None
    project: str | None = None
    signing_key: str | None = None
    allowed_signers: Path | None = None
    revoked_keys: Path | None = None
    hooks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)
    connections: Mapping[str, SmtpConnection] = field(default_factory=dict)
    retention: Keeping = field(default_factory=Keeping)
    console: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    @property
    def artifacts(self) -> Path:
        return self.state / "artifacts"

    @property
    def recipe_folders(self) -> tuple[tuple[str, Path], ...]:
        """Where recipes are looked for, in order, each with the word for its origin."""
        project = Path("recipes")
        nearest = () if project.resolve() == self.recipes.resolve() else (("project", project),)
        return (*nearest, ("user", self.config / "recipes"), ("built-in", self.recipes))

    @property
    def template_locks(self) -> Path:
        """What each template is on this machine."""
        return self.state / "template-locks"

    @property
    def template_folders(self) -> tuple[Path, ...]:
        return (self.config / "templates", self.recipes / "templates")


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Settings for this environment. Raises WfconsoleError INPUT_INVALID for a config file that does not hold."""
    home = environ.get("WFCONSOLE_HOME")
    user = Path(environ.get("HOME") or Path.home())
    account = Path(environ.get("XDG_CACHE_HOME") or user / ".cache") / "wfconsole"
    if home:
        base = Path(home).absolute()
        state, config, cache = base, base, base / "cache"
    else:
        state = Path(environ.get("XDG_STATE_HOME") or user / ".local/state") / "wfconsole"
        config = Path(environ.get("XDG_CONFIG_HOME") or user / ".config") / "wfconsole"
        cache = account
    values = _read_file(config / "config.toml")
    return Settings(
        state=state,
        config=config,
        cache=cache,
        account=account,
        recipes=_shipped("recipes"),
        themes=_shipped("themes"),
        trace_url=values.get("trace_url"),
        events_file=config / Path(values["events_file"]).expanduser() if "events_file" in values else None,
        project=values.get("project"),
        signing_key=values.get("signing_key"),
        allowed_signers=_beside(config, values.get("allowed_signers")),
        revoked_keys=_beside(config, values.get("revoked_keys")),
        hooks=_hooks(config, values.get("hooks") or {}),
        secrets=_secrets(config, values.get("secrets") or {}),
        connections={
            name: _connection(config, name, table) for name, table in (values.get("connections") or {}).items()
        },
        retention=_retention(config, values.get("retention") or {}),
        console=values.get("console") or {},
        environ=dict(environ),
    )


def _beside(config: Path, value: str | None) -> Path | None:
    """A path of the configuration: a relative one lies beside config.toml."""
    return None if value is None else config / Path(value).expanduser()


def _hooks(config: Path, table: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    for name, argv in table.items():
        fits = name in HOOK_EVENTS and isinstance(argv, list) and argv and all(isinstance(part, str) for part in argv)
        if not fits:
            raise WfconsoleError(
                "INPUT_INVALID",
                f"{config / 'config.toml'}: hooks.{name} is no hook",
                f"events: {', '.join(HOOK_EVENTS)}; each takes a command as a list of texts",
            )
    return {name: tuple(argv) for name, argv in table.items()}


def _connection(config: Path, name: str, table: Any) -> SmtpConnection:
    """``[connections.NAME]``: a mail server, kind smtp. Raises INPUT_INVALID."""
    problem = _misfit(table)
    if problem is not None:
        message, hint = problem
        raise WfconsoleError("INPUT_INVALID", f"{config / 'config.toml'}: connections.{name}: {message}", hint)
    tls = table.get("tls", "starttls")
    return SmtpConnection(
        host=table["host"],
        port=table.get("port", _PORTS[tls]),
        sender=table["from"],
        tls=tls,
        user=table.get("user"),
        password_file=_beside(config, table.get("password_file")),
        password_command=tuple(table.get("password_command") or ()),
        ca_file=_beside(config, table.get("ca_file")),
        aliases=dict(table.get("aliases") or {}),
        timeout_s=float(table.get("timeout_s", 60)),
    )


def _misfit(table: Any) -> tuple[str, str] | None:
    """What is wrong with a connection, and what to do; None when nothing is."""
    keys = f"keys: {', '.join(sorted(_SMTP))}"
    if not isinstance(table, dict):
        return "this is no table", f"write [connections.NAME] and below it {keys}"
    if "password" in table:
        return "a password does not belong here", "use password_file or password_command"
    for key, value in table.items():
        if key not in _SMTP or isinstance(value, bool) or not isinstance(value, _SMTP[key]):
            return f"{key} is no key of a connection, or has the wrong type", keys
    for key in ("host", "from"):
        if not table.get(key):
            return f"{key} is missing", "host: the mail server; from: the address that letters are from"
    texts = [*(table.get("aliases") or {}).values(), *(table.get("password_command") or ())]
    if not all(isinstance(text, str) for text in texts):
        return "aliases are addresses by name, password_command is a list of texts", keys
    return _unsafe(table)


def _unsafe(table: Mapping[str, Any]) -> tuple[str, str] | None:
    """Values that cannot be, or that would give a password away."""
    if table.get("kind", "smtp") != "smtp":
        return f"no connection is of kind {table['kind']}", 'write kind = "smtp"'
    if table.get("tls", "starttls") not in _PORTS:
        return f"tls is {table['tls']}", f"one of: {', '.join(_PORTS)}"
    if not 0 < table.get("port", 25) < 65536 or not 0 < table.get("timeout_s", 60) <= 3600:
        return "port or timeout_s is out of bounds", "a port is 1 to 65535; timeout_s is at most 3600"
    if "password_file" in table and "password_command" in table:
        return "two ways to the password", "keep password_file or password_command"
    near = table["host"] in {"localhost", "127.0.0.1", "::1"}
    if table.get("tls") == "none" and "user" in table and not near:
        return "the password would go over the network in clear", 'use tls = "starttls" or "tls"'
    return None


def _secrets(config: Path, table: Mapping[str, Any]) -> dict[str, SecretSource]:
    """``[secrets.NAME]`` with one of env, file (a relative one lies beside config.toml) and command (a list of texts)."""
    found = {}
    for name, given in table.items():
        match given:
            case {"env": str(variable), **rest} if variable and not rest:
                found[name] = SecretSource(env=variable)
            case {"file": str(path), **rest} if path and not rest:
                found[name] = SecretSource(file=_beside(config, path))
            case {"command": [*words], **rest} if words and not rest and all(isinstance(word, str) for word in words):
                found[name] = SecretSource(command=tuple(words))
            case _:
                raise WfconsoleError(
                    "INPUT_INVALID",
                    f"{config / 'config.toml'}: secrets.{name} does not say where the secret is",
                    f'[secrets.{name}] takes one of env = "VARIABLE", file = "PATH", command = ["PROGRAM", "ARGUMENT"]',
                )
    return found


_KEPT: dict[str, str] = {"age": "30d", "count": "100", "bytes": "5GiB", "workspaces": "24h", "backups": "5"}
"""What `retention` may say, with an example of each."""


def _retention(config: Path, table: Mapping[str, Any]) -> Keeping:
    found = {name: _kept(config, name, value) for name, value in table.items()}
    standard = Keeping()
    return Keeping(
        runs=Retention(age=found.get("age"), count=found.get("count"), bytes=found.get("bytes")),
        workspaces_ms=found.get("workspaces", standard.workspaces_ms),
        backups=found.get("backups", standard.backups),
    )


def _kept(config: Path, name: str, value: Any) -> int:
    read: int | None = None
    if name in {"age", "workspaces"} and isinstance(value, str):
        read = duration_ms(value)
    elif name == "bytes" and isinstance(value, str):
        read = size_bytes(value)
    elif name in {"count", "backups"} and isinstance(value, int) and not isinstance(value, bool) and value > 0:
        read = value
    if read is None:
        example = f"for example {name} = {_KEPT[name]!r}" if name in _KEPT else f"it may say: {', '.join(_KEPT)}"
        raise WfconsoleError(
            "INPUT_INVALID", f"{config / 'config.toml'}: retention.{name} = {value!r} does not hold", example
        )
    return read


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise WfconsoleError("INPUT_INVALID", f"{path}: {error}", "mend the configuration file") from error
    for key, value in data.items():
        if key not in _KEYS or not isinstance(value, _KEYS[key]):
            raise WfconsoleError(
                "INPUT_INVALID",
                f"{path}: {key} is no setting, or has the wrong type",
                f"settings: {', '.join(sorted(_KEYS))}",
            )
    return data


def _shipped(name: str) -> Path:
    """A folder that comes with the program: inside the installed package, else at the checkout's top level."""
    package = Path(__file__).resolve().parent
    packaged = package / "_builtin" / name
    return packaged if packaged.is_dir() else package.parent.parent / name
