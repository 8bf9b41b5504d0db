"""Makes text from elsewhere, such as names and reasons, safe to show, and compares it.

A terminal obeys control characters, and characters that change the text's direction or
have no width make a name look like another one, or a line like several.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable

# Control and format characters, lone surrogates, line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
# What needs no quotes in a log.
_PLAIN = re.compile(r'[^\s"=\\]+')


def printable(text: str, layout: str = "") -> str:
    r"""Return text with invisible characters escaped: ``\n``, ``\x1b``, ``\u202e``.

    :param layout: characters to leave, such as line feeds between lines.
    """
    bare = text
    for each in layout:
        bare = bare.replace(each, "")
    if bare.isprintable():
        return text
    return "".join(
        c.encode("unicode_escape").decode() if c not in layout and _is_hidden(c) else c
        for c in text
    )


def one_line(text: str) -> str:
    """Return a message as one printable line."""
    return printable(" ".join(text.splitlines()))


def printable_json(text: str) -> str:
    r"""Return JSON with invisible characters escaped, such as ``\u001b``.

    Its meaning stays the same, and so do line feeds between values.
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(
        json.dumps(c)[1:-1] if c != "\n" and _is_hidden(c) else c for c in text
    )


def quoted(text: str) -> str:
    """Return a value for a log line of ``key=value``: as it is, or as a JSON string.

    It is quoted if it is empty or contains spaces, quotes, ``=`` or backslashes.
    """
    if _PLAIN.fullmatch(text) and printable(text) == text:
        return text
    return printable_json(json.dumps(text, ensure_ascii=False))


def _is_hidden(character: str) -> bool:
    return unicodedata.category(character) in _HIDDEN


def digest_of(texts: Iterable[object]) -> str:
    """Return a digest that only equal lists of texts share.

    A form carries that of what it has shown.
    """
    return hashlib.sha256(json.dumps(list(map(str, texts))).encode()).hexdigest()
