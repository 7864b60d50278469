"""Every string that a front end writes to a terminal passes the one door: `views.safe_text`, by way of `cli.output`.

Read from the source: whatever can reach a terminal without the door (print, a stream's write, markup, raw bytes, a widget's text)
is found, and has to stand in one of the lists below with its reason.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import SOURCE

DOORS = {
    "cli/output.py": "is the door",
    "cli/app.py": "prints its own name and version, a constant",
    "main/__init__.py": "prints its own name and version, a constant",
    "__main__.py": "prints its own name and version, a constant",
}
"""Files that may write to a stream themselves."""

RAW = {
    "cli/approvals.py": "the bytes to be signed are asked for; they are canonical JSON, which escapes every control character",
    "cli/artifacts.py": "the bytes of an artifact are asked for, and refused on a terminal",
    "cli/completion.py": "a script of ours",
    "cli/logs.py": "--raw asks for the bytes",
}
"""Files that may give bytes to `Output.raw`."""

FRONT = ("cli", "main", "console")
WIDGETS = {"Static", "Label", "Button", "Markdown", "Option", "notify"}
"""Of Textual: what they are given is shown as it is, and but for `markup=False` obeyed."""
SAFE = {"safe_text", "safe_json", "safe_lines", "safe", "shown"}
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}


def front_files() -> list[Path]:
    return sorted(path for name in FRONT if (SOURCE / name).is_dir() for path in (SOURCE / name).rglob("*.py"))


def unsafe(source: str) -> Iterator[tuple[int, str]]:
    """Line and sort of each place that can write to a terminal without the door."""
    tree = ast.parse(source)
    safe = _safe_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name) and called.id in {"print", "input"}:
            yield node.lineno, called.id
        elif _name(called) in WIDGETS and node.args and not _is_safe(node.args[0], safe):
            yield node.lineno, "widget"
        elif isinstance(called, ast.Attribute):
            owner = ast.unparse(called.value)
            last = owner.rpartition(".")[2]
            if called.attr in {"write", "writelines"} and (last in STREAMS or last == "buffer"):
                if not all(_is_safe(argument, safe) for argument in node.args):
                    yield node.lineno, "write"
            elif called.attr in {"echo", "secho", "prompt", "confirm"} and owner in {"typer", "click"}:
                yield node.lineno, called.attr
            elif called.attr == "raw" and last == "out":
                yield node.lineno, "raw"
            elif called.attr == "from_markup" or (called.attr == "render" and last == "Text"):
                yield node.lineno, "markup"


def _name(called: ast.expr) -> str:
    return called.id if isinstance(called, ast.Name) else getattr(called, "attr", "")


def _safe_names(tree: ast.AST) -> set[str]:
    """Names that hold what the door gave."""
    return {
        target.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and _is_safe(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _is_safe(node: ast.expr, names: set[str]) -> bool:
    """A constant, what the door gave, or a text put together of those."""
    match node:
        case ast.Constant():
            return True
        case ast.Name(id=name):
            return name in names
        case ast.JoinedStr(values=parts):
            return all(_is_safe(part.value if isinstance(part, ast.FormattedValue) else part, names) for part in parts)
        case ast.BinOp(left=left, right=right):
            return _is_safe(left, names) and _is_safe(right, names)
        case ast.Call(func=ast.Name(id=name)) | ast.Call(func=ast.Attribute(attr=name)):
            return name in SAFE
        case _:
            return False


def test_everything_that_is_written_has_passed_the_door() -> None:
    found = []
    for path in front_files():
        name = str(path.relative_to(SOURCE))
        if name in DOORS:
            continue
        found += [
            f"{name}:{line}: {sort}" for line, sort in unsafe(path.read_text()) if sort != "raw" or name not in RAW
        ]
    assert found == []


def test_the_lists_name_files_that_need_it() -> None:
    raw = {
        str(path.relative_to(SOURCE))
        for path in front_files()
        if any(sort == "raw" for _, sort in unsafe(path.read_text()))
    }
    assert set(RAW) == raw
    assert all((SOURCE / name).is_file() for name in DOORS)


@pytest.mark.parametrize(
    "line",
    [
        "print(name)", "sys.stdout.write(name)", "sys.stderr.write(f'{name} hides {other}')", "out.stdout.write(text)",
        "sys.stdout.buffer.write(data)", "typer.echo(name)", "session.out.raw(data)", "self.out.stderr.writelines(lines)",
        "Text.from_markup(name)", "input(question)", "typer.confirm(f'delete {name}?')", "stderr.write('a' + name)",
        "yield Static(self.title)", "self.notify(f'{name} has ended')", "Label(name, markup=False)",
    ],
)  # fmt: skip
def test_the_lint_finds(line: str) -> None:
    assert list(unsafe(f"def f():\n    {line}\n"))


@pytest.mark.parametrize(
    "text",
    [
        "sys.stderr.write('constant')", "sys.stderr.write(safe_text(name) + '\\n')", "stderr.write(f'{safe_text(name)} hides')",
        "shown = safe_text(name)\nsys.stderr.write(f'{shown}')", "out.line(name)", "file.write(data)", "out.note(f'{name}')",
        "yield Static(safe_lines(self.lines), markup=False)", "self.notify('done')",
    ],
)  # fmt: skip
def test_the_lint_lets_through(text: str) -> None:
    assert list(unsafe(text)) == []


def test_the_displays_of_rich_are_given_text_that_is_no_markup() -> None:
    """`cli.live` is the one module that hands lines to rich; its lines are made of `Text` over safe strings."""
    users = {str(path.relative_to(SOURCE)) for path in front_files() if "from rich" in path.read_text()} - {
        str(path.relative_to(SOURCE)) for path in front_files() if path.is_relative_to(SOURCE / "console")
    }
    assert users == {"cli/live.py"}
    source = (SOURCE / "cli/live.py").read_text()
    assert "markup=False" in source
    assert "safe_text" in source
