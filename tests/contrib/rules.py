"""Rules for Prometheus, tried by promtool."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path


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
        [promtool, "test", "rules", path], capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr
