"""Where recipes are found: by path, then by name in an ordered list of folders.

Owns the meaning of a recipe's name on the command line and the reading of files beside a recipe. Refuses to know which
folders there are: they are handed in, nearest first. The one decision that would surprise: a file beside a recipe is opened
only when its real path lies beneath the recipe's folder, so a link that leads out is as good as not there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from wfconsole.compiler.compile import MAX_FILE_BYTES, Compiled, compile_recipe
from wfconsole.compiler.findings import near
from wfconsole.compiler.load import MAX_BYTES
from wfconsole.domain.plan import InputSpec
from wfconsole.ports import WfconsoleError

Folder = tuple[str, Path]
"""An origin (project, user, built-in) and its folder of recipes."""

_SUFFIXES = (".yaml", ".yml")
_MAIN = tuple(f"recipe{suffix}" for suffix in _SUFFIXES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A recipe's file. `shadowed` are the files of the same name further down the list that it hides."""

    name: str
    origin: str
    path: Path
    shadowed: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One line of `recipes list`. `problems` counts errors; `version` and `description` are empty when unreadable."""

    name: str
    origin: str
    path: Path
    version: str
    description: str
    valid: bool
    problems: int
    shadowed_by: Path | None = None


def is_path(reference: str) -> bool:
    """Whether the reference is a path and not a name."""
    return "/" in reference or reference.endswith(_SUFFIXES)


def find(reference: str, folders: Sequence[Folder], *, beside: Path) -> Found:
    """The recipe that `reference` means; relative paths start at `beside`. Raises RECIPE_NOT_FOUND with near names."""
    if is_path(reference):
        path = beside / reference
        candidates = [path / main for main in _MAIN] if path.is_dir() else [path]
        for candidate in candidates:
            if candidate.is_file():
                return Found(name=_name_of(candidate), origin="path", path=candidate)
        hint = "give the path of a recipe's YAML file, or of a folder with a recipe.yaml"
        raise WfconsoleError("RECIPE_NOT_FOUND", f"there is no recipe at {reference}", hint, {"recipe": reference})
    hits = [(origin, path) for origin, path in _all(folders) if _name_of(path) == reference]
    if not hits:
        raise _not_found(reference, folders)
    (origin, path), *rest = hits
    return Found(name=reference, origin=origin, path=path, shadowed=tuple(hidden for _, hidden in rest))


def compile_found(found: Found, folders: Sequence[Folder], *, templates: Collection[str]) -> Compiled:
    """Read and compile a found recipe. Raises RECIPE_NOT_FOUND when its file cannot be read."""
    try:
        text = _read(found.path)
    except OSError as error:
        message = f"cannot read {found.path}: {error.strerror}"
        raise WfconsoleError("RECIPE_NOT_FOUND", message, "check the path and its permissions") from error
    return compile_recipe(
        text,
        file=str(found.path),
        origin=found.origin,
        read_file=reader(found.path.parent),
        templates=templates,
        resolve_recipe=resolver(folders, templates=templates, beside=found.path.parent),
    )


def reader(folder: Path) -> Callable[[str], bytes]:
    """A reader of the regular files beneath `folder`, for `compile_recipe`."""

    def read(name: str) -> bytes:
        path = (folder / name).resolve(strict=True)
        if not path.is_relative_to(folder.resolve()):
            raise ValueError("it leads out of the recipe's folder")
        if not path.is_file():
            raise ValueError("it is no regular file")
        with path.open("rb") as stream:
            return stream.read(MAX_FILE_BYTES + 1)

    return read


def resolver(
    folders: Sequence[Folder], *, templates: Collection[str], beside: Path
) -> Callable[[str], tuple[InputSpec, ...] | None]:
    """What `uses` names, as its declared inputs. Recipes inside that recipe are not followed, so no circle can form.

    Each file is read once, however many steps name it.
    """
    known: dict[Path, tuple[InputSpec, ...]] = {}

    def resolve(reference: str) -> tuple[InputSpec, ...] | None:
        try:
            found = find(reference, folders, beside=beside)
            real = found.path.resolve(strict=True)
            if real not in known:
                known[real] = _inputs_of(found, templates)
        except (WfconsoleError, OSError, ValueError):
            return None
        return known[real]

    return resolve


def _inputs_of(found: Found, templates: Collection[str]) -> tuple[InputSpec, ...]:
    compiled = compile_recipe(
        _read(found.path),
        file=str(found.path),
        origin=found.origin,
        read_file=reader(found.path.parent),
        templates=templates,
    )
    return compiled.inputs


def _read(path: Path) -> bytes:
    """As much of the file as a recipe may have, and one byte that shows that there is more."""
    with path.open("rb") as stream:
        return stream.read(MAX_BYTES + 1)


def entries(folders: Sequence[Folder], *, templates: Collection[str]) -> tuple[Entry, ...]:
    """Every recipe of the folders, by name; a hidden one follows the one that hides it."""
    first: dict[str, Path] = {}
    listed: list[Entry] = []
    for origin, path in _all(folders):
        name = _name_of(path)
        found = Found(name=name, origin=origin, path=path)
        try:
            compiled = compile_found(found, folders, templates=templates)
        except WfconsoleError:
            compiled = Compiled(plan=None)
        problems = sum(finding.severity == "error" for finding in compiled.findings)
        lines = compiled.description.strip().splitlines()
        listed.append(
            Entry(
                name=name, origin=origin, path=path, version=compiled.version, description=lines[0] if lines else "",
                valid=compiled.plan is not None, problems=problems, shadowed_by=first.get(name),
            )
        )  # fmt: skip
        first.setdefault(name, path)
    order = {id(entry): index for index, entry in enumerate(listed)}
    return tuple(sorted(listed, key=lambda entry: (entry.name, order[id(entry)])))


def _all(folders: Sequence[Folder]) -> Iterator[tuple[str, Path]]:
    """Recipe files, folder by folder: NAME.yaml, or NAME/recipe.yaml for a recipe with files."""
    for origin, folder in folders:
        try:
            children = sorted(folder.iterdir())
        except OSError:
            continue
        for child in children:
            if child.name.startswith("."):
                continue
            if child.suffix in _SUFFIXES and child.is_file():
                yield origin, child
            elif child.is_dir():
                yield from ((origin, child / main) for main in _MAIN if (child / main).is_file())


def _name_of(path: Path) -> str:
    return path.parent.name if path.name in _MAIN else path.stem


def _not_found(name: str, folders: Sequence[Folder]) -> WfconsoleError:
    known = sorted({_name_of(path) for _, path in _all(folders)})
    suggestion = near(name, known)
    if suggestion:
        hint = f"did you mean '{suggestion}'?"
    else:
        hint = "recipes: " + ", ".join(known[:30]) if known else "no folder holds a recipe; give the path of one"
    details = {"recipe": name, "known": known, "suggestion": suggestion or None}
    return WfconsoleError("RECIPE_NOT_FOUND", f"there is no recipe '{name[:80]}'", hint, details)
