"""The attempt's folders on the host: what the runner reads, who owns what the sandbox writes.

Owns `in_dir`, `out_dir`, `scratch` and the secrets on host tmpfs. Refuses to know the engine. What would surprise: a
writable mount is given to the sandbox's account with one walk, and only when its top is not that account's already (the
top is changed last, so a walk that was cut short begins again).
"""

from __future__ import annotations

import os
import re
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from wfconsole.ports import SandboxSpec, WfconsoleError
from wfconsole.sandbox import marks, runner

TMPFS = Path("/dev/shm")  # noqa: S108  # the host's tmpfs: secrets must never be written to a disk
NOBODY = 65532
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the sandbox runs as: the operator, or 65532 when that would be root."""

    uid: int
    gid: int

    @classmethod
    def here(cls) -> Account:
        uid = os.geteuid()
        return cls(NOBODY, NOBODY) if uid == 0 else cls(uid, os.getegid())

    @classmethod
    def of(cls, uid: int | None, gid: int | None) -> Account:
        """The account that a template names; None is the operator's. Another one than ours needs root: folders change hands."""
        if uid is None or gid is None:
            return cls.here()
        if os.geteuid() not in {0, uid}:
            raise WfconsoleError(
                "SANDBOX_UNAVAILABLE",
                f"the template runs as user {uid}, which only root can set up",
                "use user: operator",
            )
        return cls(uid, gid)


def write(spec: SandboxSpec, env: dict[str, str], account: Account, secrets: Path) -> None:
    """Make all folders and files of the attempt. Raises INPUT_INVALID for what no process can be given."""
    _check(spec, env)
    for folder in (spec.in_dir, spec.out_dir, spec.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    _clear(spec.in_dir)
    _clear(spec.out_dir)
    for name, content in _files(spec, env, account).items():
        _put(spec.in_dir / name, content, 0o444)
    os.mkfifo(spec.in_dir / marks.WAKE)
    (spec.in_dir / marks.WAKE).chmod(0o666)  # no content passes through it: a wake-up, whoever sends it
    spec.in_dir.chmod(0o755)
    for folder in (spec.out_dir, spec.scratch):
        own(folder, account)
    for mount in spec.mounts:
        if not mount.read_only:
            own(mount.source, account)
    if spec.secrets:
        _write_secrets(spec, secrets, account)


def secrets_folder(name: str) -> Path:
    """Where the secrets of the container of that name lie while it lives."""
    return tmpfs() / name


def raw_folder(name: str) -> Path:
    """Where such a container writes what must not reach a disk before its secrets are hidden."""
    return tmpfs() / f"{name}.out"


def tmpfs() -> Path:
    """Folder of the account on the host's tmpfs; not made here."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    top = Path(runtime) if runtime and not TMPFS.is_dir() else TMPFS
    return top / f"wfconsole-{os.geteuid()}"


def empty(folder: Path) -> None:
    """Make the folder; what an attempt that never began has left in it goes."""
    folder.mkdir(parents=True, exist_ok=True)
    _clear(folder)


def discard_private(name: str) -> None:
    """Remove all that lies on the tmpfs for the container of that name."""
    discard(secrets_folder(name))
    discard(raw_folder(name))


def own(top: Path, account: Account) -> None:
    """Give `top` and all beneath it to the account; follows no link. Needs root where the owner differs."""
    if os.geteuid() != 0 or _owned(top.lstat(), account):
        return
    if top.is_dir():
        for _, folders, files, handle in os.fwalk(top, topdown=False):
            for name in (*folders, *files):
                if not _owned(os.stat(name, dir_fd=handle, follow_symlinks=False), account):
                    os.chown(name, account.uid, account.gid, dir_fd=handle, follow_symlinks=False)
    os.lchown(top, account.uid, account.gid)


def discard(folder: Path) -> None:
    """Remove a folder that a sandbox may have filled, folders without permissions included; fine when it is gone."""
    try:
        shutil.rmtree(folder)
    except FileNotFoundError:
        return
    except OSError:
        folder.chmod(0o700)
        for path, names, _ in os.walk(folder):
            for name in names:
                if not (Path(path) / name).is_symlink():
                    (Path(path) / name).chmod(0o700)
        shutil.rmtree(folder)


def _owned(found: os.stat_result, account: Account) -> bool:
    return found.st_uid == account.uid and found.st_gid == account.gid


def _check(spec: SandboxSpec, env: dict[str, str]) -> None:
    for name in env:
        if not _NAME.fullmatch(name):
            raise WfconsoleError("INPUT_INVALID", f"{name!r} is no name for an environment variable")
    for name in spec.secrets:
        if not _SECRET.fullmatch(name):
            raise WfconsoleError("INPUT_INVALID", f"{name!r} is no name for a secret")
    if not all(spec.commands):
        raise WfconsoleError("INPUT_INVALID", "a command without words")
    for text in (spec.workdir, *env.values(), *(word for command in spec.commands for word in command)):
        if "\0" in text:
            raise WfconsoleError("INPUT_INVALID", "a NUL byte cannot be part of an argument or a variable")


def _files(spec: SandboxSpec, env: dict[str, str], account: Account) -> dict[str, bytes]:
    conf = [
        b"halt=%d" % spec.halt_on_error,
        b"dir=" + runner.quoted(spec.workdir),
        b"path=" + runner.quoted(env["PATH"]),
        b"umask 022",
    ]
    files = {
        "run": runner.RUN.encode(),
        "spawn": runner.SPAWN.encode(),
        "conf": b"\n".join(conf) + b"\n",
        "env": b"".join(b"export %s=%s\n" % (name.encode(), runner.quoted(value)) for name, value in env.items()),
        "passwd": f"sandbox:x:{account.uid}:{account.gid}::{runner.HOME}:/bin/sh\n".encode(),
    }
    for index, command in enumerate(spec.commands):
        files[f"{index}.argv"] = b"set -- " + b" ".join(map(runner.quoted, command)) + b"\n"
    if spec.stdin is not None:
        files["stdin"] = spec.stdin
    return files


def make_private() -> None:
    """Make this account's folder on the tmpfs. Raises SANDBOX_UNAVAILABLE when there is none, or it is somebody else's."""
    folder = tmpfs()
    if not folder.parent.is_dir():
        raise WfconsoleError(
            "SANDBOX_UNAVAILABLE", f"secrets need the tmpfs {folder.parent}", f"mount a tmpfs at {folder.parent}"
        )
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise WfconsoleError("SANDBOX_UNAVAILABLE", f"{folder} is not this account's own folder", f"remove {folder}")


def _write_secrets(spec: SandboxSpec, folder: Path, account: Account) -> None:
    make_private()
    discard(folder)
    folder.mkdir(mode=0o700)
    for name, content in spec.secrets.items():
        _put(folder / name, content, 0o400)
        os.chown(folder / name, account.uid, account.gid)
    folder.chmod(0o500)
    os.chown(folder, account.uid, account.gid)


def _clear(folder: Path) -> None:
    """Empty a folder that a claim left which never began."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            discard(entry)
        else:
            entry.unlink()


def _put(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
