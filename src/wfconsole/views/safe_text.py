"""The one door for untrusted text on its way to a terminal: what comes out is printable and shows what was there.

Owns which characters are made visible and how. Refuses to know colours, widths and encodings of terminals. The decision that
would surprise: characters that Unicode calls unassigned or private are escaped as well, because nobody can say what a terminal
does with them. Text that is printable already comes back as it is, at the cost of one look.
"""

from __future__ import annotations

import unicodedata

_PICTURES = 0x2400
_DELETE = 0x7F
_DELETE_PICTURE = "\N{SYMBOL FOR DELETE}"
_TAB_WIDTH = 8
_ELLIPSIS = "..."


def safe_text(text: str, *, limit: int | None = None, newlines: bool = False) -> str:
    r"""`text` with every control, invisible and direction-changing character made visible.

    C0 and DEL become control pictures, C1 ``\x9b``, bytes that were no UTF-8 ``\xff``, everything else that cannot be seen
    ``<U+202E>``; a tab becomes spaces. `limit` caps the length in characters, the cut shown by ``...``. Only with `newlines` do
    line feeds survive.
    """
    if limit is not None and len(text) > limit:
        # Cut before escaping as well, so that a huge text costs no more than what is shown of it.
        text = text[: limit + 1]
    shown = text if text.isprintable() else _escape(text, newlines)
    if limit is not None and len(shown) > limit:
        return shown[: max(0, limit - len(_ELLIPSIS))] + _ELLIPSIS[:limit]
    return shown


def _escape(text: str, newlines: bool) -> str:
    if "\t" in text:
        text = text.expandtabs(_TAB_WIDTH)
    return "".join(char if char.isprintable() or (newlines and char == "\n") else visible(char) for char in text)


def visible(char: str) -> str:
    """How one character that must not reach a terminal is written instead."""
    code = ord(char)
    if code < 0x20:
        return chr(_PICTURES + code)
    if code == _DELETE:
        return _DELETE_PICTURE
    if code < 0xA0:
        return f"\\x{code:02x}"
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if unicodedata.category(char) == "Zs":
        return " "
    return f"<U+{code:04X}>"


def safe_json(text: str) -> str:
    """JSON text whose unprintable characters are written as JSON escapes: the same value, and nothing that a terminal obeys."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _json_escape(ord(char)) for char in text)


def _json_escape(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
