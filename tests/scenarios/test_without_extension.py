"""Every command of the extension on a cloud that has none."""

from __future__ import annotations

import pytest

from .conftest import Run
from .workshop import Workshop

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
    for called in server:
        line = command.replace("SERVER", called).replace("NAME", f"^{server[0]}$")
        verb, *arguments = line.split()
        result = nova(f"scheduled-images-{verb}", *arguments)
        assert result.status == 1, result
        assert set(result.err.splitlines()) == {LINE}, result
        assert result.out in ("", "[]\n"), result
        if "SERVER" not in command:
            break
        assert result.err.count("\n") == 1


@pytest.mark.parametrize("verb", ["enable", "disable", "show", "update --daily"])
def test_a_server_that_is_not_there_is_told_as_such(nova: Run, verb: str) -> None:
    retention = ["7"] if verb == "enable" else []
    verb, *options = verb.split()
    result = nova(f"scheduled-images-{verb}", *options, NOBODY, *retention)
    assert (result.status, result.out) == (1, "")
    told = f"ERROR (CommandError): No server with a name or ID of '{NOBODY}' exists."
    assert result.err == f"{told}\n"


def test_what_needs_no_schedule_works(
    nova: Run, workshop: Workshop, server: tuple[str, str]
) -> None:
    image_id = workshop.add_snapshot(server[1])
    assert image_id in nova.ok("scheduled-images-image-list", server[0])
    assert nova.ok("scheduled-images-protect", image_id) == ""
    assert nova("scheduled-images-unprotect", image_id).status == 0
    argv = ("--keep", "1", "--dry-run", "--format", "json", server[0])
    assert nova("scheduled-images-prune", *argv).status == 0
