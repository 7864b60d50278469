"""One reading of a recipe: the findings, places and expressions that checking its tree brings to light.

Owns nothing of the language; shapes write into it, later passes read from it. The one decision that would surprise:
expressions are collected with their path, and which names they may use is decided later from that path alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from wfconsole.compiler.findings import Finding, Path, Place, Severity, near, written
from wfconsole.compiler.tree import Document, Node, Scalar

MAX_FINDINGS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """An expression and where it stands."""

    source: str
    path: Path
    place: Place


@dataclass(slots=True, kw_only=True)
class Reading:
    """What is known so far. `values` and `keys` are the places of values and keys by path."""

    document: Document
    findings: list[Finding] = field(default_factory=list)
    values: dict[Path, Place] = field(default_factory=dict)
    keys: dict[Path, Place] = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    as_text: set[int] = field(default_factory=set)
    has_errors: bool = False
    literals: list[tuple[tuple[str, ...], Path, Place]] = field(default_factory=list)

    def report(
        self,
        place: Place,
        path: Path,
        message: str,
        hint: str = "",
        *,
        severity: Severity = "error",
        suggestion: str = "",
        code: str = "RECIPE_INVALID",
    ) -> None:
        """Note a finding; after the first two hundred nobody reads on, but an error takes the place of a warning."""
        self.has_errors = self.has_errors or severity == "error"
        if len(self.findings) >= MAX_FINDINGS and not self._make_room(severity):
            return
        self.findings.append(
            Finding(
                severity=severity, file=self.document.file, line=place.line, column=place.column, path=written(path),
                message=message, hint=hint, suggestion=suggestion, code=code,
            )
        )  # fmt: skip

    def _make_room(self, severity: Severity) -> bool:
        """Drop the last warning for an error: whoever is refused must see why."""
        warnings = [index for index, finding in enumerate(self.findings) if finding.severity == "warning"]
        if severity == "warning" or not warnings:
            return False
        del self.findings[warnings[-1]]
        return True

    def unknown(self, place: Place, path: Path, what: str, name: str, known: list[str] | tuple[str, ...]) -> None:
        """Report an unknown name with the near one, or with what there is."""
        if self.is_told:
            return
        suggestion = near(name, known)
        if suggestion:
            hint = f"did you mean '{suggestion}'?"
        else:
            hint = "known: " + ", ".join(known[:30]) if known else ""
        self.report(place, path, f"{what} '{name[:80]}'", hint, suggestion=suggestion)

    def use(self, source: str, node: Scalar, offset: int, path: Path) -> None:
        self.uses.append(Use(source=source, path=path, place=self.document.place_in(node, offset)))

    def value_place(self, path: Path) -> Place:
        """The place of the value at `path`, or of the nearest thing around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values.get(path, Place())

    def key_place(self, path: Path) -> Place:
        """The place of the key at `path`, or of the nearest thing around it."""
        while path and path not in self.keys and path not in self.values:
            path = path[:-1]
        return self.keys.get(path) or self.values.get(path, Place())

    def note(self, node: Node, path: Path) -> None:
        self.values[path] = node.place

    @property
    def is_told(self) -> bool:
        """Enough has been found: more would not be kept, and looking for near names costs most of a hostile recipe's time."""
        return len(self.findings) >= MAX_FINDINGS and all(finding.severity == "error" for finding in self.findings)

    @property
    def is_valid(self) -> bool:
        return not self.has_errors and not any(finding.severity == "error" for finding in self.findings)
