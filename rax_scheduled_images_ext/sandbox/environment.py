"""The environment in which clients find the sandbox."""

from __future__ import annotations

import os
from collections.abc import Mapping

# What would make a client ask another cloud than the sandbox.
_OTHER_CLOUDS = ("OS_", "NOVA_", "NOVACLIENT_")
_NO_PROXY = "127.0.0.1,localhost"


def client_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with ``variables`` as its only cloud."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OTHER_CLOUDS)}
    return {**kept, "NO_PROXY": _NO_PROXY, "no_proxy": _NO_PROXY, **variables}
