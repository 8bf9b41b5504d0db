"""The least that a new server from an image can cost: one request, and polls.

A program of its own: ``python bare_boot.py IMAGE FLAVOR``, with the variables of a
sandbox.
"""

from __future__ import annotations

import os
import sys
import time

import requests

from benchmarks.cloud import token


def main() -> None:
    """Boot a server, and poll it once a second until it is ACTIVE."""
    image, flavor = sys.argv[1:]
    url = f"{os.environ['SANDBOX_URL']}/compute/v2.1/servers"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["X-Auth-Token"] = token(session, os.environ)
        session.headers["X-OpenStack-Nova-API-Version"] = "2.52"
        server = {"name": "bare", "imageRef": image, "flavorRef": flavor}
        body = {"server": {**server, "networks": "none"}}
        made = session.post(url, json=body)
        made.raise_for_status()
        found = f"{url}/{made.json()['server']['id']}"
        while session.get(found).json()["server"]["status"] != "ACTIVE":
            time.sleep(1)


if __name__ == "__main__":
    main()
