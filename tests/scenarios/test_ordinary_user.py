"""A whole run by an ordinary account that is in the group docker; everything else in these tests may run as root."""

from __future__ import annotations

import grp
import os
import pwd
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.cli import SOURCES, Wfconsole, recipe, repository, step

pytestmark = pytest.mark.engine
PLAN = """
steps:
  write:
    run: [[sh, -c, 'id -u; cat /run/secrets/TOKEN; echo made >>read.me; mkdir deep; chmod 700 deep; touch deep/x']]
    secrets: [TOKEN]
  read: {needs: [write], run: [cat read.me], artifacts: [read.me]}
  per: {needs: [write], run: [touch refused], isolation: read_only}
commands: {shell: allow}
"""


class AsUser(Wfconsole):
    """The program as another account has it."""

    def __init__(self, account: pwd.struct_passwd, home: Path) -> None:
        super().__init__(home, {"HOME": str(home), "WFCONSOLE_SECRET_TOKEN": "correct-horse-battery"}, home)
        self.account = account

    def do(self, *argv: str | Path) -> subprocess.CompletedProcess[bytes]:
        become = ["setpriv", f"--reuid={self.account.pw_uid}", f"--regid={self.account.pw_gid}", "--init-groups"]
        kept = {
            name: self.environment[name]
            for name in ("PATH", "HOME", "TERM", "WFCONSOLE_HOME", "WFCONSOLE_SECRET_TOKEN")
        }
        environment = {**kept, "USER": self.account.pw_name, "PYTHONPATH": str(SOURCES)}
        line = [*become, sys.executable, "-m", "wfconsole", *map(str, argv)]
        return subprocess.run(line, env=environment, cwd=self.home, capture_output=True, timeout=120, check=False)


def tmpfs(account: pwd.struct_passwd) -> Path:
    """Where the account's sandboxes keep what must not reach a disk."""
    return Path("/dev/shm") / f"wfconsole-{account.pw_uid}"


@pytest.fixture
def ordinary() -> Iterator[AsUser]:
    """An account made for this test, in the group of the engine's socket."""
    if os.geteuid() != 0:
        pytest.skip("these tests run as an ordinary user already")
    if not shutil.which("useradd") or not shutil.which("setpriv"):
        pytest.skip("no account can be made here: useradd or setpriv is missing")
    group = grp.getgrgid(os.stat("/var/run/docker.sock").st_gid).gr_name
    name = f"wfc-{secrets.token_hex(4)}"
    home = Path(tempfile.mkdtemp(prefix="wfconsole-user-"))
    made = subprocess.run(["useradd", "-M", "-d", str(home), "-G", group, name], capture_output=True, check=False)
    if made.returncode:
        pytest.skip(f"no account can be made here: {made.stderr.decode().strip()}")
    account = pwd.getpwnam(name)
    try:
        os.chown(home, account.pw_uid, account.pw_gid)
        user = AsUser(account, home)
        if user.do("--version").returncode:
            pytest.skip("an ordinary user can read neither this interpreter nor this checkout")
        yield user
    finally:
        subprocess.run(["userdel", name], capture_output=True, check=False)
        shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(tmpfs(account), ignore_errors=True)


def test_an_ordinary_user_in_the_group_docker_runs_a_recipe_whole(ordinary: AsUser) -> None:
    place = repository(ordinary.home / "project")
    text = recipe(ordinary.home, "whole", PLAN)
    for path in (place, *place.rglob("*"), text):
        os.chown(path, ordinary.account.pw_uid, ordinary.account.pw_gid, follow_symlinks=False)
    locked = ordinary.do("templates", "lock", "python")
    assert locked.returncode == 0, locked.stderr
    done = ordinary.do("run", text, "-i", f"repo={place}", "--id", "whole")
    assert done.returncode == 1, done.stderr
    view = ordinary.show("whole")
    statuses = {name: step(view, name)["status"] for name in ("write", "read", "per")}
    assert statuses == {"write": "succeeded", "read": "succeeded", "per": "failed"}
    folder = ordinary.folder(view["run_id"])
    logs = folder / "bundle/logs"
    assert (logs / "write/1/0.stdout").read_text() == f"{ordinary.account.pw_uid}\n***"
    assert (logs / "read/1/0.stdout").read_text() == "one\ntwo\nmade\n"
    owners = {path.lstat().st_uid for path in folder.rglob("*")}
    assert owners == {ordinary.account.pw_uid}
    assert not tmpfs(ordinary.account).exists() or not list(tmpfs(ordinary.account).iterdir())
