"""The dashboard for Grafana: each of its queries, asked of a real Prometheus.

Prometheus scrapes what the service exported in a rehearsed week, with the times of that
week.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Mapping
from datetime import timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import Gauge, Histogram, generate_latest

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.model.verify import Finding
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import ServerQuery
from rax_scheduled_images_ext.service.metrics import PREFIX, Metrics

from ..functional.conftest import Start
from ..functional.documents import ROOT
from ..functional.raw import START
from ..functional.runners import runner_of, schedule
from ..metrics_table import RUN, WORKER, documented
from ..pictures import png_size
from ..waiting import until
from .picture import Series, draw

DASHBOARD = json.loads((ROOT / "contrib/grafana/scheduled-images.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
MINUTES, DAYS = 30, 7
A_DAY = 24 * 60 // MINUTES
END = START + DAYS * 86400


@cache
def rehearsed() -> list[str]:
    """Return what is exported in a week.

    Of four servers one is in ERROR from the third day on, one cannot be imaged from the
    sixth on, and one never can, since it was enabled on the fifth.
    """
    with Sandbox(speed=0, start=START, extension=False, image_quota=12) as cloud:
        with cloud.region() as region:
            good, broken, refused, new = (
                each.id for each in region.servers.select(ServerQuery())
            )
        for each in (good, broken, refused):
            schedule(cloud, server_id=each, retention=2)
        runner = runner_of(cloud)
        runner.finder = Finder(runner.projects, runner.policy, newest=True)
        metrics = Metrics(regions=["RegionOne"])
        metrics.numbers.begin_proofs("RegionOne", timedelta(days=90))
        # As workers export them.
        queue = Gauge(
            f"{PREFIX}_queue_messages", "-", ("queue",), registry=metrics.registry
        )
        wait = Histogram(
            f"{PREFIX}_wait_seconds", "-", ("region",), registry=metrics.registry
        )
        found = []
        for number in range(DAYS * A_DAY):
            if number == 2 * A_DAY:
                with cloud.region() as region:
                    region.servers.reset_state(broken, "error")
            if number == 4 * A_DAY:
                schedule(cloud, server_id=new)
                cloud.fault(f"POST /servers/{new}/action 500")
            if number == 5 * A_DAY:
                cloud.fault(f"POST /servers/{refused}/action 500")
            tick = runner.tick()
            metrics.add("RegionOne", tick, 1.0)
            if number % A_DAY == A_DAY // 2:
                metrics.numbers.add_proof("RegionOne", Finding.PROVEN)
                metrics.set_verified("RegionOne", tick, {good: tick.now}, failed=0)
            # As with policies.
            metrics.numbers.unprotected.labels("RegionOne").set(number < A_DAY)
            queue.labels("scheduled-images.RegionOne").set(number % 5)
            wait.labels("RegionOne").observe(number % 3)
            now = cloud.advance(0)
            found.append(at(now, generate_latest(metrics.registry).decode()))
            cloud.advance(f"{MINUTES}m")
        return found


def at(moment: float, text: str) -> str:
    """Return metrics with the time of their samples, by the cloud's clock."""
    written = []
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            if name.startswith(f"{PREFIX}_last_look"):
                value = str(moment)
            written.append(f"{name} {value} {round(moment * 1000)}\n")
    return "".join(written)


class Exporter:
    """Serves a rehearsed week at the first scrape, and nothing after it."""

    def __init__(self, recorded: list[str]) -> None:
        days = [
            "".join(recorded[i : i + A_DAY]) for i in range(0, len(recorded), A_DAY)
        ]
        left = iter(days)
        self.is_done = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(handler) -> None:  # noqa: N805
                body = next(left, None)
                if body is None:
                    self.is_done.set()
                handler.send_response(200)
                handler.send_header("Content-Type", "text/plain; version=0.0.4")
                handler.end_headers()
                handler.wfile.write((body or "").encode())

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        assert isinstance(port, int)
        return port


@pytest.fixture
def api(prometheus: Path, start: Start, tmp_path: Path) -> str:
    """The API of a Prometheus that has scraped a rehearsed week."""
    exporter = Exporter(rehearsed())
    scraped = {
        "job_name": "scheduled-images",
        "scrape_interval": "1s",
        "scrape_timeout": "1s",
        "static_configs": [{"targets": [f"127.0.0.1:{exporter.port}"]}],
    }
    # JSON is YAML.
    (tmp_path / "prometheus.yml").write_text(json.dumps({"scrape_configs": [scraped]}))
    port = free_port()
    process = start(
        prometheus,
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        # The week is long ago, and its samples are half an hour apart.
        "--storage.tsdb.retention.time=100y",
        "--storage.tsdb.min-block-duration=100y",
        "--storage.tsdb.max-block-duration=100y",
        "--query.lookback-delta=40m",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=error",
    )
    until(exporter.is_done.is_set)
    exporter.server.shutdown()
    exporter.server.server_close()
    assert process.poll() is None
    return f"http://127.0.0.1:{port}/api/v1"


def ask(api: str, path: str, **query: str) -> Any:
    """Return what Prometheus answers."""
    answer = requests.get(f"{api}/{path}", params=query, timeout=60).json()
    assert answer["status"] == "success", (answer, query)
    return answer["data"]


def values(api: str, expression: str) -> dict[str, float]:
    """Return the values at the end of the week, by the last of their labels."""
    found = ask(api, "query", query=expression, time=str(END))["result"]
    return {
        "".join(list(each["metric"].values())[-1:]): float(each["value"][1])
        for each in found
    }


def series(api: str, target: Mapping[str, Any]) -> Series:
    """Return what a target of a panel finds in that week."""
    query = target["expr"].replace("$region", ".*")
    if target.get("instant"):
        found = values(api, query).items()
        return [(name, [(END, value)]) for name, value in found]
    step = "1d" if "[1d]" in query else "1h"
    times = {"start": str(START), "end": str(END), "step": step}
    return [
        (legend(target, each["metric"]), [(at, float(v)) for at, v in each["values"]])
        for each in ask(api, "query_range", query=query, **times)["result"]
    ]


def legend(target: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return the name of a series, as its target says."""
    return re.sub(
        r"{{(\w+)}}", lambda name: labels.get(name[1], ""), target["legendFormat"]
    )


def expression(title: str, ref: str = "A") -> str:
    """Return the query of a panel, for all regions."""
    (found,) = (
        target["expr"]
        for panel in PANELS
        if panel["title"] == title
        for target in panel["targets"]
        if target["refId"] == ref
    )
    assert isinstance(found, str)
    return found.replace("$region", ".*")


def test_every_query_finds_what_happened(api: str) -> None:
    empty = []
    for panel in PANELS:
        for target in panel["targets"]:
            query = expression(panel["title"], target["refId"])
            if target.get("instant"):
                found = ask(api, "query", query=query, time=str(END))
            else:
                times = {"start": str(START), "end": str(END), "step": "1h"}
                found = ask(api, "query_range", query=query, **times)
            if not found["result"]:
                empty.append((panel["title"], query))
    assert empty == []

    def value(title: str, ref: str = "A") -> float:
        (only,) = values(api, expression(title, ref)).values()
        return only

    assert value("Servers with a schedule") == 4
    assert value("Late") == 1
    assert value("Never imaged") == 1
    assert value("No image possible") >= 1
    assert value("Since the last scan") <= 60 * MINUTES
    assert round(value("Success by day")) == 1
    assert round(value("Images by day")) == 1
    assert round(value("Images by day", "B")) == 1
    assert round(value("Success by day", "B")) >= 1
    assert "failed" in values(api, expression("Failures by reason"))
    assert len(values(api, expression("Late servers"))) == 2
    assert value("Space of images") > 2**30
    assert ask(api, "label/region/values") == ["RegionOne"]


def test_the_picture_is_of_the_dashboard_after_that_week(
    api: str, request: pytest.FixtureRequest
) -> None:
    taken = draw(DASHBOARD, lambda target: series(api, target))
    picture = ROOT / "doc/source/service/dashboard.png"
    if request.config.getoption("--rewrite-pictures"):
        picture.write_bytes(taken)
    shown = picture.read_bytes()
    assert png_size(shown) == png_size(taken)
    assert len(shown) < 200 * 1024


def test_all_metrics_are_shown_and_no_others() -> None:
    text = json.dumps(DASHBOARD)
    used = {re.sub("_bucket$", "", name) for name in re.findall(rf"{PREFIX}_\w+", text)}
    assert used == set(documented(RUN)) | set(documented(WORKER))


def test_the_panels_are_beside_each_other() -> None:
    """No two cover the same place, and each has its own number and a description."""
    places = [panel["gridPos"] for panel in DASHBOARD["panels"]]
    for one, other in combinations(places, 2):
        assert (
            one["x"] + one["w"] <= other["x"]
            or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"]
            or other["y"] + other["h"] <= one["y"]
        ), (one, other)
    assert all(place["x"] + place["w"] <= 24 for place in places)
    numbers = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(numbers)) == len(numbers)
    assert all(panel["description"] for panel in PANELS)
