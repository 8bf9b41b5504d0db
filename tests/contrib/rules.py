"""Rules for Prometheus, tried by promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def try_rules(
    promtool: Path,
    rules: Path,
    series: Mapping[str, str],
    firing: Mapping[str, set[str]],
    folder: Path,
) -> str:
    """Return what promtool says against these alerts, nothing if they are right.

    :param series: values every five minutes, as promtool writes them.
    :param firing: which alerts fire, by how long after the first value.
    :param folder: where the test is written to.
    """
    expected = [
        {
            "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
            "eval_time": moment,
            "exp_samples": [
                {"labels": f'{{alertname="{name}"}}', "value": 1}
                for name in sorted(names)
            ],
        }
        for moment, names in firing.items()
    ]
    test = rule_test(series, promql_expr_test=expected)
    done = run_promtool(promtool, rules, [test], folder)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def rule_test(series: Mapping[str, str], **expected: Any) -> dict[str, Any]:
    """Return a test for :func:`run_promtool`, with what promtool is to expect."""
    return {
        "interval": "5m",
        "input_series": [
            {"series": name, "values": values} for name, values in series.items()
        ],
        **expected,
    }


def run_promtool(
    promtool: Path, rules: Path, cases: Iterable[dict[str, Any]], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run promtool on rules; the tests are written to a file in the folder."""
    test = {
        "rule_files": [str(rules)],
        "evaluation_interval": "5m",
        "tests": list(cases),
    }
    path = folder / "test.yml"
    # JSON is YAML.
    path.write_text(json.dumps(test))
    return subprocess.run(
        [promtool, "test", "rules", path], capture_output=True, text=True
    )
