"""python -m tests.interop.contract: the table of requests, and two clouds' answers."""

from __future__ import annotations

import argparse
import json
import os
import sys

from .clouds import real_answers, record, recorded_answers, sandbox_answers
from .deviations import compare, report, unmeant
from .runner import run


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.interop.contract",
        description="Without options: the answers of the cloud of OS_*, as JSON.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--differences",
        action="store_true",
        help="between the recording and the sandbox, but for those that are meant",
    )
    what.add_argument(
        "--record",
        action="store_true",
        help="keep the answers of the real cloud, which must be up",
    )
    arguments = parser.parse_args()
    if arguments.record:
        record(real_answers())
    elif arguments.differences:
        print(report(unmeant(compare(recorded_answers(), sandbox_answers()))))
    else:
        json.dump(run({"user": os.environ}), sys.stdout, indent=1, sort_keys=True)
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
