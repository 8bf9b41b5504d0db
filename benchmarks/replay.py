"""The least that some requests can cost: only sent and parsed, one by one.

A program of its own: ``python -m benchmarks.replay``, with the variables of a sandbox
and the paths to get on its standard input. It prints the seconds that this took.
"""

from __future__ import annotations

import json
import os
import sys
import time

import requests

from .cloud import token


def main() -> None:
    """Get all paths; print the seconds."""
    root = os.environ["SANDBOX_URL"]
    with requests.Session() as session:
        session.trust_env = False
        session.headers["X-Auth-Token"] = token(session, os.environ)
        session.headers["X-OpenStack-Nova-API-Version"] = "2.26"
        paths = sys.stdin.read().split()
        began = time.perf_counter()
        for path in paths:
            answer = session.get(root + path)
            answer.raise_for_status()
            json.loads(answer.content)
        print(time.perf_counter() - began)


if __name__ == "__main__":
    main()
