"""A real hypervisor: libvirt and QEMU, which emulates the processor.

Unlike the rest it takes packages that are installed on the machine, as libvirt knows
its drivers and its configuration by their places there. No service of theirs is
started: libvirtd runs as a process of the cloud, with a socket of its own.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from .install import run
from .layout import Layout

# libvirt-python is built from source.
_BUILDING = ("libvirt-dev", "pkg-config", "gcc")
# For servers with a config drive.
_CONFIG_DRIVE = ("genisoimage",)
_GUEST = "syslinux syslinux-common mtools dosfstools fdisk cpio e2fsprogs".split()
PACKAGES = (
    "libvirt-daemon-system",
    "libvirt-daemon-driver-qemu",
    "libvirt-clients",
    "qemu-system-x86",
    "qemu-utils",
    "xfsprogs",
    *_CONFIG_DRIVE,
    *_BUILDING,
    *_GUEST,
)
DAEMON = "/usr/sbin/libvirtd"
# libvirtd of root reads this file and no other.
_QEMU_CONFIG = Path("/etc/libvirt/qemu.conf")
_QEMU_OPTIONS = {
    # By default consoles go through virtlogd, which does not run here; every guest
    # would fail with "Failed to connect socket to '/run/libvirt/virtlogd-sock'".
    "stdio_handler": "file",
    # Where only root may use /dev/kvm, as in a container, libvirt finds that QEMU can
    # use it and the guests' user cannot, and asks QEMU again for all that it can do:
    # four seconds at each step of each guest.
    "user": "root",
    "group": "root",
}


def missing_for_hypervisor() -> list[str]:
    """What this machine lacks for a hypervisor, a line each."""
    lacks = []
    if os.uname().machine != "x86_64":
        lacks.append("the guest is made of Debian's packages for x86_64")
    if os.geteuid() != 0:
        lacks.append("only root can start guests with libvirt")
    elif shutil.which("apt-get") is None:
        lacks.append(
            "libvirt and QEMU are taken from Debian's packages, and there is no apt-get"
            " here"
        )
    return lacks


def install_hypervisor(layout: Layout) -> None:
    """Install Debian's packages on this machine; does nothing if all are there."""
    if not all(map(_is_installed, PACKAGES)):
        run(layout, "apt", "apt-get", "update")
        run(
            layout,
            "apt",
            *("apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y"),
            "--no-install-recommends",
            *PACKAGES,
            environ={"DEBIAN_FRONTEND": "noninteractive"},
        )
    text = _QEMU_CONFIG.read_text()
    for name, value in _QEMU_OPTIONS.items():
        if f"\n{name} =" not in text:
            text += f'\n{name} = "{value}"\n'
    _QEMU_CONFIG.write_text(text)


def _is_installed(package: str) -> bool:
    query = ["dpkg-query", "--show", "--showformat", "${db:Status-Status}", package]
    done = subprocess.run(query, capture_output=True, text=True)
    return done.stdout == "installed"


def answers_virsh(layout: Layout) -> bool:
    """Whether libvirtd is ready."""
    return _virsh(layout, "version").returncode == 0


def copies_disk(layout: Layout, server_id: str) -> bool:
    """Whether the disk of a guest is being copied for a snapshot."""
    job = _virsh(layout, "blockjob", server_id, "vda", "--info", "--raw").stdout
    return "type=" in job


def end_guests(layout: Layout) -> None:
    """End all guests: they outlive libvirtd."""
    for guest in _virsh(layout, "list", "--name", "--all").stdout.split():
        _virsh(layout, "destroy", guest)
        _virsh(layout, "undefine", guest)


# The file is as large as what is written.
_DISKS = "64G"


def mount_disks(layout: Layout) -> None:
    """Have a file system for volumes; it is in a file of its own."""
    if layout.disks.is_mount():
        return
    file = layout.var / "disks.xfs"
    if not file.exists():
        run(layout, "disks", "truncate", "--size", _DISKS, str(file))
        run(layout, "disks", "mkfs.xfs", "-q", "-m", "reflink=1", str(file))
    run(layout, "disks", "mount", "--options", "loop", str(file), str(layout.disks))


def unmount_disks(layout: Layout) -> None:
    """Take it away again; nobody uses a volume any more."""
    if not layout.disks.is_mount():
        return
    for file in layout.disks.iterdir():
        find = ("losetup", "-nO", "NAME", "-j", str(file))
        for device in run(layout, "disks", *find).split():
            run(layout, "disks", "losetup", "--detach", device)
    run(layout, "disks", "umount", str(layout.disks))


def _virsh(layout: Layout, *command: str) -> subprocess.CompletedProcess[str]:
    connection = ("virsh", "--quiet", "--connect", layout.libvirt_uri)
    return subprocess.run([*connection, *command], capture_output=True, text=True)
