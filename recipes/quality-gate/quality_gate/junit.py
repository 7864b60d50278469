"""Reading pytest's JUnit XML: counts, failures, and what the suite would have needed.

Pure. It refuses to know how pytest was started. The one decision that would surprise: missing modules and plugins are
read from the failure texts, since a suite whose dependencies are not installed is a different thing from a broken one.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass

_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([^']{1,100})'")
_MISSING_FIXTURE = re.compile(r"fixture '([a-z_]{1,60})' not found")
_NO_ASYNC = re.compile(r"async def functions are not natively supported")
_FIXTURE_PLUGINS = {
    "benchmark": "pytest-benchmark",
    "mocker": "pytest-mock",
    "freezer": "pytest-freezer",
    "httpserver": "pytest-httpserver",
    "requests_mock": "requests-mock",
    "snapshot": "syrupy",
    "subtests": "pytest-subtests",
    "event_loop": "pytest-asyncio",
    "aiohttp_client": "pytest-aiohttp",
    "datadir": "pytest-datadir",
    "faker": "Faker",
}
_MAX_LISTED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A test that did not pass; `kind` is failure or error, `message` its first line."""

    test: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Counts of one pytest run. `missing` names modules and plugins that are not installed, sorted;
    `explained` counts the failures and errors that name one of them."""

    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    explained: int = 0
    missing: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()

    @property
    def ran(self) -> int:
        """Tests that gave a verdict, and errors."""
        return self.passed + self.failed + self.errors


def parse(xml: str) -> Report:
    """Return the report in a JUnit document. Raises ValueError when it is none."""
    try:
        root = ET.fromstring(xml)
    except ET.ParseError as error:
        message = f"not a JUnit report: {error}"
        raise ValueError(message) from error
    counts = {"passed": 0, "failure": 0, "error": 0, "skipped": 0}
    failures: list[Failure] = []
    missing: set[str] = set()
    explained = 0
    for case in root.iter("testcase"):
        outcome = _outcome(case)
        counts["passed" if outcome is None else outcome.tag] += 1
        if outcome is None or outcome.tag == "skipped":
            continue
        needed = needs(f"{outcome.get('message', '')}\n{outcome.text or ''}")
        missing |= needed
        explained += bool(needed)
        failures.append(Failure(test=_name(case), kind=outcome.tag, message=_first_line(outcome.get("message", ""))))
    return Report(
        passed=counts["passed"],
        failed=counts["failure"],
        errors=counts["error"],
        skipped=counts["skipped"],
        explained=explained,
        missing=tuple(sorted(missing)),
        failures=tuple(failures[:_MAX_LISTED]),
    )


def needs(text: str) -> set[str]:
    """Return the modules and pytest plugins that a failure text says are not installed."""
    found = {name.split(".")[0] for name in _MISSING_MODULE.findall(text)}
    found |= {_FIXTURE_PLUGINS[name] for name in _MISSING_FIXTURE.findall(text) if name in _FIXTURE_PLUGINS}
    return found | ({"pytest-asyncio"} if _NO_ASYNC.search(text) else set())


def _outcome(case: ET.Element) -> ET.Element | None:
    for tag in ("error", "failure", "skipped"):
        found = case.find(tag)
        if found is not None:
            return found
    return None


def _name(case: ET.Element) -> str:
    return "::".join(part for part in (case.get("classname"), case.get("name")) if part)[:300]


def _first_line(message: str) -> str:
    return message.strip().split("\n", 1)[0][:300]
