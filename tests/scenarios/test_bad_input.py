"""What people really hand in: no engine, odd repositories, odd names. Handled, or refused with one clear line."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenarios.cli import Wfconsole, git, recipe, repository, step
from tests.scenarios.test_ordinary_user import AsUser
from tests.scenarios.test_terminal import on_a_terminal, raw

LOOK = "steps: {look: {run: [[cat, read.me]]}}\n"
LOOK_AT = 'inputs: {repo: {type: path, required: true}}\nworkspace: {source: "${{ inputs.repo }}", ref: %s}\n' + LOOK
BIG = 200 * 1024 * 1024


@pytest.fixture(scope="module")
def look(place: Path) -> Path:
    return recipe(place, "look", LOOK)


def folders(wf: Wfconsole) -> list[str]:
    return sorted(path.name for path in (wf.home / "runs").iterdir()) if (wf.home / "runs").exists() else []


def test_without_docker_the_run_fails_and_nothing_runs_on_the_host(wf: Wfconsole, place: Path, repo: Path) -> None:
    """The step's program exists on the host and would leave a mark there."""
    mark = place / "on-the-host"
    path = recipe(
        place, "touches", f"steps: {{touch: {{run: [[touch, {mark}]]}}, after: {{needs: [touch], run: [[pwd]]}}}}\n"
    )
    lost = wf.using(DOCKER_HOST="unix:///nonexistent/docker.sock")
    ended = lost.run("run", path, "-i", f"repo={repo}", "--json")
    assert (ended.code, ended.view["status"]) == (5, "failed"), ended.err
    assert ended.view["failure"]["code"] == "SANDBOX_UNAVAILABLE"
    assert ended.view["failure"]["hint"]
    assert step(ended.view, "after")["status"] == "skipped"
    assert not mark.exists()
    words = lost.run("run", path, "-i", f"repo={repo}")
    assert words.code == 5
    assert "SANDBOX_UNAVAILABLE" in words.out + words.err


def test_a_repository_that_cannot_be_read_is_refused(wf: Wfconsole, place: Path, look: Path) -> None:
    damaged = repository(place / "damaged")
    shutil.rmtree(damaged / ".git" / "objects")
    before = folders(wf)
    for path, code in (
        (place / "missing", "INPUT_INVALID"),
        (look, "WORKSPACE_INVALID"),
        (damaged, "WORKSPACE_INVALID"),
    ):
        refused = wf.run("run", look, "-i", f"repo={path}", "--json")
        assert (refused.code, refused.error["code"]) == (2, code), refused.err
        assert str(path) in refused.err
        assert not refused.stdout
    assert folders(wf) == before


@pytest.fixture
def nobody() -> Iterator[AsUser]:
    """The account that owns nothing, with a home of its own."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        pytest.skip("only root can become another account, by setpriv")
    account = pwd.getpwnam("nobody")
    home = Path(tempfile.mkdtemp(prefix="wfconsole-nobody-"))
    os.chown(home, account.pw_uid, account.pw_gid)
    try:
        user = AsUser(account, home)
        if user.do("--version").returncode:
            pytest.skip("an ordinary user can read neither this interpreter nor this checkout")
        yield user
    finally:
        shutil.rmtree(home)


@pytest.mark.parametrize(
    ("shut", "ref"), [("", "HEAD"), (".git", "HEAD"), ("read.me", "worktree"), ("new", "worktree")]
)
def test_what_an_ordinary_user_cannot_read_is_refused_by_its_name(nobody: AsUser, shut: str, ref: str) -> None:
    text = recipe(nobody.home, "look", LOOK_AT % ref)
    closed = repository(nobody.home / "closed")
    (closed / "new").mkdir()
    (closed / "new" / "file").touch()
    (closed / shut).chmod(0)
    refused = nobody.do("run", text, "-i", f"repo={closed}")
    said = refused.stderr.decode()
    assert (refused.returncode, refused.stdout) == (2, b""), said
    assert "WORKSPACE_INVALID" in said
    assert f"{shut or closed} cannot be read: Permission denied" in said
    runs = nobody.home / "runs"
    assert not runs.exists() or not list(runs.iterdir())


@pytest.mark.engine
def test_a_folder_without_git_is_copied_as_it_lies(wf: Wfconsole, place: Path, look: Path) -> None:
    plain = place / "plain"
    plain.mkdir()
    (plain / "read.me").write_text("plain\n")
    ended = wf.run("run", look, "-i", f"repo={plain}", "--json")
    assert ended.code == 0, ended.err
    assert any("no git repository" in text for text in ended.view["warnings"])
    assert wf.run("logs", ended.view["run_id"], "look").stdout == b"plain\n"


def test_an_empty_repository_is_refused_with_a_clear_line(wf: Wfconsole, place: Path, look: Path) -> None:
    empty = place / "empty"
    empty.mkdir()
    git(empty, "init", "-q")
    before = folders(wf)
    refused = wf.run("run", look, "-i", f"repo={empty}", "--json")
    assert (refused.code, refused.error["code"]) == (2, "WORKSPACE_INVALID"), refused.err
    assert "commit" in refused.error["message"] + refused.error["hint"]
    assert folders(wf) == before


@pytest.mark.engine
def test_spaces_and_other_alphabets_in_names_go_all_the_way(wf: Wfconsole, place: Path) -> None:
    strange = repository(
        place / "père & sons's größe", {"ein ordner/naïve ☃.txt": "snow\n", "-dash": "x\n", "read.me": "a\n"}
    )
    path = recipe(
        place,
        "strange",
        """
        steps:
          copy:
            run: [[cp, "ein ordner/naïve ☃.txt", "neu & alt.txt"], [cat, "neu & alt.txt"]]
            artifacts: ["neu*", "ein ordner/*"]
          fail: {needs: [copy], run: [["false"]]}
        """,
    )
    ended = wf.run("run", path, "-i", f"repo={strange}", "--json")
    assert step(ended.view, "copy")["status"] == "succeeded", ended.err
    assert {each["name"] for each in ended.view["artifacts"] if each["step_id"] == "copy"} == {
        "neu & alt.txt",
        "ein ordner/naïve ☃.txt",
    }
    again = shlex.split(ended.view["failure"]["retry"]["command"])
    assert again[0] == "wfconsole"
    repeated = wf.run(*again[1:], "--json")
    assert (repeated.code, repeated.view["inputs"]) == (1, ended.view["inputs"]), repeated.err
    assert wf.run("export", ended.view["run_id"], place / "strange.tar.gz").code == 0


@pytest.mark.engine
def test_submodules_are_told_and_left_out(wf: Wfconsole, place: Path, look: Path) -> None:
    inner, outer = repository(place / "inner"), repository(place / "outer")
    git(outer, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(inner), "sub")
    git(outer, "commit", "-q", "-m", "a submodule")
    ended = wf.run("run", look, "-i", f"repo={outer}", "--json")
    if ended.code == 2:
        assert ended.error["code"] == "WORKSPACE_INVALID"
        assert "submodule" in ended.error["message"]
    else:
        assert ended.code == 0, ended.err
        assert any("submodule" in text.lower() for text in ended.view["warnings"])


@pytest.mark.engine
def test_links_that_lead_outside_stay_links_and_lead_nowhere(wf: Wfconsole, place: Path) -> None:
    (place / "secret").write_text("secret\n")
    linked = repository(place / "linked")
    os.symlink(place / "secret", linked / "absolute")
    os.symlink("../secret", linked / "upwards")
    os.symlink("/", linked / "root")
    git(linked, "add", "-A")
    git(linked, "commit", "-q", "-m", "links")
    path = recipe(
        place,
        "linked",
        """
        steps:
          look: {halt_on_error: false, run: [[cat, absolute], [cat, upwards]], artifacts: [absolute, upwards, "root/etc/*"]}
          plant:
            needs: {look: done}
            run: [[python, -c, "import os; os.symlink('/etc/passwd', 'planted'); os.mkfifo('pipe')"]]
            artifacts: [planted, pipe]
            outputs: {stolen: {from: planted}}
        """,
    )
    ended = wf.run("run", path, "-i", f"repo={linked}", "--json", "--until-waiting")
    assert any("absolute, root, upwards" in text for text in ended.view["warnings"])
    assert [step(ended.view, name)["status"] for name in ("look", "plant")] == ["failed", "failed"]
    assert (step(ended.view, "plant")["failure"]["code"], ended.code) == ("OUTPUT_INVALID", 1)
    assert [each for each in ended.view["artifacts"] if each["kind"] == "file"] == []
    bundle = wf.home / ended.view["bundle"]
    assert not any(path.read_bytes() == b"secret\n" for path in bundle.rglob("*") if path.is_file())
    assert not any(path.is_symlink() for path in bundle.rglob("*"))


@pytest.mark.engine
def test_a_file_of_200_mb_goes_through(wf: Wfconsole, place: Path) -> None:
    large = repository(place / "large")
    block = os.urandom(1024 * 1024)
    with (large / "large.bin").open("wb") as out:
        for _ in range(BIG // len(block)):
            out.write(block)
    path = place / "large.yaml"
    path.write_text(
        "recipe: large\ntemplate: python\ninputs: {repo: {type: path, required: true}}\n"
        'workspace: {source: "${{ inputs.repo }}", ref: worktree}\n'
        "steps: {size: {run: [[stat, -c, '%s', large.bin], [mv, large.bin, moved.bin]]}}\n"
    )
    ended = wf.run("run", path, "-i", f"repo={large}", "--json")
    assert ended.code == 0, ended.err
    assert wf.run("logs", ended.view["run_id"], "size").stdout == f"{BIG}\n".encode()
    assert (large / "large.bin").stat().st_size == BIG


def test_names_in_a_strangers_repository_reach_the_terminal_as_text(wf: Wfconsole, place: Path) -> None:
    """A branch that is near what was asked for, and a file that is not in the copy, are named by what the repository says."""
    strange = repository(place / "strangers")
    git(strange, "branch", "fea\u202eture\x9b5n")
    (strange / "\x1b[31mnot tracked\x07").write_text("x")
    near = recipe(place, "near", LOOK_AT % "feature")
    written, code, _ = on_a_terminal(wf, "run", near, "-i", f"repo={strange}")
    assert (code, raw(written)) == (2, b""), written
    assert b"<U+202E>" in written
    lost = wf.using(DOCKER_HOST="unix:///nonexistent/docker.sock")
    text = recipe(place, "strangers", LOOK)
    written, code, _ = on_a_terminal(lost, "run", text, "-i", f"repo={strange}")
    assert (code, raw(written)) == (5, b""), written
    assert b"\\x1b[31mnot tracked\\x07" in written
