"""Debian's promtool, which tests rules for Prometheus."""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from .interop.cloud.install import apt, run
from .interop.cloud.layout import DEFAULT_STATE, CloudError, Layout

_STATE = DEFAULT_STATE / "prometheus"


def promtool() -> Path:
    """Return the program, after it was unpacked if need be.

    :raises CloudError: if it cannot be had.
    """
    found = shutil.which("promtool")
    if found:
        return Path(found)
    if shutil.which("apt-get") is None:
        raise CloudError("there is neither promtool nor apt-get")
    layout = Layout(_STATE)
    layout.logs.mkdir(parents=True, exist_ok=True)
    # Other tests may want it at the same moment.
    with (layout.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not layout.debian.exists():
            _unpack(layout)
    return layout.debian / "usr/bin/promtool"


def _unpack(layout: Layout) -> None:
    fresh = layout.state / "debian.new"
    shutil.rmtree(fresh, ignore_errors=True)
    for folder in ("apt/lists/partial", "apt/cache/archives/partial"):
        (fresh / folder).mkdir(parents=True)
    run(layout, "apt", *apt(fresh, "apt-get", "update"))
    command = apt(fresh, "apt-get", "download", "prometheus")
    done = subprocess.run(command, cwd=fresh, capture_output=True, text=True)
    if done.returncode:
        raise CloudError(f"apt-get download failed: {done.stderr.strip()}")
    (package,) = fresh.glob("*.deb")
    run(layout, "apt", "dpkg", "--extract", str(package), str(fresh))
    package.unlink()
    shutil.rmtree(fresh / "apt")
    fresh.rename(layout.debian)


def try_rules(
    rules: Path, series: Mapping[str, str], firing: Mapping[str, set[str]], folder: Path
) -> str:
    """Return what promtool says against these alerts, nothing if they are right.

    :param series: values every five minutes, as promtool writes them.
    :param firing: which alerts fire, by how long after the first value.
    :param folder: where the test is written to.
    """
    # JSON is YAML.
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "5m",
        "tests": [
            {
                "interval": "5m",
                "input_series": [
                    {"series": name, "values": values}
                    for name, values in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                        "eval_time": moment,
                        "exp_samples": [
                            {"labels": f'{{alertname="{name}"}}', "value": 1}
                            for name in sorted(names)
                        ],
                    }
                    for moment, names in firing.items()
                ],
            }
        ],
    }
    path = folder / "test.yml"
    path.write_text(json.dumps(test))
    done = subprocess.run(
        [promtool(), "test", "rules", path], capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
