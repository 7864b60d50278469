"""Nothing runs on the host but what stands here: a step's command has no way to be one of them."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from tests.house.tree import SOURCE

STARTERS = {
    "workspace/git.py": "git plumbing, on a git folder of ours",
    "signing/program.py": "ssh-keygen, for the operator's signatures",
    "main/hooks.py": "the operator's own hooks",
    "main/secrets.py": "the operator's own command for a secret",
    "main/detach.py": "this program itself, as a worker",
    "delivery/mailer.py": "the operator's own command for a password",
}
"""Modules that start programs, each with whose they are."""
BUILDERS = "sandbox/templates/"
"""Where `templates build` makes images: debootstrap, pip and tar, when the operator asks for it."""
WAYS = re.compile(
    r"\bsubprocess\b|create_subprocess|\bos\.(?:system|popen|exec[lv]p?e?|posix_spawnp?|spawn[lv]p?e?|fork|forkpty)\b|\bpty\.|\bmultiprocessing\b"
)


def code_of(path: Path) -> str:
    """The source without its comments and strings."""
    return ast.unparse(_Bare().visit(ast.parse(path.read_text())))


class _Bare(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.Constant:
        return ast.Constant(value="" if isinstance(node.value, str) else node.value)


def test_programs_are_started_by_the_listed_modules_alone() -> None:
    found = {str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.py") if WAYS.search(code_of(path))}
    assert {name for name in found - set(STARTERS) if not name.startswith(BUILDERS)} == set()
    assert set(STARTERS) - found == set()


def test_git_is_called_by_one_module_with_a_git_folder_that_is_named() -> None:
    """Never discovered: else a planted .git beneath a workspace would be looked at."""
    source = (SOURCE / "workspace/git.py").read_text()
    assert 'f"--git-dir={self.git_dir}"' in source
    starts = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "subprocess.Popen"
    ]
    assert len(starts) == 1
    assert any(word.arg == "env" for word in starts[0].keywords)
    for path in SOURCE.rglob("*.py"):
        if path.name != "git.py" and str(path.relative_to(SOURCE)) in STARTERS:
            assert '"git"' not in path.read_text(), path


def test_no_setting_of_git_that_starts_a_program_is_left_open() -> None:
    from wfconsole.workspace.git import _SETTINGS

    closed = {
        "core.hooksPath", "core.fsmonitor", "core.attributesFile", "core.pager", "core.alternateRefsCommand", "core.sshCommand",
        "core.askPass", "credential.helper", "diff.external", "protocol.allow", "submodule.recurse", "gc.auto",
    }  # fmt: skip
    assert closed <= set(_SETTINGS)


def test_the_lint_finds_every_way() -> None:
    for line in (
        "subprocess.run(x)",
        "os.system(x)",
        "asyncio.create_subprocess_exec(x)",
        "os.execvp(x)",
        "os.posix_spawn(x)",
        "pty.spawn(x)",
    ):
        assert WAYS.search(line), line
