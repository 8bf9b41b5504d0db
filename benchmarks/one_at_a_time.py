"""Enables schedules one after another, in one process, over one connection.

A program of its own: ``python one_at_a_time.py ID...``; prints the seconds that the
requests took, without the start of the program.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from keystoneauth1 import loading, session
from novaclient import client


def main() -> None:
    """Enable a schedule for each named server."""
    known = os.environ
    auth: Any = loading.get_plugin_loader("password").load_from_options(
        auth_url=known["OS_AUTH_URL"],
        username=known["OS_USERNAME"],
        password=known["OS_PASSWORD"],
        project_name=known["OS_PROJECT_NAME"],
        user_domain_name=known["OS_USER_DOMAIN_NAME"],
        project_domain_name=known["OS_PROJECT_DOMAIN_NAME"],
    )
    cs = client.Client(
        "2.1",
        session=session.Session(auth),
        extensions=client.discover_extensions("2.1"),
    )
    cs.scheduled_images.enable(sys.argv[1], 7)
    begun = time.perf_counter()
    for server_id in sys.argv[1:]:
        cs.scheduled_images.enable(server_id, 7)
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
