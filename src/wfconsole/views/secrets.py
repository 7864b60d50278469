"""Finds what looks like a secret in lines of text, and hides it.

Owns the shapes of well-known keys and the test whether an assigned value is random enough to be one. Never returns a secret: a
finding tells its kind and length. The decision that would surprise: a line is tried against the patterns only when it has one
of a few plain words in it, because searching for those in 50 MB takes a fraction of a second and the patterns minutes.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MASK = "****"
_ANY = "a secret that is assigned"
_SCANNED = 2000
"""Characters of a line around a word that are tried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A probable secret at ``text[start:end]``. `known`: it has the shape of a known kind of key; `sure`: that, or random."""

    kind: str
    start: int
    end: int
    known: bool
    sure: bool


_KNOWN = tuple(
    (kind, tuple(words.split()), re.compile(pattern))
    for kind, words, pattern in (
        ("an AWS access key id", "akia asia", r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
        ("a GitHub token", "ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,255}"),
        ("a GitHub token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{22,255}"),
        ("a GitLab token", "glpat-", r"\bglpat-[A-Za-z0-9_-]{20,255}"),
        ("a Slack token", "xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,255}"),
        ("a Google API key", "aiza", r"\bAIza[0-9A-Za-z_-]{35}"),
        ("a Stripe live key", "k_live_", r"\b[rs]k_live_[0-9A-Za-z]{16,255}"),
        ("an API key", "sk-", r"\bsk-[A-Za-z0-9_-]{32,255}"),
        ("an npm token", "npm_", r"\bnpm_[A-Za-z0-9]{36}"),
        ("a package index token", "pypi-", r"\bpypi-[A-Za-z0-9_-]{50,255}"),
        ("a signed web token", "eyj",
         r"\beyJ[A-Za-z0-9_-]{10,200}+\.eyJ[A-Za-z0-9_-]{10,4096}+\.[A-Za-z0-9_-]{10,4096}+"),
        ("a private key", "key-----", r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----"),
        ("a password in an address", "://", r"://[^\s/:@'\"]{0,64}+:([^\s/@'\"${}<>]{3,128}+)@"),
    )
)  # fmt: skip
"""Kind, the words of which a line must have one, and the pattern; what a group holds is the secret, else all of the match."""
_NAMES = (
    "secret", "token", "passwd", "password", "passphrase", "api_key", "apikey", "api-key", "private_key", "privatekey",
    "access_key", "accesskey", "auth_key", "authkey", "credential", "client_key", "encryption_key", "signing_key",
)  # fmt: skip
_ASSIGNED = re.compile(
    rf"(?:{'|'.join(_NAMES)})[\w-]{{0,40}}+[\"'\]]{{0,2}}+\s{{0,8}}+(?::=|=>|[:=])\s{{0,8}}+"
    r"(?:[bru]{0,2}\"(?P<double>[^\"\n]{6,512})\"|[bru]{0,2}'(?P<single>[^'\n]{6,512})'"
    r"|(?P<bare>[A-Za-z0-9+/=_.~-]{16,512})(?![\w(\[.]))",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\$\{|\$\(|\{\{|<[^>]*>|^\$|^%|example|changeme|change_me|placeholder|dummy|redacted|your[_-]|xxxx|\*\*\*|\.\.\.",
    re.IGNORECASE,
)
_TEXT_WORDS = (*_NAMES, *(word for _, words, _ in _KNOWN for word in words))
WORDS: tuple[bytes, ...] = tuple(word.encode() for word in _TEXT_WORDS)
"""In lower case: a line without any of these has no finding."""
_RANDOM_BITS, _QUOTED_BITS = 3.5, 2.2


def find(text: str) -> Iterator[Finding]:
    """Probable secrets in one line, in no special order. They may overlap."""
    low = text.lower()
    likely = [(kind, pattern) for kind, words, pattern in _KNOWN if _has(low, words)]
    assigned = ("=" in low or ":" in low) and _has(low, _NAMES)
    if not likely and not assigned:
        return
    for offset, part in _windows(text, low):
        for kind, pattern in likely:
            for match in pattern.finditer(part):
                group = 1 if pattern.groups else 0
                yield Finding(kind, offset + match.start(group), offset + match.end(group), known=True, sure=True)
        for match in _ASSIGNED.finditer(part) if assigned else ():
            name = match.lastgroup or "bare"
            if _is_secret(match[name], quoted=name != "bare"):
                sure = _bits(match[name]) >= _RANDOM_BITS
                yield Finding(_ANY, offset + match.start(name), offset + match.end(name), known=False, sure=sure)


def _has(low: str, words: Sequence[str]) -> bool:
    for word in words:  # noqa: SIM110 (twice as fast as any(), and this is done for every line)
        if word in low:
            return True
    return False


def masked(lines: Sequence[str]) -> list[str]:
    """The lines with every probable secret replaced by stars; also what lies between the marks of a private key."""
    out: list[str] = []
    inside = False
    for line in lines:
        # Only what looks like a key's body: marks alone must not hide code from whoever reviews it.
        if inside and _KEY_BODY.fullmatch(line):
            out.append(line[:1] + MASK)
            continue
        inside = "-----BEGIN" in line and "PRIVATE KEY-----" in line and "-----END" not in line
        out.append(_hidden(line))
    return out


_KEY_BODY = re.compile(r"[-+ ]?[\s\"'#*]{0,40}(?:(?:Proc-Type|DEK-Info):.*|[A-Za-z0-9+/=]*)[\\nr\"'+,;\s]{0,20}")


def _hidden(line: str) -> str:
    """Findings that overlap are hidden as one, so that nothing after them is lost."""
    out, at, end = "", 0, -1
    for found in sorted(find(line), key=lambda item: item.start):
        # Of a key that is quoted in one line the body follows the mark.
        body = _KEY_REST.match(line, found.end) if found.kind == "a private key" else None
        start, stop = (found.start, found.end) if body is None else (found.end, body.end())
        if start >= end:
            out += line[at:start] + (MASK if stop > start else "")
        at = end = max(end, stop)
    return out + line[at:]


_KEY_REST = re.compile(r"(?:[A-Za-z0-9+/=]|\\[nr]){16,}+|")


def _windows(text: str, low: str) -> Iterator[tuple[int, str]]:
    """The whole line, or of a very long one the parts around the words."""
    if len(text) <= _SCANNED * 4 or len(low) != len(text):
        yield 0, text[: _SCANNED * 50]
        return
    end = 0
    for place in sorted({place for word in _TEXT_WORDS for place in _places(low, word)}):
        if place + _SCANNED // 4 > end:
            start = max(0, place - 80)
            end = start + _SCANNED
            yield start, text[start:end]


def _places(low: str, word: str) -> Iterator[int]:
    """Where the word is; of several close together the first."""
    at = low.find(word)
    while at >= 0:
        yield at
        at = low.find(word, at + _SCANNED // 2)


def _is_secret(value: str, *, quoted: bool) -> bool:
    if _PLACEHOLDER.search(value) or (quoted and " " in value.strip()):
        return False
    if quoted:
        return _bits(value) >= _QUOTED_BITS and not _is_word(value)
    return (
        any(char.isdigit() for char in value) and any(char.isalpha() for char in value) and _bits(value) >= _RANDOM_BITS
    )


def _is_word(value: str) -> bool:
    """Names of variables, files and settings: letters with separators, nothing that a generator of passwords makes."""
    return re.fullmatch(r"[A-Za-z]+(?:[_./:-][A-Za-z]+)*[_./:-]?", value) is not None and not _mixed(value)


def _mixed(value: str) -> bool:
    changes = sum(one.islower() != two.islower() for one, two in itertools.pairwise(value) if (one + two).isalpha())
    return changes > len(value) / 3


def _bits(value: str) -> float:
    """Shannon entropy in bits a character."""
    counts, length = Counter(value), len(value)
    return -sum(count / length * math.log2(count / length) for count in counts.values())
