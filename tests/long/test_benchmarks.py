"""The benchmarks can be run; how long anything takes is not asserted."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def benchmarks(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmarks on what is installed beside this interpreter."""
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", "--here", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_fleets_are_measured_and_the_results_written(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = benchmarks(
        "--quick", "--json", str(results), "list", "enable", "tick", "decide"
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = {
        (each["what"], each["unit"]): each["median"]
        for each in json.loads(results.read_text())["results"]
    }
    # A token, compute's and image's versions, a page of servers and one of images.
    assert found["list of 6 servers", "requests"] == 5
    assert found["list / floor of 6 servers", "x wall"] > 0
    assert found["peak of list of 6 servers", "MiB"] > 1
    named = "list of 14 images, after / before they name their server"
    assert found[named, "x wall"] > 0
    assert found["one at a time / enable of 10 servers", "x wall"] > 0
    one = "of one image, from the claim to the retention"
    assert found[one, "requests"] == 10
    assert found["tick / floor of 40 servers, 7 due", "x wall"] > 0
    assert found["decide on 100 images by all rules / sort them", "x"] > 1
    assert found["plan 50 servers, mixed / daily schedules", "x"] > 0
    for what, _unit in found:
        assert what in done.stdout


def test_the_panel_is_measured(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = benchmarks("--quick", "--json", str(results), "panel")
    assert (done.returncode, done.stderr) == (0, "")
    found = {
        (each["what"], each["unit"]): each["median"]
        for each in json.loads(results.read_text())["results"]
    }
    assert found["first byte / list of 6 servers", "x wall"] > 0
    assert found["memory with 50 sessions, 6 servers", "MiB"] > 1
    assert found["requests a minute with 50 open pages", "requests"] >= 0


def test_what_the_service_costs_is_measured(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    here = str(Path(sys.executable).parent)
    done = benchmarks("--quick", "--json", str(results), "--before", here, "cost")
    assert (done.returncode, done.stderr) == (0, "")
    found = {
        (each["what"], each["unit"]): each["median"]
        for each in json.loads(results.read_text())["results"]
    }
    for what in ("tick", "tick (before)", "look of run", "look of run (before)"):
        for unit in ("s cpu", "requests", "MB"):
            assert found[f"{what}, 40 servers", unit] > 0
    assert found["peak of run, 40 servers", "MiB"] > 1
    assert found["tick / before, 40 servers", "x cpu"] > 0
    assert found["look of run / before, 40 servers", "x cpu"] > 0


def test_a_malformed_part_is_refused() -> None:
    done = benchmarks("all")
    assert done.returncode == 2
    assert "'all' is not a part: use startup, list, enable, hold, tick" in done.stderr


def test_a_folder_without_the_program_is_refused(tmp_path: Path) -> None:
    done = benchmarks("--before", str(tmp_path), "cost")
    assert done.returncode == 2
    told = f"'{tmp_path}' has no program scheduled-images-service"
    assert told in done.stderr


def test_restores_and_proofs_are_measured(tmp_path: Path) -> None:
    results = tmp_path / "results.json"
    done = benchmarks("--quick", "--json", str(results), "restore")
    assert (done.returncode, done.stderr) == (0, "")
    found = {
        (each["what"], each["unit"]): each["median"]
        for each in json.loads(results.read_text())["results"]
    }
    # A server takes a second until it is ACTIVE.
    assert found["bare requests, to ACTIVE", "s wall"] > 1
    assert found["restore / bare requests", "x wall"] > 0
    assert found["2 proofs, one by one / 2 at once", "x wall"] > 1


def test_the_memory_of_a_command_is_its_own() -> None:
    """However large the measuring process is."""
    program = (
        "from benchmarks.measure import run; mine = bytearray(300 * 2**20);"
        " print(run(['sh', '-c', 'cat'], {'PATH': '/usr/bin:/bin'}, stdin=b'x').peak)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert float(done.stdout) < 50
