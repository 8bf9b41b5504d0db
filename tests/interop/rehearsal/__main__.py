"""python -m tests.interop.rehearsal: what killed runners leave on the real cloud."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from ..cloud.layout import DEFAULT_STATE, Layout
from .days import Options, rehearse
from .fleet import Fleet


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.interop.rehearsal", description=__doc__
    )
    for each in fields(Options):
        kind = type(each.default)
        parser.add_argument(f"--{each.name}", type=kind, default=each.default)
    layout = Layout(DEFAULT_STATE)
    options = Options(**vars(parser.parse_args()))
    fleet = Fleet(layout.environ("demo"), layout)
    report = rehearse(options, fleet, Path(tempfile.mkdtemp(prefix="rehearsal-")))
    print(report)
    return 0 if report.same else 1


if __name__ == "__main__":
    sys.exit(main())
