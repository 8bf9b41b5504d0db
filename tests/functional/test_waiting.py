"""A cloud that does not answer, as the programs meet it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..novashell import Nova
from ..openstackshell import OpenStack
from .fleet import MYSERVER
from .interceptor import Interceptor

ADDRESS = f"/servers/{MYSERVER}/rax-si-image-schedule"
LATE = f"The compute service did not answer GET {ADDRESS} for 5 s"


def test_nova_waits_as_long_as_its_option_says(
    cloud: Sandbox, nova: Nova, front: Interceptor
) -> None:
    front.answer("GET", "/rax-si-image-schedule$", None)
    shown = nova("--timeout", "5", "scheduled-images-show", MYSERVER)
    assert (shown.status, LATE in shown.err) == (1, True)


def test_openstack_waits_as_long_as_clouds_yaml_says(
    cloud: Sandbox, openstack: OpenStack, front: Interceptor, tmp_path: Path
) -> None:
    pytest.importorskip("openstackclient")
    front.answer("GET", "/rax-si-image-schedule$", None)
    file, env = tmp_path / "clouds.yaml", cloud.env()
    auth = {
        name.removeprefix("OS_").lower(): value
        for name, value in env.items()
        if name.startswith("OS_") and not name.endswith(("REGION_NAME", "VERSION"))
    }
    entry = {"auth": auth, "region_name": env["OS_REGION_NAME"], "api_timeout": 5}
    file.write_text(json.dumps({"clouds": {"slow": entry}}))
    gone = dict.fromkeys(env)
    given = {**gone, "OS_CLOUD": "slow", "OS_CLIENT_CONFIG_FILE": str(file)}
    shown = openstack("server", "image", "schedule", "show", MYSERVER, env=given)
    assert (shown.status, LATE in shown.err) == (1, True)
