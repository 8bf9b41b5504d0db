"""The Helm chart and the CronJob: rendered by Helm, valid by Kubernetes' schemas."""

from __future__ import annotations

import shlex
import socket
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import requests

from rax_scheduled_images_ext.panel.cli import make_parser as panel
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.service.cli import make_parser as service

from ..functional.conftest import Start
from ..functional.documents import ROOT
from ..waiting import until
from .clouds import clouds_yaml

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
validator = pytest.importorskip(
    "kubernetes_validate", reason="kubernetes-validate is not installed"
)
helm = pytest.importorskip("helm_python", reason="Helm's library is not installed")

CHART = ROOT / "contrib" / "helm"
CRONJOB = yaml.safe_load((ROOT / "contrib/kubernetes/cronjob.yaml").read_text())
PARTS = ("run", "worker", "beat", "panel", "api")
ALL: dict[str, Any] = {
    "options": ["--all-projects", "--window", "22:00-06:00"],
    "run": {"replicas": 2, "options": ["--verify-every", "90d"]},
    "worker": {"enabled": True},
    "beat": {"enabled": True},
    "panel": {
        "enabled": True,
        "authUrl": "https://cloud.example.com/identity/v3",
        "host": "panel.example.com",
        "ingress": {"className": "nginx", "annotations": {"a": "b"}},
    },
    "api": {
        "enabled": True,
        "compute": "http://nova.example.com:8774/v2.1",
        "options": ["--roles", "rackspace"],
    },
    "metrics": {"annotations": {"a": "b"}},
    "networkPolicy": {"metricsFrom": [{"namespaceSelector": {}}]},
    "imagePullSecrets": [{"name": "registry"}],
    "nodeSelector": {"a": "b"},
    "tolerations": [{"key": "a", "operator": "Exists"}],
}
# Kubernetes' versions: an old one, and the newest that there are schemas of.
VERSIONS = ("1.28", validator.latest_version())
BIN = Path(sys.executable).parent
plain = pytest.mark.parametrize("cloud", [{"extension": False}], indirect=True)


def rendered(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what ``helm install`` would create."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name="demo", namespace="backup")
    return [
        each
        for path, text in files.items()
        if path.endswith(".yaml")
        for each in yaml.safe_load_all(text)
        if each
    ]


def named(kind: str, part: str) -> dict[str, Any]:
    (found,) = (
        each
        for each in rendered(ALL)
        if each["kind"] == kind and each["metadata"]["name"] == f"demo-{part}"
    )
    return found


def container(part: str) -> dict[str, Any]:
    (found,) = named("Deployment", part)["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def test_helm_finds_nothing_to_say() -> None:
    found = helm.lint(CHART, ALL, strict=True)
    assert found["errors"] == []
    said = {each["error"] for each in found["messages"]}
    assert said <= {"icon is recommended"}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("values", [{}, ALL], ids=["default", "all"])
def test_kubernetes_takes_what_is_rendered(
    values: dict[str, Any], version: str
) -> None:
    found = rendered(values)
    kinds = {each["kind"] for each in found}
    assert {"Deployment", "Service", "NetworkPolicy"} <= kinds
    assert ("PodDisruptionBudget" in kinds) == ("Ingress" in kinds) == bool(values)
    for each in [*found, CRONJOB]:
        validator.validate(each, version, strict=True)


@pytest.mark.parametrize("part", PARTS)
def test_each_part_is_whole(part: str) -> None:
    deployment = named("Deployment", part)
    chosen = deployment["spec"]["selector"]["matchLabels"].items()
    assert chosen <= deployment["spec"]["template"]["metadata"]["labels"].items()
    policy = named("NetworkPolicy", part)["spec"]
    assert policy["podSelector"]["matchLabels"].items() == chosen
    if part != "panel":
        budget = named("PodDisruptionBudget", part)["spec"]
        assert budget["selector"]["matchLabels"].items() == chosen
    ports = {each["containerPort"] for each in container(part).get("ports", [])}
    open_ports = {p["port"] for rule in policy["ingress"] for p in rule["ports"]}
    assert ports == open_ports
    mounted = {each["mountPath"] for each in container(part)["volumeMounts"]}
    assert ("/etc/openstack" in mounted) == (part in ("run", "worker", "beat"))


@pytest.mark.parametrize("part", PARTS)
def test_each_part_calls_its_program(part: str) -> None:
    found = container(part)
    if part == "panel":
        assert found["command"] == ["scheduled-images-panel"]
        args = panel().parse_args(found["args"])
        assert args.host == "0.0.0.0"
    else:
        args = service().parse_args(found["args"])
        assert found["args"][0] == part
    (port,) = found.get("ports", [None])
    if part in ("run", "worker"):
        assert (args.metrics_port, args.metrics_host) == (9680, "0.0.0.0")
    elif port:
        assert args.port == port["containerPort"]


def test_the_version_is_that_of_the_package() -> None:
    settings = ConfigParser(interpolation=None)
    settings.read(ROOT / "setup.cfg")
    version = settings["metadata"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == version
    assert container("run")["image"] == f"scheduled-images:{version}"
    job = CRONJOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert job[0]["image"] == f"scheduled-images:{version}"
    assert f":{version} ." in (ROOT / "contrib/container/Containerfile").read_text()


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"runs": {}}, "runs"),
        ({"run": {"replicas": 0}}, "replicas"),
        ({"panel": {"enabled": True}}, "authUrl"),
        ({"api": {"enabled": True, "compute": "nova"}}, "compute"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(helm.HelmError, match=problem):
        rendered(values)


def test_all_values_are_in_the_schema() -> None:
    """It allows no others, so none that the chart has may be missing."""
    with helm.Chart.load(CHART) as chart:
        chart.validate_schema(chart.values)
        assert set(chart.values) | {"global"} == set(chart.schema["properties"])


def test_the_cron_job_calls_the_program() -> None:
    spec = CRONJOB["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (found,) = spec["containers"]
    shell, option, line = found["command"]
    program, *argv = shlex.split(line.partition("||")[0])
    assert program == "scheduled-images-service"
    assert callable(service().parse_args(argv).func)
    # Something that could not be done yet does not fail the job.
    for status, ended in ((0, 0), (4, 0), (1, 1)):
        tried = line.replace(shlex.join([program, *argv]), f"(exit {status})")
        done = subprocess.run([shell, option, tried])
        assert (done.returncode != 0) == bool(ended)


# -- the probes, asked of the programs as they are started


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
        assert isinstance(port, int)
        return port


@plain
@pytest.mark.parametrize("part", ["run", "panel"])
def test_the_probes_are_answered(
    cloud: Sandbox, start: Start, part: str, tmp_path: Path
) -> None:
    found = container(part)
    clouds_yaml(tmp_path / "clouds.yaml", cloud)
    env = client_environment({"OS_CLIENT_CONFIG_FILE": f"{tmp_path}/clouds.yaml"})
    env |= {each["name"]: each["value"] for each in found["env"]}
    if part == "panel":
        env["OS_AUTH_URL"] = cloud.env()["OS_AUTH_URL"]
    (known,) = found["ports"]
    port = free_port()
    args = [
        each.replace(str(known["containerPort"]), str(port)).replace(
            "0.0.0.0", "127.0.0.1"
        )
        for each in found["args"]
        if each != "--verify-every" and each != "90d"
    ]
    (program,) = found.get("command", ["scheduled-images-service"])
    start(BIN / program, *args, env=env)
    for kind in ("livenessProbe", "readinessProbe"):
        probe = found[kind]["httpGet"]
        # The kubelet asks for the pod by its address.
        headers = {"Host": "192.0.2.1:80"} | {
            each["name"]: each["value"] for each in probe.get("httpHeaders", [])
        }

        def answered(path: str = probe["path"], headers: Any = headers) -> bool:
            try:
                url = f"http://127.0.0.1:{port}{path}"
                return requests.get(url, headers=headers, timeout=60).ok
            except requests.ConnectionError:
                return False

        until(answered)
