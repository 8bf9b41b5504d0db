"""Text that others have written, such as names and reasons, as it can be shown.

A terminal obeys control characters, and what changes the direction of text or has no
width lets a name look like another one, or a line like several.
"""

from __future__ import annotations

import json
import re
import unicodedata

# Control and format characters, lone surrogates, ends of lines and of paragraphs.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# What stands in a log without quotes.
_PLAIN = re.compile(r'[^\s"=\\]+')


def printable(text: str, layout: str = "") -> str:
    r"""Return text with what is not seen as escapes: ``\n``, ``\x1b``, ``\u202e``.

    :param layout: what is the printer's own, such as line feeds, and stays.
    """
    if text.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if c not in layout and _is_hidden(c) else c
        for c in text
    )


def one_line(text: str) -> str:
    """Return a message as a printable line; its lines are joined."""
    return printable(" ".join(text.splitlines()))


def printable_json(text: str) -> str:
    r"""Return JSON with what is not seen as JSON's escapes, such as ``\u001b``.

    It means the same. Between its values line feeds stay.
    """
    if text.isprintable():
        return text
    return "".join(
        json.dumps(c)[1:-1] if c != "\n" and _is_hidden(c) else c for c in text
    )


def quoted(text: str) -> str:
    """Return a value for a line of ``key=value``: as it is, or as a JSON string.

    Quotes are around what has spaces, quotes, ``=`` or backslashes, or is empty.
    """
    if _PLAIN.fullmatch(text) and printable(text) == text:
        return text
    return printable_json(json.dumps(text, ensure_ascii=False))


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN
