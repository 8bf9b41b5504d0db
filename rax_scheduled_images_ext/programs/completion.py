"""Completion of a program's command line in a shell, where argcomplete is installed.

A shell that is to complete asks the program itself, with this variable set; until
then the library is not imported.
"""

from __future__ import annotations

import argparse
import os

_ASKED = "_ARGCOMPLETE"


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks how a line goes on; do nothing for anybody else.

    :raises SystemExit: once the shell has its answer. Without the library there is
        none, and the program is not to run: nobody has entered the line yet.
    """
    if _ASKED not in os.environ:
        return
    try:
        import argcomplete
    except ModuleNotFoundError:
        raise SystemExit(1) from None
    argcomplete.autocomplete(parser)
