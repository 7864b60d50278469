"""The explained risk of a change: each rule says what it saw and why that matters; their levels make the whole.

Owns the rules over contents, counts and given facts, and the sum. Refuses to know where the facts come from. Pure: the same
diff and facts give the same notes. The decision that would surprise: the overall level is the highest of any note, never an
average, so that nothing harmless beside it makes a leaked key less of a risk; the score only orders runs of one level.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from wfconsole.domain.plan import Json
from wfconsole.views import secrets
from wfconsole.views.diff import LINK_MODE, DiffSummary, FileChange
from wfconsole.views.hunks import Hunks
from wfconsole.views.risk_rules import LEVELS, PATH_RULES, Level, is_auth, is_lock, is_test, matches, translate

_POINTS: dict[Level, int] = {"low": 1, "medium": 5, "high": 25}
_TOP = 100
_NAMED = 5
_MIB = 1024 * 1024
_LINE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskNote:
    """`saw` tells facts of this change, `why` why they matter."""

    rule: str
    level: Level
    saw: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """`level` is that of the worst note, `low` without any; `score` runs from 0 to 100; the worst notes come first."""

    level: Level
    score: int
    notes: tuple[RiskNote, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskFacts:
    """What the run knows beside the diff. Coverage in percent, None when not measured; the tuples hold one phrase an item.

    `tests_run` is None when no tests were asked for; `network` names steps and what they may reach.
    """

    coverage_before: float | None = None
    coverage_after: float | None = None
    tests_run: int | None = None
    tests_failed: int = 0
    drift: tuple[str, ...] = ()
    blocked: tuple[str, ...] = ()
    network: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomRule:
    """A rule of the recipe's own: over changed paths (a glob), over added lines (a regular expression), or always."""

    level: Level
    why: str
    path: str | None = None
    text: str | None = None


def custom_rule(data: Json) -> CustomRule:
    """From ``{when, level, why}``: `when` is a glob of paths, or a regular expression between slashes, or absent.

    An expression is searched in the first 500 characters of each line. ValueError with a sentence when it is none of these.
    A repeat within a repeat is refused: it can take forever on a line.
    """
    if not isinstance(data, dict) or data.get("level") not in LEVELS:
        raise ValueError(f"a risk rule needs a level, one of {', '.join(LEVELS)}")
    when, why = data.get("when"), str(data.get("why") or "the recipe says so")
    if when is None:
        return CustomRule(level=data["level"], why=why)
    if not isinstance(when, str) or not when.strip("/ "):
        raise ValueError("`when` of a risk rule is a glob of paths, or a regular expression between slashes")
    if not (when.startswith("/") and when.endswith("/")):
        try:
            re.compile(translate(when))
        except re.error as error:
            raise ValueError(f"{when} is no glob: {error}") from error
        return CustomRule(level=data["level"], why=why, path=when)
    try:
        re.compile(when[1:-1])
    except re.error as error:
        raise ValueError(f"{when} is no regular expression: {error}") from error
    if re.search(r"[+*}]\??[^()]*\)[+*{]", when):
        raise ValueError(f"{when} has a repeat within a repeat")
    return CustomRule(level=data["level"], why=why, text=when[1:-1])


def risk(diff: DiffSummary, hunks: Sequence[Hunks], facts: RiskFacts, extra_rules: Sequence[CustomRule] = ()) -> Risk:
    """Every rule over the change and the facts."""
    notes = [note for rule in (_by_path, _by_shape) for note in rule(diff.files)]
    notes += [note for note in (_secrets(hunks), _hidden(hunks), _tests(diff.files, hunks), _skipped(hunks)) if note]
    notes += [*_links(diff.files, hunks), *_size(diff), *_given(facts)]
    notes += [note for rule in extra_rules for note in _custom(rule, diff, hunks)]
    notes = _destructive(notes, hunks)
    ordered = sorted(notes, key=lambda note: (-LEVELS.index(note.level), note.rule))
    return Risk(
        level=max((note.level for note in notes), key=LEVELS.index, default="low"),
        score=min(_TOP, sum(_POINTS[note.level] for note in notes)),
        notes=tuple(ordered),
    )


def document(found: Risk) -> dict[str, Json]:
    """As JSON for a card."""
    notes = [{"rule": note.rule, "level": note.level, "saw": note.saw, "why": note.why} for note in found.notes]
    return {"level": found.level, "score": found.score, "notes": notes}


def listed(names: Sequence[str], total: int | None = None) -> str:
    """The first few of them, and how many more of `total` there are."""
    more = (len(names) if total is None else total) - min(len(names), _NAMED)
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _by_path(files: Sequence[FileChange]) -> Iterator[RiskNote]:
    for rule in PATH_RULES:
        gone_too = rule.name != "secret_file"
        found = [
            change.path for change in files if (gone_too or change.status != "deleted") and _meant(change, rule.globs)
        ]
        if found:
            yield RiskNote(rule=rule.name, level=rule.level, saw=_count(found, rule.what), why=rule.why)
    auth = [change.path for change in files if is_auth(change.path) or (change.old_path and is_auth(change.old_path))]
    if auth:
        yield RiskNote(
            rule="auth", level="high", saw=_count(auth, "files about identity or permissions"),
            why="a mistake there lets somebody in, or everybody out",
        )  # fmt: skip


def _meant(change: FileChange, globs: tuple[str, ...]) -> bool:
    return matches(change.path, globs) or (change.old_path is not None and matches(change.old_path, globs))


def _count(found: Sequence[str], what: str, total: int | None = None) -> str:
    return f"{len(found) if total is None else total} {what}: {listed(found, total)}"


def _by_shape(files: Sequence[FileChange]) -> Iterator[RiskNote]:
    """Executable bits, deletions, binary files and submodules."""
    runs = [
        change.path for change in files
        if (change.new_mode or "").endswith("755") and not (change.old_mode or "").endswith("755")
    ]  # fmt: skip
    if runs:
        yield RiskNote(rule="executable", level="medium", saw=_count(runs, "files became executable"),
                       why="somebody, or some script, can start them as programs")  # fmt: skip
    gone = [change for change in files if change.status == "deleted"]
    if gone:
        many = len(gone) >= 10 or sum(change.removed for change in gone) >= 500
        yield RiskNote(rule="deletion", level="medium" if many else "low",
                       saw=_count([change.path for change in gone], "files deleted"),
                       why="what still refers to them breaks, and they are easily overlooked")  # fmt: skip
    opaque = [change for change in files if change.binary and change.status != "deleted"]
    if opaque:
        big = sum(change.size or 0 for change in opaque) > _MIB
        yield RiskNote(rule="binary", level="high" if big else "medium",
                       saw=_count([change.path for change in opaque], "binary files"),
                       why="a review cannot read them, and they were not searched for secrets")  # fmt: skip
    modules = [change.path for change in files if change.submodule]
    if modules:
        yield RiskNote(rule="submodule", level="medium", saw=_count(modules, "submodules point to another commit"),
                       why="the code that they bring is not in this diff")  # fmt: skip


def _size(diff: DiffSummary) -> Iterator[RiskNote]:
    lines = diff.added + diff.removed
    # A single line can be a whole program, so bytes count as well as lines.
    if lines < 1000 and diff.files_changed < 50 and diff.bytes < _MIB:
        return
    high = lines >= 5000 or diff.files_changed >= 200 or diff.bytes >= 10 * _MIB
    yield RiskNote(rule="large_change", level="high" if high else "medium",
                   saw=f"{lines} changed lines in {diff.files_changed} files, a diff of {-(-diff.bytes // 1024)} KiB",
                   why="nobody reviews that much with care; ask for smaller parts")  # fmt: skip


def _secrets(hunks: Sequence[Hunks]) -> RiskNote | None:
    """Probable secrets in added lines, by kind and place: the note never repeats one."""
    places: list[str] = []
    total, sure = 0, False
    for part in hunks:
        locked = is_lock(part.path)
        for offset, raw in part.hits(secrets.WORDS):
            # A lock file is full of digests that look random.
            found = [one for one in secrets.find(raw.decode("latin-1")) if one.known or not locked]
            total += bool(found)
            sure = sure or any(one.sure for one in found)
            if found and len(places) < _NAMED:
                places.append(f"{found[0].kind} at {part.path}:{part.number(offset)} ({secrets.MASK})")
    if not total:
        return None
    return RiskNote(rule="secret", level="high" if sure else "medium", saw=_count(places, "added lines with a secret", total),
                    why="what is committed once stays readable in the history; take it out and change the secret")  # fmt: skip


_TURNING = re.compile(rb"\xe2\x80[\x8b\xaa-\xae]|\xe2\x81[\xa0\xa6-\xa9]|\xd8\x9c")


def _hidden(hunks: Sequence[Hunks]) -> RiskNote | None:
    found, total = _places(hunks, (b"\xe2\x80", b"\xe2\x81", b"\xd8\x9c"), _TURNING.search)
    if not total:
        return None
    what = "added lines with invisible or direction-changing characters"
    return RiskNote(rule="hidden_text", level="high", saw=_count(found, what, total),
                    why="what is run is not what is read")  # fmt: skip


def _places(
    hunks: Sequence[Hunks],
    words: Sequence[bytes] | None,
    test: Callable[[bytes], object],
    only: Callable[[str], bool] = bool,
) -> tuple[list[str], int]:
    """``path:line`` of the first added lines that pass the test (and have one of the words), and how many do."""
    found: list[str] = []
    total = 0
    for part in hunks:
        if only(part.path):
            for offset, raw in part.lines() if words is None else part.hits(words):
                if test(raw):
                    total += 1
                    # Finding out a line's number costs a look at all of its hunk.
                    if len(found) < _NAMED:
                        found.append(f"{part.path}:{part.number(offset)}")
    return found, total


_DEFINES = re.compile(rb"\bdef test|\bfunc Test|@Test\b|#\[(?:\w+::)?test\]|\b(?:it|test|specify|TEST|TEST_F)\(")
_DEFINE_WORDS = (b"def test", b"func test", b"@test", b"test]", b"it(", b"test(", b"specify(", b"test_f(")


def _tests(files: Sequence[FileChange], hunks: Sequence[Hunks]) -> RiskNote | None:
    """Tests that are gone: whole files, and definitions that were removed and not added elsewhere."""
    gone = [change.path for change in files if change.status == "deleted" and is_test(change.path)]
    removed, added = (
        sum(_DEFINES.search(raw) is not None
            for part in hunks if is_test(part.path) for _, raw in part.hits(_DEFINE_WORDS, sign))
        for sign in (b"-", b"+")
    )  # fmt: skip
    lost = max(0, removed - added)
    if not gone and not lost:
        return None
    seen = [f"{lost} tests fewer"] * bool(lost) + [_count(gone, "test files deleted")] * bool(gone)
    high = lost >= 5 or bool(gone and lost)
    return RiskNote(rule="tests_removed", level="high" if high else "medium", saw="; ".join(seen),
                    why="what they guarded is unguarded, and the others passing says less")  # fmt: skip


_SKIPS = re.compile(
    rb"mark\.(?:skip|xfail)|unittest\.(?:skip|expectedFailure)|@skip|\bpytest\.(?:skip|xfail|importorskip)\(|\.(?:skip|only|todo)\("
    rb"|\bx(?:it|describe|test)\(|\bf(?:it|describe)\(|@Ignore\b|@Disabled\b|#\[ignore|\bt\.Skip(?:f|Now)?\(|\[(?:Ignore|Fact\(Skip)"
)
_SKIP_WORDS = (
    b"skip", b"xfail", b"expectedfailure", b".only(", b".todo(", b"xit(", b"xdescribe(", b"xtest(", b"fit(", b"fdescribe(",
    b"ignore", b"@disabled",
)  # fmt: skip


def _skipped(hunks: Sequence[Hunks]) -> RiskNote | None:
    found, total = _places(hunks, _SKIP_WORDS, _SKIPS.search, is_test)
    if not total:
        return None
    return RiskNote(rule="tests_skipped", level="medium", saw=_count(found, "added lines that skip tests", total),
                    why="a skipped test passes whatever the code does")  # fmt: skip


def _links(files: Sequence[FileChange], hunks: Sequence[Hunks]) -> Iterator[RiskNote]:
    made = {change.path for change in files if change.new_mode == LINK_MODE}
    if not made:
        return
    # Of a file that became a link only the last hunks are the link's.
    targets = {part.path: line for part in hunks if part.path in made for _, line in part.lines()}
    outside = [path for path, target in sorted(targets.items()) if _leads_out(path, target)]
    yield RiskNote(rule="link", level="high" if outside else "low",
                   saw=_count(outside or sorted(made), "links that lead out of the repository" if outside else "links"),
                   why="whoever writes or reads there follows it to another file")  # fmt: skip


def _leads_out(path: str, target: bytes) -> bool:
    depth = path.count("/")
    for part in target.split(b"/"):
        depth += -1 if part == b".." else int(part not in {b"", b"."})
        if depth < 0:
            return True
    return target.startswith(b"/")


_DESTROYS = re.compile(
    rb"\b(?:drop\s+(?:table|column|database|schema)|truncate\s+table|drop_table|drop_column|delete\s+from)",
    re.IGNORECASE,
)


def _destructive(notes: list[RiskNote], hunks: Sequence[Hunks]) -> list[RiskNote]:
    """A migration that throws data away is a high risk."""
    place = next((index for index, note in enumerate(notes) if note.rule == "migration"), None)
    if place is None:
        return notes
    globs = next(rule.globs for rule in PATH_RULES if rule.name == "migration")
    found, total = _places(
        hunks, (b"drop", b"truncate", b"delete"), _DESTROYS.search, lambda path: matches(path, globs)
    )
    if found:
        old = notes[place]
        saw = f"{old.saw}; they throw data away at {listed(found, total)}"
        notes[place] = RiskNote(rule=old.rule, level="high", saw=saw, why=old.why)
    return notes


def _given(facts: RiskFacts) -> Iterator[RiskNote]:
    """What the run knows beside the diff."""
    before, after = facts.coverage_before, facts.coverage_after
    if before is not None and after is not None and before - after >= 0.05:
        fell = before - after
        yield RiskNote(rule="coverage_fell", level="high" if fell > 5 else "medium" if fell >= 1 else "low",
                       saw=f"coverage fell from {before:.1f} % to {after:.1f} %",
                       why="more of the code runs only when it is too late")  # fmt: skip
    if facts.tests_failed:
        yield RiskNote(rule="tests_failed", level="high", saw=f"{facts.tests_failed} tests failed",
                       why="the change breaks something that somebody wanted to keep")  # fmt: skip
    if facts.tests_run == 0:
        yield RiskNote(rule="no_tests", level="medium", saw="no tests ran", why="nothing shows that the change works")
    for name, level, what, why in _FACTS:
        found: tuple[str, ...] = getattr(facts, name)
        if found:
            yield RiskNote(rule=name, level=level, saw=_count(found, what), why=why)


_FACTS: tuple[tuple[str, Level, str, str], ...] = (
    ("drift", "high", "differences between the sandbox and its template", "the steps did not run where they were meant to run"),
    ("blocked", "high", "commands that the policy blocked", "a step tried what the recipe forbids"),
    ("network", "medium", "steps with a network", "they could fetch code, or send out what they saw"),
)  # fmt: skip


def _custom(rule: CustomRule, diff: DiffSummary, hunks: Sequence[Hunks]) -> Iterator[RiskNote]:
    if rule.path is not None:
        pattern = re.compile(translate(rule.path), re.DOTALL)
        found = [change.path for change in diff.files if pattern.fullmatch(change.path)]
        saw = _count(found, f"changed paths that match {rule.path}")
    elif rule.text is not None:
        words = re.compile(rule.text)
        found, total = _places(hunks, None, lambda raw: words.search(raw[:_LINE].decode("utf-8", "replace")))
        saw = _count(found, f"added lines that match /{rule.text}/", total)
    else:
        found, saw = [""], "a gate that the recipe marks"
    if found:
        yield RiskNote(rule="recipe", level=rule.level, saw=saw, why=rule.why)
