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
from importlib import import_module
from typing import Any

from arguments import help_of, invocation, subparsers, usage, visible
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


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


def heading(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the heading of a section."""
    yield from (parser.prog, "=" * len(parser.prog), "")


def described(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the reStructuredText of one command."""
    yield from (f".. program:: {parser.prog}", "")
    yield from literal("console", usage(parser))
    yield from (escaped(parser.description or ""), "")
    for action in visible(parser):
        yield from item(parser, action)
    if parser.epilog:
        yield from literal("text", parser.epilog)


def item(parser: argparse.ArgumentParser, action: argparse.Action) -> Iterator[str]:
    """Yield the description of an argument or an option."""
    if action.option_strings:
        yield from (f".. option:: {invocation(action)}", "")
    else:
        yield f"``{invocation(action)}``"
    text = help_of(parser, action)
    yield from (f"    {escaped(text)}" if text else "    ..", "")


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
