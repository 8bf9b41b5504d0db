"""The environment with which clients reach the sandbox, and no other cloud.

The scripts installed beside this package are on its PATH, whether or not the virtual
environment is activated.
"""

from __future__ import annotations

import os
import shlex
import sysconfig
from collections.abc import Iterator, Mapping

#: The variables that :meth:`.fixture.Sandbox.env` returns.
ISSUED = frozenset(
    "OS_API_KEY OS_AUTH_URL OS_IDENTITY_API_VERSION OS_PASSWORD OS_PROJECT_DOMAIN_NAME"
    " OS_PROJECT_NAME OS_REGION_NAME OS_TENANT_NAME OS_USERNAME OS_USER_DOMAIN_NAME"
    " SANDBOX_URL".split()
)
# What would lead a client to another cloud.
_OTHER_CLOUDS = (
    *("OS_", "NOVA_", "NOVACLIENT_", "CINDER_", "CINDERCLIENT_", "GLANCE_"),
    "SANDBOX_",
)
# A proxy cannot reach this machine's loopback.
_NO_PROXY = {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}


def client_environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Return this process's environment with ``variables`` as its only cloud."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_OTHER_CLOUDS)}
    return {**kept, "PATH": _path(), **_NO_PROXY, **variables}


def _path() -> str:
    """Return PATH, with this interpreter's scripts first if they are missing."""
    scripts = sysconfig.get_path("scripts")
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(folders if scripts in folders else [scripts, *folders])


def shell_exports(variables: Mapping[str, str]) -> Iterator[str]:
    """Yield shell lines that make ``variables`` the only cloud.

    :raises ValueError: for a variable that no sandbox sets.
    """
    for name, value in variables.items():
        if name not in ISSUED or not isinstance(value, str):
            raise ValueError(f"{name!a} is not a variable of a sandbox")
    prefixes = "|".join(_OTHER_CLOUDS)
    names = f"env | sed -nE 's/^(({prefixes})[A-Za-z0-9_]*)=.*/\\1/p'"
    yield f"unset $({names})"
    exports = {**_NO_PROXY, **variables}
    for name in sorted(exports, key=str.lower):
        yield f"export {name}={shlex.quote(exports[name])}"
