"""What the service costs can be measured on the real cloud, which must be up."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ..scenarios.resources import Api
from .cloud.layout import DEFAULT_STATE, Layout

ROOT = Path(__file__).parents[2]


def test_a_fleet_is_written_and_measured_and_removed(tmp_path: Path) -> None:
    api = Api(Layout(DEFAULT_STATE).environ("demo"))
    before = _known(api)
    results = tmp_path / "results.json"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "--here", "--quick"),
            *("--json", str(results), "services"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = {
        (each["what"], each["unit"]): each
        for each in json.loads(results.read_text())["results"]
    }
    for what in ("tick, 20 servers", "look of run, 20 servers"):
        for unit in ("s cpu", "requests", "MB"):
            assert found[what, unit]["median"] > 0
    day = found["day of run, 10000 daily servers", "min cpu"]
    assert day["median"] > 0
    assert "1440 looks of " in day["note"]
    assert _known(api) == before


def _known(api: Api) -> set[str]:
    """Return the servers and images of the project."""
    servers = api.do("compute", "GET", "/servers")["servers"]
    images = api.pages(f"/images?owner={api.project_id}")
    return {each["id"] for each in (*servers, *images)}
