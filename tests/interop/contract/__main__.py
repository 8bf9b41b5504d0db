"""python -m tests.interop.contract: the answers of the cloud of OS_*, as JSON."""

from __future__ import annotations

import json
import os
import sys

from .runner import run


def main() -> int:
    """Print the answers of the one user that the OS_* variables name."""
    json.dump(run({"user": os.environ}), sys.stdout, indent=1, sort_keys=True)
    print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
