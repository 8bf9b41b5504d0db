"""The start of each log line of the programs: its time in UTC, and its level."""

from __future__ import annotations

import logging
import sys
import time

LINE = "%(asctime)s %(levelname)s %(message)s"
TIME = "%Y-%m-%dT%H:%M:%SZ"


def start_log(
    logger: logging.Logger, level: int, formatter: logging.Formatter | None = None
) -> None:
    """Let a logger write to stderr, and nowhere else.

    :param formatter: None for plain lines.
    """
    formatter = formatter or logging.Formatter(LINE, TIME)
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
