"""The day on which a project's images reach its limit, on the real cloud."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

from ..scenarios.resources import Workshop
from .cloud.layout import DEFAULT_STATE, REGION, Layout
from .terminal import NEEDS_OPENSTACK, Terminal, table

DAYS = 5


@NEEDS_OPENSTACK
def test_a_forecast_names_the_day_that_unified_limits_give(tmp_path: Path) -> None:
    layout = Layout(DEFAULT_STATE)
    env = layout.environ("demo")
    administrator = Terminal(tmp_path, layout.environ("admin"))
    person = Terminal(tmp_path, env)
    resources = Workshop(env)
    name, _ = resources.boot()
    project = resources.api.project_id
    forecast = f"nova scheduled-images-enable --dry-run {name} 30"
    try:
        # Registered for everybody, and far away.
        assert " is not reached within a year " in person.run(forecast)
        used = len(list(resources.api.pages(f"/images?owner={project}")))
        limit = table(
            administrator.run(
                f"openstack limit create --project {project} --service glance"
                f" --region {REGION} --resource-limit {used + DAYS} image_count_total"
            )
        )["id"]
        try:
            told = person.run(forecast)
        finally:
            administrator.run(f"openstack limit delete {limit}")
        found = re.search(
            rf"quota of {used + DAYS} images.* is reached about (\d+ \w+ \d{{4}})", told
        )
        assert found, told
        day = datetime.strptime(found[1], "%d %B %Y").replace(tzinfo=timezone.utc)
        # One image a day, the first today or tomorrow.
        wait = day - datetime.now(timezone.utc)
        assert timedelta(days=DAYS - 2) <= wait <= timedelta(days=DAYS + 1)
    finally:
        resources.clear()
