"""Where everything of the cloud lives: folders, ports, users."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILES = HERE / "files"
REQUIREMENTS = HERE / "requirements.txt"
HYPERVISOR_REQUIREMENTS = HERE / "requirements-hypervisor.txt"
DEFAULT_STATE = HERE.parent / ".cloud"

HOST = "127.0.0.1"
REGION = "RegionOne"
KEYSTONE, GLANCE, PLACEMENT, NOVA, NEUTRON = 5000, 9292, 8778, 8774, 9696
CINDER = 8776
RABBIT, RABBIT_DISTRIBUTION, EPMD = 5672, 25672, 14369

# What the compute services with the fake and with the real hypervisor are called.
FAKE_HOST, REAL_HOST = "loopback", "qemu"

# Who can log in: project and role. The administrator is Keystone's bootstrap user.
USERS = {
    "admin": ("admin", "admin"),
    "demo": ("demo", "member"),
    "observer": ("demo", "reader"),
    "owner": ("demo", "admin"),
    "stranger": ("other", "member"),
}


class CloudError(Exception):
    """The cloud cannot do what was asked; the text is one line for a person."""


def url(port: int, path: str = "") -> str:
    return f"http://{HOST}:{port}{path}"


@dataclass(frozen=True)
class Layout:
    """The one folder that holds all state.

    ``venv``, ``debian`` and ``guest`` are software and outlive a reset; all that is the
    cloud's own is under ``var``.
    """

    state: Path

    @property
    def venv(self) -> Path:
        return self.state / "venv"

    @property
    def debian(self) -> Path:
        return self.state / "debian"

    @property
    def guest(self) -> Path:
        """The image of the guest that counts on its disk."""
        return self.state / "guest.qcow2"

    @property
    def var(self) -> Path:
        return self.state / "var"

    @property
    def etc(self) -> Path:
        return self.var / "etc"

    @property
    def databases(self) -> Path:
        return self.var / "db"

    @property
    def run(self) -> Path:
        return self.var / "run"

    @property
    def knobs(self) -> Path:
        return self.var / "knobs"

    @property
    def nova(self) -> Path:
        return self.var / "nova"

    @property
    def real_nova(self) -> Path:
        """The folder of the compute service with the real hypervisor."""
        return self.var / "nova-qemu"

    @property
    def libvirt(self) -> Path:
        return self.var / "libvirt"

    @property
    def libvirt_uri(self) -> str:
        return f"qemu:///system?socket={self.libvirt / 'libvirt-sock'}"

    @property
    def disks(self) -> Path:
        """The volumes of the servers on the real hypervisor; a file system."""
        return self.var / "disks"

    @property
    def logs(self) -> Path:
        return self.state / "log"

    def bin(self, name: str) -> str:
        return str(self.venv / "bin" / name)

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def requests(self, name: str) -> Path:
        """The file with a line for each request that a web service has answered."""
        return self.logs / f"{name}.requests"

    def make(self) -> None:
        for folder in (
            self.logs,
            self.etc,
            self.databases,
            self.run,
            self.knobs,
            self.nova,
            # Nova does not make it, and without it the host reports no resources.
            self.real_nova / "instances",
            self.libvirt,
            self.disks,
        ):
            folder.mkdir(parents=True, exist_ok=True)

    def password(self) -> str:
        """The one password of all users and services, made up when first needed."""
        path = self.var / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(16))
        return path.read_text()

    def environ(self, user: str) -> dict[str, str]:
        """The OS_* variables with which any client is ``user``."""
        project, _ = USERS[user]
        return {
            "OS_AUTH_URL": url(KEYSTONE, "/v3"),
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": user,
            "OS_PASSWORD": self.password(),
            "OS_PROJECT_NAME": project,
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
            "OS_REGION_NAME": REGION,
        }
