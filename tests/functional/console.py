"""Console sessions of the documents, done again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from rax_scheduled_images_ext.sandbox import Sandbox


def replay(session: str, nova: Any, cloud: Sandbox) -> str:
    """Run the commands of a session, and return it with what they print now.

    Commands are the lines that begin with ``$``; one may go on behind a
    backslash. Of each its standard output stands before its errors.
    """
    lines = session.splitlines()
    said = []
    while lines:
        line = lines.pop(0)
        if not line.startswith("$ "):
            continue
        said.append(line)
        while line.endswith("\\"):
            said.append(lines.pop(0))
            line = line[:-1] + said[-1]
        said += _run(shlex.split(line)[1:], nova, cloud).splitlines()
    return "".join(line + "\n" for line in said)


def _run(argv: list[str], nova: Any, cloud: Sandbox) -> str:
    if argv[0] == "nova":
        result = nova(*argv[1:], cloud=cloud)
        return str(result.out + result.err)
    done = subprocess.run(
        [Path(sys.executable).with_name(argv[0]), *argv[1:]],
        env=cloud.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
