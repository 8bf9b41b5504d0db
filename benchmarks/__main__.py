"""Run the benchmarks: ``python -m benchmarks [PART...]``."""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from tests.interop.cloud.layout import DEFAULT_STATE

from . import (
    cost,
    deciding,
    enabling,
    holding,
    listing,
    panel,
    restoring,
    startup,
    ticking,
)
from .environments import ROOT, Environment, Environments
from .results import Report
from .setting import Setting


def _measure_workers(setting: Setting) -> None:
    # Late, because the other parts do not need Celery.
    from . import workers

    workers.measure(setting)


def _measure_horizon(setting: Setting) -> None:
    # Late, because the other parts do not need Horizon.
    from . import horizon

    horizon.measure(setting)


_PARTS = {
    "startup": startup.measure,
    "list": listing.measure,
    "enable": enabling.measure,
    "hold": holding.measure,
    "tick": ticking.measure,
    "panel": panel.measure,
    "horizon": _measure_horizon,
    "restore": restoring.measure,
    "workers": _measure_workers,
    "cost": cost.measure_sandbox,
    "services": cost.measure_services,
    "decide": deciding.measure,
}


def main() -> None:
    """Run the named parts, or all; print a table and write JSON."""
    args = _arguments()
    report = Report({"novaclient": version("python-novaclient")})
    made = Environments.here() if args.here else Environments.within(args.environments)
    if args.before:
        made = replace(made, before=Environment(args.before.absolute()))
    with tempfile.TemporaryDirectory() as folder:
        setting = Setting(made, Path(folder), args.cloud.absolute(), report, args.quick)
        for part in args.part or _PARTS:
            _PARTS[part](setting)
            report.write(args.json)
    print(report.table())


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "part", nargs="*", metavar="PART", help=f"one of {', '.join(_PARTS)}"
    )
    parser.add_argument(
        "--json",
        type=Path,
        default=Path("benchmarks.json"),
        help="where to write the results (default: %(default)s)",
    )
    parser.add_argument(
        "--environments",
        type=Path,
        default=ROOT / ".benchmarks",
        metavar="FOLDER",
        help="where to create the environments that are compared",
    )
    parser.add_argument(
        "--here",
        action="store_true",
        help="measure only what is installed here, without other clients",
    )
    parser.add_argument(
        "--before",
        type=Path,
        metavar="FOLDER",
        help="where other programs of this package are, to compare their cost",
    )
    parser.add_argument(
        "--cloud",
        type=Path,
        default=DEFAULT_STATE,
        metavar="FOLDER",
        help="the state of the real cloud, which is started if it does not run",
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: only to check that it works"
    )
    args = parser.parse_args()
    wrong = [part for part in args.part if part not in _PARTS]
    if wrong:
        parser.error(f"'{wrong[0]}' is not a part: use {', '.join(_PARTS)}")
    if args.before and not Path(Environment(args.before).service).exists():
        parser.error(f"'{args.before}' has no program scheduled-images-service")
    return args


if __name__ == "__main__":
    main()
