"""What the page about permissions names is enough, on the real cloud that is up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import openstack
import pytest

from rax_scheduled_images_ext import connect as reached
from rax_scheduled_images_ext.model.image import PENDING_KEY, SLOT_KEY
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    OFF_TAG,
    schedule_tag,
)

from ..scenarios.resources import Workshop
from .cloud.layout import DEFAULT_STATE, Layout
from .terminal import NEEDS_OPENSTACK, PERMISSIONS, Terminal, commands, table

pytestmark = NEEDS_OPENSTACK

NAME = "scheduled-images"
# The further paths that the page names, for who sets schedules.
SCHEDULING = (
    "/v2.1/servers",
    "/v2.1/servers/*/tags",
    "/v2.1/servers/*/tags/*",
    "/v2.1/servers/*/rax-si-image-schedule",
    "/v2.1/extensions/*",
)


@pytest.fixture
def layout() -> Layout:
    return Layout(DEFAULT_STATE)


@pytest.fixture
def tenant(layout: Layout, tmp_path: Path) -> Iterator[Terminal]:
    """A member's terminal; the application credential is deleted at last."""
    terminal = Terminal(tmp_path, layout.environ("demo"))
    yield terminal
    terminal.try_to(f"openstack application credential delete {NAME}")


@pytest.fixture
def operator(layout: Layout, tmp_path: Path) -> Iterator[Terminal]:
    """An administrator's terminal; the service's user is deleted at last."""
    terminal = Terminal(tmp_path, layout.environ("admin"))
    yield terminal
    terminal.try_to(f"openstack user delete {NAME}")


def booted(layout: Layout, user: str) -> Iterator[tuple[Workshop, str]]:
    """Have a user's server with a daily schedule of retention 1."""
    resources = Workshop(layout.environ(user))
    _, server_id = resources.boot()
    made = resources, server_id
    tag(made, MARKER_TAG, schedule_tag(ImageSchedule(1)))
    yield made
    for image in resources.images_of(server_id):
        resources.delete_image(image["id"])
    resources.clear()


def tag(made: tuple[Workshop, str], *tags: str) -> None:
    """Let a server have these tags."""
    resources, server_id = made
    path = f"/servers/{server_id}/tags"
    resources.api.do("compute", "PUT", path, {"tags": list(tags)})


@pytest.fixture
def mine(layout: Layout) -> Iterator[tuple[Workshop, str]]:
    yield from booted(layout, "demo")


@pytest.fixture
def theirs(layout: Layout) -> Iterator[tuple[Workshop, str]]:
    yield from booted(layout, "stranger")


def make_two_images(
    terminal: Terminal, cloud: str, made: tuple[Workshop, str], *options: str
) -> None:
    """Let two days pass: the second day's image takes the place of the first one's."""
    resources, server_id = made
    day = terminal.make_images(cloud, made, 2, *options)
    (image,) = resources.images_of(server_id)
    assert image[SLOT_KEY] == day
    assert PENDING_KEY not in image
    assert image["owner"] == resources.api.project_id
    assert image["visibility"] == "private"


def test_an_application_credential(
    tenant: Terminal, mine: tuple[Workshop, str]
) -> None:
    heading = "For one project"
    (create,) = commands(PERMISSIONS.block(heading))
    made = table(tenant.run(create))
    tenant.configure(
        PERMISSIONS.block(heading, 1), tenant.env, made["ID"], made["Secret"]
    )
    (plan,) = commands(PERMISSIONS.block(heading, 2))
    assert mine[1] in tenant.run(plan)
    make_two_images(tenant, NAME, mine)


def test_access_rules(tenant: Terminal, mine: tuple[Workshop, str]) -> None:
    heading = "Minimal access rules"
    rules = PERMISSIONS.block(heading)
    (tenant.folder / "access-rules.json").write_text(rules)
    (create,) = commands(PERMISSIONS.block(heading, 1))
    made = table(tenant.run(create))
    example = PERMISSIONS.block("For one project", 1)
    tenant.configure(example, tenant.env, made["ID"], made["Secret"])
    make_two_images(tenant, NAME, mine)
    # They are enforced here: what no rule names is refused.
    refused = tenant.try_to(f"OS_CLOUD={NAME} openstack keypair list")
    assert refused.returncode == 1
    assert "401" in refused.stderr


def test_access_rules_for_schedules(
    tenant: Terminal, mine: tuple[Workshop, str]
) -> None:
    rules = json.loads(PERMISSIONS.block("Minimal access rules"))
    for path in SCHEDULING:
        assert f"``{path}``" in PERMISSIONS.text
        rules += [
            {"service": "compute", "method": method, "path": path}
            for method in ("GET", "POST", "PUT", "DELETE")
        ]
    (tenant.folder / "access-rules.json").write_text(json.dumps(rules))
    (create,) = commands(PERMISSIONS.block("Minimal access rules", 1))
    made = table(tenant.run(create))
    with openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="v3applicationcredential",
        auth_url=tenant.env["OS_AUTH_URL"],
        application_credential_id=made["ID"],
        application_credential_secret=made["Secret"],
    ) as connection:
        schedules = reached(connection).schedules
        weekly = ImageSchedule(4, "SATURDAY")
        assert schedules.enable(mine[1], weekly) == weekly
        assert schedules.get(mine[1]) == weekly
        schedules.disable(mine[1])
    server = mine[0].server(mine[1])
    assert server is not None
    # So that no policy gives it another one.
    assert server["tags"] == [OFF_TAG]


def test_all_projects(
    operator: Terminal, mine: tuple[Workshop, str], theirs: tuple[Workshop, str]
) -> None:
    heading, cloud = "For all projects", "all-projects"
    create, administer, inherit = commands(PERMISSIONS.block(heading))
    operator.answer(create, "a-password-of-its-own")
    example = PERMISSIONS.block(heading, 1)
    operator.configure(example, operator.env, "a-password-of-its-own")
    operator.run(administer)
    at = operator.plan(cloud, theirs[1], "--all-projects")["next_due"]
    logged = operator.tick(cloud, at, "--all-projects")
    assert logged.startswith("1 ")
    assert f"has no access to project {theirs[0].api.project_id}: " in logged
    assert not theirs[0].images_of(theirs[1])

    operator.run(inherit)
    (plan,) = commands(PERMISSIONS.block(heading, 2))
    printed = operator.run(plan)
    assert all(server_id in printed for _, server_id in (mine, theirs))
    # The same days are rehearsed with each server alone.
    tag(theirs)
    make_two_images(operator, cloud, mine, "--all-projects")
    tag(mine)
    tag(theirs, MARKER_TAG, schedule_tag(ImageSchedule(1)))
    make_two_images(operator, cloud, theirs, "--all-projects")
