"""What an effect would do, as plain lines: a letter as its reader will have it, anything else key by key.

Refuses to shorten a letter: what the approver does not see would be approved all the same. The decision that would surprise:
every line of a letter's text begins with a bar, so that no letter can look like a part of the card.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from wfconsole.domain.plan import Json
from wfconsole.views.context_lines import tree_lines
from wfconsole.views.safe_text import safe_text
from wfconsole.views.words import size

_PIECE = 200


def preview_lines(preview: Json) -> Iterator[str]:
    """The lines of all previewed steps, each below its name."""
    if not isinstance(preview, dict):
        yield from tree_lines(preview)
        return
    for name, shown in preview.items():
        if isinstance(shown, dict) and shown.get("kind") == "email":
            yield safe_text(f"{name}  a letter by {shown.get('via')}", limit=_PIECE)
            yield from (f"  {line}" for line in _letter(shown))
        else:
            yield from tree_lines({name: shown})


def _letter(shown: Mapping[str, Json]) -> Iterator[str]:
    for address in shown.get("to") or ():
        yield from _pieces("to       ", str(address))
    yield from _pieces("subject  ", str(shown.get("subject")))
    for file in shown.get("attach") or ():
        yield from _pieces("attach   ", f"{file['name']}  {size(file['bytes'])}  sha256 {file['sha256']}")
    for line in str(shown.get("body") or "").splitlines():
        yield from _pieces("| ", line)


def _pieces(begin: str, text: str) -> Iterator[str]:
    """All of a text, in as many lines as it takes."""
    yield begin + safe_text(text[:_PIECE])
    for at in range(_PIECE, len(text), _PIECE):
        yield " " * len(begin) + safe_text(text[at : at + _PIECE])
