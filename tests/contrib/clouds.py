"""A cloud as ``clouds.yaml`` describes it."""

from __future__ import annotations

import json
from pathlib import Path

from rax_scheduled_images_ext.sandbox import Sandbox


def clouds_yaml(path: Path, cloud: Sandbox, name: str = "scheduled-images") -> None:
    """Write a file that names a cloud, as its administrator."""
    env = cloud.env()
    auth = {
        key: env[f"OS_{key.upper()}"]
        for key in (
            "auth_url",
            "username",
            "password",
            "project_name",
            "user_domain_name",
            "project_domain_name",
        )
    }
    # JSON is YAML.
    described = {"auth": auth, "region_name": env["OS_REGION_NAME"]}
    path.write_text(json.dumps({"clouds": {name: described}}))
