"""Settings, read once: where things are kept and what the operator configured. Nobody else reads the environment.

With ``WFCONSOLE_HOME`` everything lies beneath it (the state folder is that folder itself); else the XDG folders are used.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wfconsole.ports import WfconsoleError

_KEYS: dict[str, type] = {
    "trace_url": str,
    "events_file": str,
    "project": str,
    "signing_key": str,
    "allowed_signers": str,
    "revoked_keys": str,
    "hooks": dict,
}
HOOK_EVENTS = ("approval_requested", "approval_expired", "run_failed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Where things are, and what was configured.

    `state`: database, runs, artifacts. `config`: config.toml and the user's recipes. `cache`: can be deleted any time.
    `account`: shared by all state folders of the account.

    `trace_url` is a template with ``{trace_id}`` and ``{span_id}``; `events_file` gets every event as a JSON line, a relative
    one lies beside config.toml. `signing_key` is the operator's own SSH key, `allowed_signers` and `revoked_keys` are files of
    OpenSSH's formats. `hooks` are commands by event. `recipes` and `themes` are the folders that come with the program.
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
