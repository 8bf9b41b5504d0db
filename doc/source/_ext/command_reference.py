"""The directive ``commands``: a reference of a program, made from its argparse parser.

::

    .. commands:: module:function

``function`` returns the parser. Each of its subcommands becomes a section with
its usage, description, arguments, options and epilog; a program without subcommands is
described as a whole. Help texts are plain text,
not reStructuredText, so they are escaped.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

_WIDTH = 80


class Commands(SphinxDirective):
    """Describes every subcommand of a parser."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a section for each subcommand, by name."""
        module, _, function = self.arguments[0].partition(":")
        parser = getattr(import_module(module), function)()
        commands = subparsers(parser)
        text = "\n".join(
            line
            for each in commands or [parser]
            for line in (*(heading(each) if commands else ()), *described(each))
        )
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def subparsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of the subcommands, by name."""
    for each in parser._actions:
        if isinstance(each, argparse._SubParsersAction):
            return [each.choices[name] for name in sorted(each.choices)]
    return []


def heading(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the heading of a section."""
    yield from (parser.prog, "=" * len(parser.prog), "")


def described(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the reStructuredText of one command."""
    # The width does not follow the terminal, nor the colour.
    formatter: Any = partial(parser.formatter_class, width=_WIDTH)
    parser.formatter_class = formatter
    yield from (f".. program:: {parser.prog}", "")
    yield from literal("console", parser.format_usage())
    yield from (escaped(parser.description or ""), "")
    visible = [a for a in parser._actions if a.help != argparse.SUPPRESS]
    for action in visible:
        yield from item(parser, action)
    if parser.epilog:
        yield from literal("text", parser.epilog)


def item(parser: argparse.ArgumentParser, action: argparse.Action) -> Iterator[str]:
    """Yield the description of an argument or an option."""
    formatter = parser._get_formatter()
    if action.option_strings:
        value = "" if action.nargs == 0 else f" {metavar(action)}"
        names = ", ".join(f"{name}{value}" for name in action.option_strings)
        yield from (f".. option:: {names}", "")
    else:
        yield f"``{metavar(action)}``"
    text = formatter._expand_help(action) if action.help else ""
    yield from (f"    {escaped(text)}" if text else "    ..", "")


def metavar(action: argparse.Action) -> str:
    """Return what stands for the value of an argument or an option."""
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    return action.dest.upper()


def literal(language: str, text: str) -> Iterator[str]:
    """Yield a block of text that stays as it is."""
    yield from (f".. code-block:: {language}", "")
    yield from (*textwrap.indent(text.rstrip("\n"), "    ").splitlines(), "")


def escaped(text: str) -> str:
    """Return plain text as reStructuredText, on one line."""
    return re.sub(r"([\\*`|_])", r"\\\1", " ".join(text.split()))


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
