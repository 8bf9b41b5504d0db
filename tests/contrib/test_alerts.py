"""The alerts in contrib/prometheus: they fire when they should, and only then.

Each uses what the program exports, and so does each test.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rax_scheduled_images_ext.engine.find import Finder
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.service.metrics import Metrics

from ..functional.conftest import Start
from ..functional.documents import ROOT
from ..functional.fleet import MYSERVER
from ..functional.runners import advance_to_slot, made, runner_of, schedule
from ..functional.test_service import PROGRAM, id_of_web
from ..metrics_table import NOBODYS, RUN, WORKER, documented, exported, label_values
from ..waiting import until
from .rules import rule_test, run_promtool, try_rules

ALERTS = ROOT / "contrib" / "prometheus" / "alerts.yml"
plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)
HOUR = 3600
NAMES = set(re.findall(r"^  - alert: (\w+)$", ALERTS.read_text(), re.M))


def name(metric: str, **labels: str) -> str:
    """Write a series of the region, or of a queue."""
    if "queue" not in labels:
        labels = {"region": "RegionOne", **labels}
    written = ",".join(f'{key}="{value}"' for key, value in labels.items())
    return f"scheduled_images_{metric}{{{written}}}"


def of_server(metric: str, server: str = "s") -> str:
    return name(f"{metric}_timestamp_seconds", project="p", server=server)


LOOKS = name("last_look_timestamp_seconds")
EXPECTED, SUCCESS = of_server("expected"), of_server("last_success")
VERIFIED = of_server("verified")
NO_LOOK_FAILS = {
    name("looks_total", outcome="failed"): "0x600",
    name("looks_total", outcome="done"): "0+5x600",
}


@dataclass(frozen=True)
class Case:
    """Series, beside that of looks which end, and which alerts fire when."""

    what: str
    series: dict[str, str]
    firing: dict[str, set[str]]


CASES = [
    Case(
        "an image is two hours late",
        {EXPECTED: f"{10 * HOUR}x300", SUCCESS: "0x300"},
        {"12h": set(), "12h10m": set(), "12h30m": {"ScheduledImageLate"}},
    ),
    Case(
        "it comes",
        {EXPECTED: f"{10 * HOUR}x149 {34 * HOUR}x200", SUCCESS: "0x400"},
        {"12h25m": {"ScheduledImageLate"}, "13h": set(), "30h": set()},
    ),
    Case(
        "one runner was started again, and one saw the image",
        {
            f'{EXPECTED[:-1]},instance="a"}}': f"{10 * HOUR}x300",
            f'{EXPECTED[:-1]},instance="b"}}': f"{34 * HOUR}x300",
            f'{SUCCESS[:-1]},instance="b"}}': f"{10 * HOUR}x300",
        },
        {"13h": set()},
    ),
    Case(
        "a first image is two hours late",
        {EXPECTED: f"{10 * HOUR}x300"},
        {"12h10m": set(), "12h30m": {"ScheduledImageNever"}},
    ),
    Case(
        "a weekly server was just enabled",
        {EXPECTED: f"{7 * 24 * HOUR}x800"},
        {"1h": set(), "48h": set()},
    ),
    Case(
        "a project of a fleet is late",
        {
            of_server("expected", ""): f"{10 * HOUR}x300",
            of_server("last_success", ""): "0x300",
        },
        {"9h": set(), "12h30m": {"ScheduledImageLate"}},
    ),
    Case(
        "a quota is reached within two weeks",
        {
            name("quota_full_timestamp_seconds", project="p", limit="images"): (
                f"{15 * 24 * HOUR}x600"
            )
        },
        {"23h": set(), "24h30m": set(), "26h": {"ScheduledImagesSpace"}},
    ),
    Case(
        "a quota is reached later",
        {
            name("quota_full_timestamp_seconds", project="p", limit="bytes"): (
                f"{40 * 24 * HOUR}x600"
            )
        },
        {"1h": set(), "40h": set()},
    ),
    Case(
        "workers make nothing",
        {name("overdue_seconds"): "0+300x300"},
        {"2h": set(), "2h30m": {"ScheduledImagesOverdue"}},
    ),
    Case(
        "a runner exports its servers beside",
        {name("overdue_seconds"): "0+300x300", EXPECTED: f"{HOUR * 90}x300"},
        {"5h": set()},
    ),
    Case(
        "looks no longer end",
        {LOOKS: f"0+300x12 {HOUR}x300"},
        {"1h55m": set(), "2h15m": {"ScheduledImagesSilent"}},
    ),
    Case(
        "the runner is gone",
        {LOOKS: "0+300x12 stale"},
        {
            "1h50m": set(),
            "2h15m": {"ScheduledImagesSilent", "ScheduledImagesAbsent"},
            "20h": {"ScheduledImagesSilent", "ScheduledImagesAbsent"},
            "40h": {"ScheduledImagesAbsent"},
        },
    ),
    Case(
        "one of two regions is gone",
        {name("last_look_timestamp_seconds", region="north"): "0+300x12 stale"},
        {"2h15m": {"ScheduledImagesSilent"}},
    ),
    Case(
        "no look has ever ended",
        {LOOKS: "_x100"},
        {"50m": set(), "1h10m": {"ScheduledImagesAbsent"}},
    ),
    Case(
        "all looks fail",
        {
            name("looks_total", outcome="failed"): "0x11 0+5x100",
            name("looks_total", outcome="done"): "0+5x11 60x100",
        },
        {"55m": set(), "1h40m": {"ScheduledImagesLooksFail"}},
    ),
    Case(
        "some looks fail",
        {
            name("looks_total", outcome="failed"): "0+2x600",
            name("looks_total", outcome="done"): "0+3x600",
        },
        {"2h": set(), "10h": set()},
    ),
    Case(
        "a step fails for hours",
        {name("failures_total", result="failed"): "0x11 1+1x200"},
        {"3h": set(), "4h30m": {"ScheduledImagesFailing"}},
    ),
    Case(
        "a step fails once",
        {name("failures_total", result="failed"): "0x11 1x200"},
        {"2h": set(), "3h": set(), "4h30m": set()},
    ),
    Case(
        "the queue grows",
        {name("queue_messages", queue="scheduled-images.RegionOne"): "200+10x100"},
        {"30m": set(), "1h30m": {"ScheduledImagesQueueGrows"}},
    ),
    Case(
        "the queue is long, and becomes shorter",
        {name("queue_messages", queue="scheduled-images.RegionOne"): "1500-10x100"},
        {"1h30m": set(), "3h": set()},
    ),
    Case(
        "a message was put aside",
        {name("queue_messages", queue="scheduled-images.dead"): "0x6 1x200"},
        {"30m": set(), "45m": {"ScheduledImagesDeadLetters"}},
    ),
    Case(
        "the last proof of a server failed",
        {name("failed_proofs"): "0x11 1x100 0x100"},
        {"50m": set(), "1h30m": {"ScheduledImagesProofFailed"}, "12h": set()},
    ),
    Case(
        "a worker's proof failed",
        {name("proofs_total", finding="failed"): "0x11 1x500"},
        {
            "50m": set(),
            "2h": {"ScheduledImagesProofFailed"},
            "23h": {"ScheduledImagesProofFailed"},
            "27h": set(),
        },
    ),
    Case(
        "a server is proven, and then not again",
        {
            VERIFIED: f"{HOUR}x599",
            name("verify_interval_seconds"): f"{10 * HOUR}x599",
            name("proofs_total", finding="proven"): "0x11 1x588",
        },
        {"11h": set(), "30h": set(), "37h": {"ScheduledImagesProofOverdue"}},
    ),
    Case(
        "proofs cannot be tried",
        {
            name("proofs_total", finding="unknown"): "0x11 1+1x1500",
            name("proofs_total", finding="proven"): "0x1512",
            LOOKS: "0+300x1512",
        },
        {"2h": set(), "70h": set(), "80h": {"ScheduledImagesProofsNotTried"}},
    ),
    Case(
        "some proofs cannot be tried",
        {
            name("proofs_total", finding="unknown"): "0+1x1512",
            name("proofs_total", finding="proven"): "0x288 1x288 2x288 3x288 4x356",
            LOOKS: "0+300x1512",
        },
        {"80h": set(), "120h": set()},
    ),
    Case(
        "an image hangs",
        {name("hanging"): "0x11 1x100"},
        {"55m": set(), "1h30m": {"ScheduledImagesHanging"}},
    ),
    Case(
        "a volume snapshot stays",
        {name("orphaned_volume_snapshots"): "0x11 1x500"},
        {"12h": set(), "26h": {"ScheduledImagesOrphanedSnapshots"}},
    ),
    Case(
        "a schedule is invalid",
        {name("not_imaged", reason="invalid schedule"): "0x11 2x200"},
        {"1h30m": set(), "2h30m": {"ScheduledImagesInvalidSchedule"}},
    ),
    Case(
        "a server is in error, and its slot is over",
        {
            name("not_imaged", reason="server status"): "0x11 1x100 0x100",
            name("not_imaged", reason="missed"): "0x11 0x100 1x100",
        },
        {"6h": set(), "8h": {"ScheduledImagesNotImaged"}}
        | {"16h": {"ScheduledImagesNotImaged"}},
    ),
    Case(
        "a new server is covered by the next scan, and another one by none",
        {name("unprotected"): "0x11 1 0x24 2x100"},
        {"1h30m": set(), "3h30m": set(), "4h10m": {"ScheduledImagesUnprotected"}},
    ),
    Case("all is well", NO_LOOK_FAILS, {"2h": set(), "40h": set()}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.what)
def test_an_alert(case: Case, promtool: Path, tmp_path: Path) -> None:
    series = {LOOKS: "0+300x600", **case.series}
    assert try_rules(promtool, ALERTS, series, case.firing, tmp_path) == ""


def test_each_alert_is_tested_and_documented() -> None:
    assert set().union(*(f for c in CASES for f in c.firing.values())) == NAMES
    text = (ROOT / "doc/source/service/monitoring.rst").read_text()
    severities = dict(re.findall(r"^``(Sch\w+)``  +``(\w+)``", text, re.M))
    assert severities == dict(
        re.findall(r"alert: (\w+)\n.*?severity: (\w+)", ALERTS.read_text(), re.S)
    )


def test_the_annotations_can_be_filled_in(promtool: Path, tmp_path: Path) -> None:
    """Each of them, with and without a server."""
    cases = [
        rule_test(
            {LOOKS: "0+300x600", **each.series},
            alert_rule_test=[
                # What fires is shown because nothing is said to.
                {"eval_time": moment, "alertname": alert, "exp_alerts": []}
                for moment, alerts in each.firing.items()
                for alert in sorted(alerts)
            ],
        )
        for each in CASES
    ]
    done = run_promtool(promtool, ALERTS, cases, tmp_path)
    shown = done.stdout + done.stderr
    assert all(f"alertname: {alert}" in shown for alert in NAMES)
    assert "server s in project p, region RegionOne, was due 2h 30m 0s ago" in (
        " ".join(shown.split())
    )
    assert "The image of a server in project p" in " ".join(shown.split())
    assert "error" not in shown
    assert "<no value>" not in shown


# -- what is exported


@pytest.mark.parametrize(
    "cloud", [{"extension": False, "image_quota": 5}], indirect=True
)
def test_run_exports_what_the_documents_say(
    cloud: Sandbox, start: Start, tmp_path: Path
) -> None:
    schedule(cloud)
    policies = tmp_path / "policies.yaml"
    policies.write_text(NOBODYS)
    process = start(
        *(PROGRAM, "run", "--every", "1s", "--metrics-port", "0"),
        *("--log-format", "json", "--verify-every", "90d"),
        *("--policies", policies),
        env=cloud.environ(),
    )
    assert process.stderr
    port = None
    while port is None:
        port = json.loads(process.stderr.readline()).get("port")

    def read() -> str:
        return requests.get(f"http://127.0.0.1:{port}/metrics", timeout=60).text

    advance_to_slot(cloud)
    until(lambda: made(cloud))
    cloud.advance("5m")
    until(lambda: "last_success_timestamp_seconds{" in read())
    cloud.advance("1d")
    until(lambda: "verified_timestamp_seconds{" in read())
    until(lambda: "quota_full_timestamp_seconds{" in read())
    text = read()
    assert exported(text) == documented(RUN)
    values = label_values()
    found = values_of(text)
    assert found["result", "steps_total"] == values["result"]
    assert found["result", "failures_total"] < values["result"]
    assert found["outcome", "looks_total"] == values["outcome"] - {"skipped"}
    assert found["reason", "not_imaged"] == values["reason"]
    assert found["finding", "proofs_total"] == values["finding"]


def values_of(text: str) -> dict[tuple[str, str], set[str]]:
    """The values of each label of each metric."""
    found: dict[tuple[str, str], set[str]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            short = sample.name.removeprefix("scheduled_images_")
            for label, value in sample.labels.items():
                found.setdefault((label, short), set()).add(value)
    return found


def test_the_alerts_and_their_tests_use_what_is_exported() -> None:
    both = documented(RUN) | documented(WORKER)
    used = set(re.findall(r"scheduled_images_\w+", ALERTS.read_text()))
    assert used <= set(both) | {"scheduled_images_not_imaged"}
    values = label_values()
    values["queue"] = {q.replace("REGION", "RegionOne") for q in values["queue"]}
    for series in {key for case in CASES for key in [LOOKS, *case.series]}:
        metric, _, written = series.partition("{")
        labels = dict(re.findall(r'(\w+)="([^"]*)"', written))
        labels.pop("instance", None)
        assert set(labels) == set(both[metric]), series
        for label in {"result", "outcome", "reason", "finding", "queue"} & set(labels):
            assert labels[label] in values[label], series
    for label, value in re.findall(r'(\w+)!?="([^"]*)"', ALERTS.read_text()):
        assert value in values[label]


@plain
def test_what_only_its_owner_can_change_is_not_overdue(cloud: Sandbox) -> None:
    """It counts where servers are that cannot be imaged."""
    schedule(cloud)
    runner = runner_of(cloud)
    metrics = Metrics()
    advance_to_slot(cloud)
    with cloud.region() as region:
        region.servers.reset_state(MYSERVER, "error")
    cloud.advance("3h")
    metrics.add("RegionOne", runner.tick(), 1.0)
    of = {"region": "RegionOne"}

    def value(metric: str, **labels: str) -> float | None:
        full = f"scheduled_images_{metric}"
        return metrics.registry.get_sample_value(full, of | labels)

    assert value("not_imaged", reason="server status") == 1
    assert value("due") == value("overdue_seconds") == 0
    assert b"expected_timestamp_seconds{" not in generate_latest(metrics.registry)


# -- recorded


@plain
@pytest.mark.parametrize("most_servers", [1000, 0], ids=["servers", "project"])
@pytest.mark.parametrize("fails", [False, True], ids=["well", "fails"])
def test_a_server_that_was_just_enabled(
    cloud: Sandbox, promtool: Path, most_servers: int, fails: bool, tmp_path: Path
) -> None:
    """It raises an alert only if its image does not come, whatever others have.

    It is enabled after 57 hours, and its image is due after 67.
    """
    schedule(cloud)
    runner = runner_of(cloud)
    runner.finder = Finder(runner.projects, runner.policy, newest=True)
    metrics = Metrics(most_servers, ["RegionOne"])
    recorded: list[str] = []
    began = cloud.advance(0)

    def look(hours: int) -> None:
        for _ in range(hours):
            metrics.add("RegionOne", runner.tick(), 1.0)
            recorded.append(generate_latest(metrics.registry).decode())
            cloud.advance("1h")

    look(57)
    assert "last_success_timestamp_seconds{" in recorded[-1]
    with cloud.region() as region:
        other = id_of_web(region)
    schedule(cloud, day=None if fails else "Sunday", server_id=other)
    if fails:
        cloud.fault(f"POST /servers/{other}/action 500")
    look(20)
    late = "ScheduledImageNever" if most_servers else "ScheduledImageLate"
    firing = {f"{hour}h": set[str]() for hour in range(2, 69)}
    firing |= {f"{hour}h": {late} if fails else set() for hour in range(70, 73)}
    series = {LOOKS: "0+300x950", **as_series(recorded, began)}
    assert try_rules(promtool, ALERTS, series, firing, tmp_path) == ""


def as_series(recorded: list[str], began: float) -> dict[str, str]:
    """What was recorded each hour, as values each five minutes from time 0 on."""
    found: dict[str, list[str]] = {}
    for number, text in enumerate(recorded):
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if "last_look" in sample.name:
                    continue
                labels: Any = {**sample.labels}
                labels.pop("region")
                short = sample.name.removeprefix("scheduled_images_")
                values = found.setdefault(name(short, **labels), ["_"] * len(recorded))
                shift = began if short.endswith("timestamp_seconds") else 0.0
                values[number] = str(sample.value - shift)
    return {
        # Of a value the number says how often it is repeated, of "_" how often it is.
        key: " ".join(f"{v}x{12 if v == '_' else 11}" for v in values)
        for key, values in found.items()
    }
