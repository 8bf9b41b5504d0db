"""Add up JUnit results: what failed, one line a file, then the sum.

Status 1 without any test.
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

KINDS = ("passed", "failed", "skipped")


def count(path: str) -> dict[str, int]:
    """Return how many tests of one results file went which way."""
    suites = list(ElementTree.parse(path).iter("testsuite"))

    def total(name: str) -> int:
        return sum(int(suite.get(name, 0)) for suite in suites)

    failed, skipped = total("failures") + total("errors"), total("skipped")
    passed = total("tests") - failed - skipped
    return {"passed": passed, "failed": failed, "skipped": skipped}


def failures(path: str) -> list[str]:
    """Return the names of the tests of one results file that failed."""
    cases = ElementTree.parse(path).iter("testcase")
    failed = (c for c in cases if {"failure", "error"} & {each.tag for each in c})
    return [f"{case.get('classname')}.{case.get('name')}" for case in failed]


def line(counted: dict[str, int]) -> str:
    return ", ".join(f"{counted[kind]} {kind}" for kind in KINDS)


def main(paths: list[str]) -> int:
    results = {path: count(path) for path in paths if Path(path).is_file()}
    for path in results:
        for name in failures(path):
            print(f"FAILED in {Path(path).parent.name}: {name}")
    for path, counted in results.items():
        print(f"{Path(path).parent.name}: {line(counted)}")
    summed = {k: sum(counted[k] for counted in results.values()) for k in KINDS}
    print(line(summed))
    return 0 if summed["passed"] + summed["failed"] else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
