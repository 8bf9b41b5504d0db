"""The manual pages of the programs, made from their argparse parsers.

setup.py writes them when it builds the package, so only the standard library is needed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

from arguments import help_of, invocation, subparsers, usage, visible

PACKAGE = "rax_scheduled_images_ext"
PROGRAMS = ("panel", "sandbox", "service")


def write(folder: Path, version: str) -> None:
    """Write the page of each program into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for program in PROGRAMS:
        parser = import_module(f"{PACKAGE}.{program}.cli").make_parser()
        page = "".join(f"{line}\n" for line in lines(parser, version))
        (folder / f"{parser.prog}.1").write_text(page)


def lines(parser: argparse.ArgumentParser, version: str) -> Iterator[str]:
    """Yield the lines of a program's page."""
    source = f"rax-scheduled-images-ext {version}"
    yield f'.TH {parser.prog.upper()} 1 "" "{source}" "Scheduled server images"'
    summary = str(parser.description).rstrip(".")
    yield from (".SH NAME", f"{parser.prog} \\- {escaped(summary)}")
    yield from (".SH SYNOPSIS", *synopsis(parser))
    if not subparsers(parser):
        yield from (".SH OPTIONS", *items(parser))
    for each in subparsers(parser):
        yield from (f".SH {escaped(each.prog.upper())}", *synopsis(each), ".PP")
        yield from (escaped(each.description or ""), *items(each))
        if each.epilog:
            yield from (".PP", *literal(each.epilog))
    if parser.epilog:
        yield from (".SH NOTES", *literal(parser.epilog))


def synopsis(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the usage, without that word in front."""
    return literal("\n".join(ln[len("usage: ") :] for ln in usage(parser).splitlines()))


def items(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the description of each argument and option."""
    for action in visible(parser):
        yield from (".TP", f".B {escaped(invocation(action))}")
        yield escaped(help_of(parser, action)) or "\\&"


def literal(text: str) -> Iterator[str]:
    """Yield lines that stay as they are."""
    yield from (".nf", *map(escaped, text.rstrip("\n").splitlines()), ".fi")


def escaped(text: str) -> str:
    """Return text in which nothing is a request of roff."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain
