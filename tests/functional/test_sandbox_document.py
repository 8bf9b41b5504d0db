"""doc/sandbox.rst tells what there is, and no more.

Its list of requests is made from the code: ``python -m
tests.functional.test_sandbox_document`` prints it.
"""

from __future__ import annotations

import re
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.faults.grammar import GRAMMAR, parse_fault

DOCUMENT = Path(__file__).parents[2] / "doc" / "sandbox.rst"
APIS = (
    ("openstack", "/identity/v3", "Keystone v3"),
    ("rackspace", "/identity/v2.0", "Keystone v2.0 (--like rackspace)"),
    ("openstack", "/compute/v2.1", "Nova"),
    ("openstack", "/image/v2", "Glance"),
    ("openstack", "/sandbox", "the sandbox itself"),
)


def requests() -> Iterator[str]:
    """Yield the lines of the list."""
    for like, path, title in APIS:
        sandbox = Sandbox(like, speed=0)  # type: ignore[arg-type]
        sandbox.stop()
        app = next(m.app for m in sandbox._front._mounts if m.pattern.match(path))
        methods: dict[str, set[str]] = defaultdict(set)
        for rule in app().url_map.iter_rules():
            methods[rule.rule] |= rule.methods or set()
        yield f"{title}, at {path}"
        for rule_path, known in sorted(methods.items()):
            short = re.sub(r"<(?:\w+_)?(\w+)>", r"{\1}", rule_path)
            listed = " ".join(sorted(known - {"HEAD", "OPTIONS"}))
            yield f"  {short:<46}{listed}"


def block(text: str) -> str:
    """Return a text as it stands in the document."""
    return textwrap.indent(text, "    ")


def test_the_requests_are_all_there() -> None:
    listed = block("".join(f"{line}\n" for line in requests()))
    assert listed in DOCUMENT.read_text(), listed


def test_the_grammar_of_faults_is_all_there() -> None:
    assert block(GRAMMAR) in DOCUMENT.read_text()


def test_the_examples_of_faults_are_some() -> None:
    below = DOCUMENT.read_text().partition("\nSome that are worth trying:\n")[2]
    examples = re.findall(r"^``(.*)``\n    ", below, re.MULTILINE)
    assert len(examples) > 8
    for example in examples:
        assert parse_fault(example).text == example


if __name__ == "__main__":
    for line in requests():
        print(line)
