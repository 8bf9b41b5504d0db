"""The files in contrib/ are what their own tools, and our parser, take."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest

from rax_scheduled_images_ext.service.cli import make_parser

from ..functional.documents import ROOT

CONTRIB = ROOT / "contrib"


def is_understood(argv: list[str]) -> bool:
    """Whether the program takes these arguments."""
    return callable(make_parser().parse_args(argv).func)


def test_the_container_calls_the_program() -> None:
    text = (CONTRIB / "container" / "Containerfile").read_text()
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", text, re.M)
    (command,) = re.findall(r"^CMD (.*)$", text, re.M)
    assert json.loads(entry) == ["scheduled-images-service"]
    assert is_understood(json.loads(command))


def test_the_cron_job_calls_the_program() -> None:
    yaml = pytest.importorskip("yaml")
    job = yaml.safe_load((CONTRIB / "kubernetes" / "cronjob.yaml").read_text())
    assert (job["apiVersion"], job["kind"]) == ("batch/v1", "CronJob")
    spec = job["spec"]["jobTemplate"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    shell, option, line = container["command"]
    assert (shell, option) == ("sh", "-c")
    program, *argv = shlex.split(line.partition("||")[0])
    assert program == "scheduled-images-service"
    assert is_understood(argv)
    # Something that could not be done yet does not fail the job.
    for status, ended in ((0, 0), (4, 0), (1, 1)):
        tried = line.replace(shlex.join([program, *argv]), f"(exit {status})")
        assert (subprocess.run([shell, option, tried]).returncode != 0) == bool(ended)
    assert spec["template"]["spec"]["restartPolicy"] == "Never"


def test_the_deployment_calls_the_program_and_asks_for_its_health() -> None:
    yaml = pytest.importorskip("yaml")
    text = (CONTRIB / "kubernetes" / "deployment.yaml").read_text()
    deployment = yaml.safe_load(text)
    assert (deployment["apiVersion"], deployment["kind"]) == ("apps/v1", "Deployment")
    spec = deployment["spec"]
    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    (container,) = spec["template"]["spec"]["containers"]
    assert is_understood(container["args"])
    (port,) = container["ports"]
    assert f"--metrics-port={port['containerPort']}" in container["args"]
    probes = [
        container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")
    ]
    assert probes == [
        {"path": "/healthz", "port": port["name"]},
        {"path": "/readyz", "port": port["name"]},
    ]
