"""The card of a gate: all that a person has to see before deciding, as plain lines, and what to type then.

Owns the order and wording of the card for approvals, questions and blocked commands. Refuses to know terminals, and to read
anything beside a RunView: what the card says is what the journal holds and the digest covers. The decision that would
surprise: a missing part of the context is said to be missing, because what is not on the card will be taken for good.

Every line is safe text of one line. A gate is an entry of ``approvals[]``; `now` is milliseconds since the epoch.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

from wfconsole.domain.codec import from_iso
from wfconsole.domain.plan import Json
from wfconsole.views.context_lines import diff_lines, file_lines, hunk_lines, report_lines, risk_lines
from wfconsole.views.preview_lines import preview_lines
from wfconsole.views.report import closing
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import duration, plural, size, value_text

_WIDE = 1000


def card_lines(view: Mapping[str, Json], gate: Mapping[str, Json], now: int, *, hunks: bool = False) -> list[str]:
    """The whole card; with `hunks` also the lines of the diff that the context holds."""
    lines = [safe_text(gate["title"], limit=_WIDE), "", *head_lines(view, gate, now)]
    for title, part in part_lines(view["run_id"], gate, hunks=hunks):
        lines += ["", title, *(f"  {line}" for line in part)]
    if gate["status"] == "open":
        lines += ["", *what_to_type(view["run_id"], gate)]
    return [safe_text(line, limit=_WIDE) for line in lines]


def head_lines(view: Mapping[str, Json], gate: Mapping[str, Json], now: int | None = None) -> Iterator[str]:
    """Which gate this is and how it stands, a word of eleven characters before each; without `now` no time that is left."""
    recipe, trigger = view["recipe"], view["trigger"]
    yield f"gate       {gate['gate_id']}  ({_KINDS.get(gate['kind'], gate['kind'])})"
    yield f"run        {view['run_id']}  {recipe['name']}@{recipe['version']}  plan {recipe['digest'][:12]}"
    yield f"started    by {trigger['actor']}@{trigger['host']}"
    yield f"status     {gate['status']}" if gate["status"] == "open" else f"status     {closing(gate)}"
    yield f"decides    {who_decides(gate)}"
    if gate["status"] == "open":
        left = "" if now is None else f"{expiry(gate, now)}, "
        yield f"expires    {left}at {gate['expires_at']}; then {_then(gate)}"
    yield f"digest     {gate['context_digest']}"
    for decision in gate["decisions"]:
        yield f"decided    {decision_text(decision)}"


_KINDS = {"approval": "approval", "question": "question", "blocked": "a command that the policy refuses"}


def who_decides(gate: Mapping[str, Json]) -> str:
    """``2 of ann, bob, eve, not who started the run; 1 so far``."""
    rule = gate["approvers"]
    count, names = rule["count"], rule["any_of"]
    if names:
        text = f"{count} of {', '.join(names)}" if count > 1 or len(names) > 1 else str(names[0])
    else:
        text = "anybody whose signature counts" if count == 1 else f"{count} different people"
    if rule["not_author"]:
        text += ", not who started the run"
    so_far = approvals_so_far(gate)
    return safe_text(f"{text}; {so_far} so far" if so_far and gate["status"] == "open" else text, limit=_WIDE)


def approvals_so_far(gate: Mapping[str, Json]) -> int:
    """How many different people approve now: of each the newest decision counts."""
    newest = {decision["actor"]: decision["choice"] for decision in gate["decisions"]}
    return sum(choice == "approve" for choice in newest.values())


def expiry(gate: Mapping[str, Json], now: int) -> str:
    """``in 23h59m``, or that the time is over and nobody has recorded it yet."""
    left = from_iso(gate["expires_at"]) - now
    return f"in {duration(left)}" if left > 0 else "the time is over"


def _then(gate: Mapping[str, Json]) -> str:
    if gate["on_timeout"] == "default":
        return f"the answer is {value_text(gate['default'], limit=100)}"
    return {
        "cancel": "the run is cancelled",
        "cancel_and_notify": "the run is cancelled and the operator's hook called",
        "reject": "it counts as rejected",
        "route": "the run goes on without what needs it",
    }.get(gate["on_timeout"], str(gate["on_timeout"]))


def decision_text(decision: Mapping[str, Json]) -> str:
    """``ann@host approve at 2026-...: reason``."""
    said = decision["choice"] or value_text(decision["answer"], limit=200)
    reason = f": {decision['reason']}" if decision["reason"] else ""
    unsigned = "" if decision["signature"] else " (not signed)"
    return safe_text(f"{decision['actor']} {said} at {decision['at']}{unsigned}{reason}", limit=_WIDE)


def part_lines(run_id: str, gate: Mapping[str, Json], *, hunks: bool) -> Iterator[tuple[str, list[str]]]:
    """The parts of the context that there are, each by its name; `hunks`: also the lines of the diff that the context holds."""
    context = gate["context"] if isinstance(gate["context"], dict) else {}
    if gate["kind"] == "blocked":
        yield "command", list(_blocked(context))
        return
    if gate["kind"] == "question":
        yield "answers", list(_answers(gate))
    for key, lines_of in (
        ("diff", diff_lines), ("tests", report_lines), ("risk", risk_lines), ("files", file_lines), ("preview", preview_lines),
    ):  # fmt: skip
        if context.get(key):
            more = _whole_diff(run_id, gate, context[key]) if key == "diff" else ()
            yield key, [*lines_of(context[key]), *more]
    if hunks and context.get("diff"):
        yield "changes", list(hunk_lines(context["diff"]))
    missing = [key for key in ("diff", "risk") if not context.get(key)]
    if gate["kind"] == "approval" and missing:
        yield "not shown", [f"this card has no {' and no '.join(missing)}"]


def _whole_diff(run_id: str, gate: Mapping[str, Json], diff: Json) -> Iterator[str]:
    artifact = diff.get("artifact") if isinstance(diff, dict) else None
    if isinstance(artifact, dict):
        command = shlex.join(["wfconsole", "artifacts", run_id, f"{gate['gate_id']}/{artifact['name']}"])
        yield f"all of it, {size(artifact['bytes'])}: {command}"


def _blocked(context: Mapping[str, Json]) -> Iterator[str]:
    argv = context.get("argv") or []
    if argv:
        yield f"argv     {shlex.join(map(str, argv))}"
        yield from (f"  {index}  {value_text(str(word), limit=_WIDE)}" for index, word in enumerate(argv))
    yield f"rule     {context.get('rule') or '?'}"
    yield f"reason   {context.get('message') or '?'}"


def _answers(gate: Mapping[str, Json]) -> Iterator[str]:
    yield from (f"{choice}" for choice in gate["choices"])
    for spec in gate["form"]:
        rest = "required" if spec["required"] else f"default {value_text(spec['default'], limit=60)}"
        one_of = f"  one of {', '.join(value_text(choice) for choice in spec['choices'])}" if spec["choices"] else ""
        yield f"{spec['name']}  {spec['type']}  {rest}{one_of}  {spec['description']}".rstrip()


def what_to_type(run_id: str, gate: Mapping[str, Json]) -> list[str]:
    """The commands that decide this gate."""
    where = [run_id, gate["step_id"]]
    bound = ["--match-context", gate["context_digest"]]
    if gate["kind"] == "question":
        if gate["form"]:
            shown = [word for spec in gate["form"] for word in ("-i", f"{spec['name']}=VALUE")]
        else:
            shown = ["CHOICE"]
        return [f"answer     {_command('answer', where, shown)}"]
    found = []
    if "approve" in gate["choices"]:
        reason = ["--reason", "TEXT"] if gate["require_reason"] == "always" else []
        found.append(f"approve    {_command('approve', where, [*reason, *bound])}")
    reason = [] if gate["require_reason"] == "never" else ["--reason", "TEXT"]
    found.append(f"reject     {_command('reject', where, reason)}")
    wanted = approvals_left(gate)
    if wanted > 1:
        found.append(f"{plural(wanted, 'approval')} are still wanted")
    return found


def approvals_left(gate: Mapping[str, Json]) -> int:
    """How many more people have to approve."""
    return max(0, int(gate["approvers"]["count"]) - approvals_so_far(gate))


def _command(verb: str, where: Sequence[str], more: Sequence[str]) -> str:
    return shlex.join(["wfconsole", verb, *where, *more])
