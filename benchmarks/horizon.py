"""The panel in Horizon compared with Horizon's own Instances, with as many rows.

Both are asked in this process, as its first page is served by a web server: from the
request to the complete page, for somebody who is logged in.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from .cloud import sandbox
from .measure import Failed, Run, ratios, wall
from .results import Result, Target
from .setting import Setting

_PART = "horizon"
_SIZE, _QUICK_SIZE = 1000, 6
_IMAGES = 7
_PAGES = {"panel": "/project/scheduled_images/", "instances": "/project/instances/"}


def measure(setting: Setting) -> None:
    """Measure a page of 20 rows of 1,000 servers, and one of them all."""
    import django

    from tests.horizon import settings

    os.environ["DJANGO_SETTINGS_MODULE"] = settings.__name__
    django.setup()
    size = setting.times(_SIZE, _QUICK_SIZE)
    options = {"servers": size - 4, "images_per_server": _IMAGES, "speed": 0}
    with sandbox(setting.folder, **options) as cloud:
        for rows in dict.fromkeys((min(20, size), size)):
            _first_byte(setting, cloud.variables, size, rows)


def _first_byte(
    setting: Setting, variables: Mapping[str, str], size: int, rows: int
) -> None:
    from django.test import Client, override_settings

    keystone = variables["OS_AUTH_URL"]
    options = {"OPENSTACK_KEYSTONE_URL": keystone, "API_RESULT_PAGE_SIZE": rows}
    with override_settings(**options):
        client = Client()
        user, password = variables["OS_USERNAME"], variables["OS_PASSWORD"]
        fields = {"username": user, "password": password, "region": "default"}
        client.post("/auth/login/", fields)
        sides = {name: partial(_page, client, path) for name, path in _PAGES.items()}
        runs = setting.in_turn(sides, 5)
    panel, instances = wall(runs["panel"]), wall(runs["instances"])
    of = f"of {rows} rows of {size} servers"
    setting.report.add(
        Result(_PART, f"panel {of}", "s wall", panel, 0.0),
        Result(_PART, f"instances {of}", "s wall", instances, 0.0),
        Result(
            _PART,
            f"panel / instances {of}",
            "x wall",
            ratios(panel, instances),
            0.0,
            Target(1.1),
        ),
    )


def _page(client: Any, path: str) -> Run:
    begun = time.perf_counter()
    answer = client.get(path)
    took = time.perf_counter() - begun
    if answer.status_code != 200:
        raise Failed(f"{path}: status {answer.status_code}")
    return Run(took, 0.0, 0.0)
