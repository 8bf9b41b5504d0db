"""The least that reading a fleet can cost: its pages, only fetched and parsed.

A program of its own: ``python floor.py [service]``, with the variables of a sandbox.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urljoin

import requests


def main() -> None:
    """Fetch all pages of servers and of snapshots, as the list command does.

    The service requests the servers with a tag, and the images that changed within a
    day.
    """
    root = os.environ["SANDBOX_URL"]
    servers_url = f"{root}/compute/v2.1/servers/detail"
    with requests.Session() as session:
        session.trust_env = False
        session.headers["X-Auth-Token"] = _token(session)
        if sys.argv[1:] == ["service"]:
            session.headers["OpenStack-API-Version"] = "compute 2.26"
            session.headers["X-OpenStack-Nova-API-Version"] = "2.26"
            servers_url += "?tags=scheduled-images"
        servers = _all(session, servers_url, "servers", _next_servers)
        images_url = f"{root}/image/v2/images?limit=1000&"
        if sys.argv[1:] == ["service"]:
            images_url += f"updated_at=gte:{_a_day_ago(session, root)}"
        else:
            images_url += "image_type=snapshot"
        images = _all(session, images_url, "images", _next_images)
    print(servers, images)


def _all(
    session: requests.Session,
    url: str,
    key: str,
    following: Callable[[dict[str, Any]], str | None],
) -> int:
    number = 0
    following_url: str | None = url
    while following_url:
        answer = session.get(following_url)
        answer.raise_for_status()
        page = json.loads(answer.content)
        number += len(page[key])
        link = following(page)
        following_url = urljoin(url, link) if link else None
    return number


def _a_day_ago(session: requests.Session, root: str) -> str:
    """Return what time it was for the cloud 25 hours ago."""
    now = parsedate_to_datetime(session.get(f"{root}/compute/v2.1").headers["date"])
    return (now - timedelta(hours=25)).strftime("%Y-%m-%dT%H:%M:%SZ")


def _next_servers(page: dict[str, Any]) -> str | None:
    links = page.get("servers_links", [])
    return next((link["href"] for link in links if link["rel"] == "next"), None)


def _next_images(page: dict[str, Any]) -> str | None:
    link = page.get("next")
    # A path without the service's prefix in the sandbox.
    return f"/image{link}" if link and link.startswith("/v2") else link


def _token(session: requests.Session) -> str:
    known = os.environ
    user = {
        "name": known["OS_USERNAME"],
        "password": known["OS_PASSWORD"],
        "domain": {"name": known["OS_USER_DOMAIN_NAME"]},
    }
    project: Any = {
        "name": known["OS_PROJECT_NAME"],
        "domain": {"name": known["OS_PROJECT_DOMAIN_NAME"]},
    }
    methods: Any = {"methods": ["password"], "password": {"user": user}}
    answer = session.post(
        f"{known['OS_AUTH_URL']}/auth/tokens",
        json={"auth": {"identity": methods, "scope": {"project": project}}},
    )
    answer.raise_for_status()
    return str(answer.headers["X-Subject-Token"])


if __name__ == "__main__":
    main()
