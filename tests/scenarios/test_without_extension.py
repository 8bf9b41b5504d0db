"""Every command of the extension on a cloud that has none: one line says so."""

from __future__ import annotations

import pytest

from .conftest import Run
from .resources import Workshop

pytestmark = pytest.mark.needs("a cloud without the extension")

LINE = (
    "ERROR (NotFound): This cloud has no scheduled images: it lacks the extension"
    " rax-si-image-schedule (HTTP 404)"
)
NOBODY = "00000000-dead-4bad-8bad-000000000000"
COMMANDS = (
    "enable SERVER 7",
    "enable --day-of-week sat SERVER 7",
    "enable --dry-run SERVER 7",
    "enable --all 7",
    "enable --name NAME 7",
    "update --retention 7 SERVER",
    "update --daily SERVER",
    "update --all --daily",
    "disable SERVER",
    "disable --all",
    "show SERVER",
    "show --format json SERVER",
    "list",
    "list --enabled",
    "list --disabled",
    "list --all-regions",
    "list --format json",
    "check",
    "check --format json",
    "prune --dry-run SERVER",
    "prune --yes SERVER",
)


@pytest.mark.parametrize("command", COMMANDS)
def test_one_line_says_so(nova: Run, server: tuple[str, str], command: str) -> None:
    where = " (in region RegionOne)" if "--all-regions" in command else ""
    for called in server if "SERVER" in command else server[:1]:
        line = command.replace("SERVER", called).replace("NAME", f"^{server[0]}$")
        verb, *arguments = line.split()
        result = nova(f"scheduled-images-{verb}", *arguments)
        assert (result.status, result.err) == (1, f"{LINE}{where}\n"), result
        assert result.out in ("", "[]\n"), result


@pytest.mark.parametrize("verb", ["enable", "disable", "show", "update --daily"])
def test_it_is_not_put_down_to_the_server(nova: Run, verb: str) -> None:
    retention = ["7"] if verb == "enable" else []
    verb, *options = verb.split()
    result = nova(f"scheduled-images-{verb}", *options, NOBODY, *retention)
    assert (result.status, result.out, result.err) == (1, "", f"{LINE}\n")


def test_what_needs_no_schedule_works(
    nova: Run, resources: Workshop, server: tuple[str, str]
) -> None:
    image_id = resources.add_snapshot(server[1])
    assert image_id in nova.ok("scheduled-images-image-list", server[0])
    assert nova.ok("scheduled-images-protect", image_id) == ""
    assert nova("scheduled-images-unprotect", image_id).status == 0
    argv = ("--keep", "1", "--dry-run", "--format", "json", server[0])
    assert nova("scheduled-images-prune", *argv).status == 0
