"""Completion of a program's command line in a shell, where argcomplete is installed.

The shell runs the program itself with this variable set; only then is the library
imported.
"""

from __future__ import annotations

import argparse
import os

_ASKED = "_ARGCOMPLETE"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that requests completions; otherwise do nothing.

    :raises SystemExit: once the shell has its answer. Without the library, the answer
        is empty: the program must not run, as the user has not entered the line yet.
    """
    if _ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ModuleNotFoundError:
        raise SystemExit(1) from None
    argcomplete.autocomplete(parser)
