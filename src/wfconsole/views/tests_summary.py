"""What test and coverage reports say: JUnit XML in its dialects, coverage as JSON or XML, summed for a card.

Owns the reading of reports that anybody may have written. Refuses to know files. XML with a document type is refused before a
parser sees it, so there are no entities to expand and nothing outside to fetch; only what comes before the first element is
looked at for that, because a document type cannot stand anywhere else. Two decisions that would surprise: the listed test cases
count, not the attributes that claim how many there are; and a report in which nothing ran is told as such, never as a success.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Literal

# A document type has been refused, and thereby entities; the parser keeps no tree.
from xml.etree.ElementTree import ParseError, XMLParser

from wfconsole.domain.plan import Json

REPORT_BYTES = 64 * 1024 * 1024
NAMES, NAME_CHARS = 20, 200
_DEPTH = 500

Verdict = Literal["passed", "failed", "errors", "skipped"]
_RANK: tuple[Verdict, ...] = ("passed", "skipped", "failed", "errors")


class ReportError(ValueError):
    """A report that cannot be read; the message is a sentence that says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestSummary:
    """What ran in one step, or with an empty `step` in all. `failing` holds the first names of failed and errored tests.

    `total` counts the skipped ones, too. `seconds` is None when no report tells a time, `coverage_percent` when none was
    measured. `note` says what a reader must know beside the numbers: that no tests ran, or that a report contradicts itself.
    """

    __test__ = False  # no test class, whatever its name suggests to a test runner

    step: str
    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: float | None = None
    failing: tuple[str, ...] = ()
    coverage_percent: float | None = None
    note: str | None = None

    @property
    def ran(self) -> int:
        """Tests that were carried out, with whatever result."""
        return self.total - self.skipped

    @property
    def ok(self) -> bool:
        """Did something run, and nothing fail?"""
        return self.ran > 0 and not self.failed and not self.errors


@dataclass(slots=True)
class _Report:
    """One report. `percent` alone is set for coverage."""

    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(_RANK, 0))
    seconds: float | None = None
    failing: list[str] = field(default_factory=list)
    percent: float | None = None
    note: str | None = None


def summarise(step: str, reports: Sequence[bytes]) -> TestSummary:
    """The reports of one step as one. Raises ReportError for one that is broken, and when none is of tests or coverage."""
    found = [report for report in map(_read, reports) if report is not None]
    if not found:
        raise ReportError("There is no JUnit or coverage report among the step's reports.")
    tests = [report for report in found if report.percent is None]
    counts = {verdict: sum(report.counts[verdict] for report in tests) for verdict in _RANK}
    total = sum(counts.values())
    times = [report.seconds for report in tests if report.seconds is not None]
    notes = [_idle(total, counts["skipped"]) if tests else "There is no test report, only coverage."]
    notes += [report.note for report in tests]
    return TestSummary(
        step=step,
        total=total,
        **counts,
        seconds=round(sum(times), 3) if times else None,
        failing=tuple([name for report in tests for name in report.failing][:NAMES]),
        coverage_percent=min((report.percent for report in found if report.percent is not None), default=None),
        note=" ".join(note for note in notes if note) or None,
    )


def totals(summaries: Sequence[TestSummary]) -> TestSummary:
    """All steps as one. Coverage is the lowest of any: percentages of different code cannot be added."""
    times = [one.seconds for one in summaries if one.seconds is not None]
    covered = [one.coverage_percent for one in summaries if one.coverage_percent is not None]
    total, skipped = sum(one.total for one in summaries), sum(one.skipped for one in summaries)
    idle = [one.step for one in summaries if not one.ran]
    note = _idle(total, skipped) or (f"No tests ran in {', '.join(idle)}." if idle else None)
    return TestSummary(
        step="",
        total=total,
        passed=sum(one.passed for one in summaries),
        failed=sum(one.failed for one in summaries),
        errors=sum(one.errors for one in summaries),
        skipped=skipped,
        seconds=round(sum(times), 3) if times else None,
        failing=tuple([name for one in summaries for name in one.failing][:NAMES]),
        coverage_percent=min(covered, default=None),
        note=note if summaries else None,
    )


def document(summary: TestSummary) -> dict[str, Json]:
    """As JSON for a card; `ok` is told with it, so that nobody derives it from `failed` alone."""
    return {**asdict(summary), "failing": list(summary.failing), "ok": summary.ok}


def _idle(total: int, skipped: int) -> str | None:
    if total == 0:
        return "No tests ran."
    return f"No tests ran: all {total} were skipped." if skipped == total else None


def _read(data: bytes) -> _Report | None:
    """None for a report of another kind. Raises ReportError."""
    if len(data) > REPORT_BYTES:
        raise ReportError(f"The report is larger than {REPORT_BYTES // 1024**2} MiB.")
    text = _text(data)
    start = text.lstrip()[:1]
    if start == "<":
        return _xml(text)
    if start in {"{", "["}:
        return _json(text)
    raise ReportError("The report is neither XML nor JSON." if start else "The report is empty.")


def _text(data: bytes) -> str:
    """Decoded here and not by a parser, so that what is checked is what is parsed."""
    head = re.match(rb"\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([\w.-]{1,40})[\"']", data[:300])
    said = head[1].decode("ascii").lower() if head else "utf-8"
    latin = {"iso-8859-1", "latin-1", "latin1", "windows-1252", "us-ascii", "ascii"}
    wide = data.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return data.decode("utf-16" if wide else "cp1252" if said in latin else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ReportError("The report is not text in UTF-8.") from error


_SPACE = re.compile(r"\s*")


def _xml(text: str) -> _Report | None:
    reader = _Reader()
    parser = XMLParser(target=reader)  # noqa: S314 (see `_prolog`: no document type gets here)
    try:
        parser.feed(_prolog(text))
        parser.close()
    except ParseError as error:
        raise ReportError(f"The report is no well-formed XML: {error}.") from error
    except _TooDeepError as error:
        raise ReportError("The report's elements are nested too deeply.") from error
    return reader.report()


def _prolog(text: str) -> str:
    """The document from its first element on. ReportError when something else than remarks comes before it."""
    at = _end_of_space(text, 0)
    while text.startswith(("<?", "<!--"), at):
        mark = "?>" if text.startswith("<?", at) else "-->"
        stop = text.find(mark, at + 2)
        if stop < 0:
            raise ReportError("The report is no well-formed XML: it ends before its first element.")
        at = _end_of_space(text, stop + len(mark))
    if text.startswith("<!", at):
        raise ReportError("The report has a document type (<!DOCTYPE ...>), which is not read: it can define entities.")
    return text[at:]


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


class _TooDeepError(Exception):
    """Elements within elements beyond any report."""


class _Reader:
    """Counts while the parser goes through the elements; the target of an XMLParser."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._found = _Report()
        self._case: tuple[str, Verdict] | None = None
        self._root = ""
        self._levels: tuple[list[dict[str, str]], ...] = ([], [], [])
        """Attributes of the root, of the outermost suites, and of the cases (their times alone)."""
        self._clover: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        above = self._path[-1] if self._path else ""
        self._path.append(name)
        if len(self._path) > _DEPTH:
            raise _TooDeepError
        if not above:
            self._root = name
            self._levels[0].append(attributes)
        if name == "testsuite" and above in {"", "testsuites"}:
            self._levels[1].append(attributes)
        elif name == "testcase":
            self._case = _named(attributes), _by_status(attributes)
            self._levels[2].append({"time": attributes.get("time", "")})
        elif name in _RESULTS:
            self._mark(_RESULTS[name], above)
        elif name == "metrics" and above == "project":
            self._clover = attributes

    def end(self, _tag: str) -> None:
        if self._path.pop() == "testcase" and self._case is not None:
            name, verdict = self._case
            self._count(verdict, name)
            self._case = None

    def close(self) -> None:
        """Called by the parser at the end of the document."""

    def report(self) -> _Report | None:
        found = self._found
        if self._root == "coverage":
            found.percent = _line_rate(self._levels[0][0], self._clover)
            return found
        if self._root not in {"testsuites", "testsuite", "testcase"}:
            return None
        found.seconds = next((sum(times) for level in self._levels if (times := _numbers(level, "time"))), None)
        _settle(found, next((level for level in self._levels[:2] if _numbers(level, "tests")), []))
        return found

    def _mark(self, verdict: Verdict, above: str) -> None:
        """A result inside a test case: the worst one counts. A failure of a whole suite counts by itself."""
        if self._case is not None and above == "testcase":
            name, known = self._case
            self._case = name, max(known, verdict, key=_RANK.index)
        elif above == "testsuite" and verdict != "skipped":
            self._count(verdict, "a suite as a whole")

    def _count(self, verdict: Verdict, name: str) -> None:
        self._found.counts[verdict] += 1
        if verdict in {"failed", "errors"} and len(self._found.failing) < NAMES:
            self._found.failing.append(name)


_RESULTS: dict[str, Verdict] = {"failure": "failed", "error": "errors", "skipped": "skipped"}
_STATUSES: dict[str, Verdict] = {
    "notrun": "skipped", "skipped": "skipped", "disabled": "skipped", "suppressed": "skipped", "ignored": "skipped",
    "failed": "failed", "failure": "failed", "error": "errors",
}  # fmt: skip


def _named(attributes: Mapping[str, str]) -> str:
    words = [attributes.get("classname", ""), attributes.get("name", "")]
    return ".".join(word for word in words if word)[:NAME_CHARS] or "a test without a name"


def _by_status(attributes: Mapping[str, str]) -> Verdict:
    """Some tools write no element, only an attribute."""
    words = (attributes.get(key, "").lower() for key in ("status", "result"))
    return max((_STATUSES.get(word, "passed") for word in words), key=_RANK.index)


def _settle(found: _Report, claims: Sequence[Mapping[str, str]]) -> None:
    """Compare what is listed with what the attributes claim; believe these only when nothing is listed."""
    listed = sum(found.counts.values())
    claimed = {key: int(sum(_numbers(claims, key))) for key in ("tests", "failures", "errors", "skipped", "disabled")}
    if listed == 0 and claimed["tests"] > 0:
        skipped = min(claimed["tests"], claimed["skipped"] + claimed["disabled"])
        bad = claimed["failures"] + claimed["errors"]
        passed = max(0, claimed["tests"] - skipped - bad)
        found.counts = {
            "passed": passed,
            "failed": claimed["failures"],
            "errors": claimed["errors"],
            "skipped": skipped,
        }
        found.note = "The report lists no test cases; the numbers are what it claims."
    elif claimed["tests"] > listed:
        found.note = f"The report claims {claimed['tests']} tests and lists {listed}: it may be cut off."
    elif claimed["failures"] + claimed["errors"] > found.counts["failed"] + found.counts["errors"]:
        found.note = "The report claims more failures than it lists."


def _numbers(elements: Sequence[Mapping[str, str]], key: str) -> list[float]:
    found = (_number(attributes.get(key, "")) for attributes in elements)
    return [number for number in found if number is not None]


def _number(text: str) -> float | None:
    """A count or time that is not negative; some tools write ``1,234.5``."""
    if not re.fullmatch(r"[0-9][0-9,]{0,15}(?:\.[0-9]{0,20})?(?:[eE][-+]?[0-9]{1,2})?", text, re.ASCII):
        return None
    return float(text.replace(",", ""))


def _line_rate(root: Mapping[str, str], metrics: Mapping[str, str]) -> float:
    """Percent of covered lines, of Cobertura's or of Clover's attributes."""
    rate = _number(root.get("line-rate", ""))
    if rate is not None:
        return _percent(rate * 100)
    statements, covered = _number(metrics.get("statements", "")), _number(metrics.get("coveredstatements", ""))
    if statements is None or covered is None:
        raise ReportError("The coverage report does not tell how many lines are covered.")
    return _percent(100 * covered / statements if statements else 100.0)


def _json(text: str) -> _Report | None:
    """Coverage of coverage.py or Istanbul; None for other JSON."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ReportError("The report is no valid JSON.") from error
    for keys in (("totals", "percent_covered"), ("total", "lines", "pct")):
        value = data
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return _Report(percent=_percent(value))
    return None


def _percent(value: float) -> float:
    if not -0.01 <= value <= 100.01:  # neither is NaN
        raise ReportError("The coverage report tells a percentage that is none.")
    return round(min(100.0, max(0.0, value)), 2)
