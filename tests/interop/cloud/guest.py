"""The image of a guest that counts on its disk, made of Debian's packages.

24 MB, and it boots by itself: a FAT partition with the boot loader, the kernel and an
initramfs, and an ext4 partition with busybox, the guest agent and the data. It takes
neither a loop device nor a mount. What the guest does is in ``files/guest``.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .install import download, fetch_lists, matching_packages, run, unpack
from .layout import FILES, Layout

_KERNEL = "linux-image-cloud-amd64"
_PACKAGES = ("busybox-static", "qemu-guest-agent", "libc6", "libglib2.0-0")
_AGENT_LIBRARIES = ("liburing2", "libudev1", "libnuma1", "libpcre2-8-0")
_LIBRARIES = (
    "ld-linux-x86-64.so.2 libc.so.6 libm.so.6 libudev.so.1 libnuma.so.1 liburing.so.2"
    " libglib-2.0.so.0 libgmodule-2.0.so.0 libpcre2-8.so.0"
).split()
# The order in which files/guest/init loads them.
_MODULES = (
    "virtio/virtio virtio/virtio_ring virtio/virtio_pci virtio/virtio_pci_modern_dev"
    " virtio/virtio_pci_legacy_dev block/virtio_blk char/virtio_console"
).split()
# In MiB: one for the partition table, then the two partitions.
_START, _BOOT, _ROOT = 1, 32, 639


def make_guest(layout: Layout) -> None:
    """Make the image; does nothing if it is there already."""
    if layout.guest.exists():
        return
    work = layout.state / "guest.new"
    shutil.rmtree(work, ignore_errors=True)
    software = work / "debian"
    fetch_lists(layout, work)
    (kernel,) = matching_packages(layout, work, "linux-image-", _KERNEL)
    download(layout, work, kernel, *_PACKAGES, *_AGENT_LIBRARIES)
    unpack(layout, work, software)
    _make_boot_partition(layout, work, software)
    _make_root_partition(layout, work, software)
    _make_disk(layout, work)
    (work / "guest.qcow2").rename(layout.guest)
    shutil.rmtree(work)


def _make_boot_partition(layout: Layout, work: Path, software: Path) -> None:
    (kernel,) = software.glob("boot/vmlinuz-*")
    partition, initrd = work / "boot.img", work / "initrd.gz"
    _make_initrd(layout, work / "initrd", software, initrd)
    _sparse(partition, _BOOT)
    _do(layout, "mkfs.vfat", "-F", "16", "-n", "BOOT", str(partition))
    _do(layout, "mcopy", "-i", str(partition), str(kernel), "::vmlinuz")
    loader = FILES / "guest" / "syslinux.cfg"
    _do(layout, "mcopy", "-i", str(partition), str(initrd), str(loader), "::")
    _do(layout, "syslinux", "--install", str(partition))


def _make_initrd(layout: Layout, root: Path, software: Path, initrd: Path) -> None:
    for folder in ("bin", "dev", "proc", "root", "modules"):
        (root / folder).mkdir(parents=True)
    shutil.copy(software / "bin/busybox", root / "bin")
    (drivers,) = software.glob("lib/modules/*/kernel/drivers")
    for module in _MODULES:
        shutil.copy(drivers / f"{module}.ko", root / "modules")
    shutil.copy(FILES / "guest" / "init", root)
    (root / "init").chmod(0o755)
    pack = 'cd "$0" && find . | cpio -o -H newc --quiet | gzip -9 >"$1"'
    _do(layout, "sh", "-c", pack, str(root), str(initrd))


def _make_root_partition(layout: Layout, work: Path, software: Path) -> None:
    root, partition = work / "root", work / "root.img"
    libraries = root / "lib/x86_64-linux-gnu"
    for folder in ("bin", "sbin", "lib64", "usr/sbin", "proc", "sys", "dev", "run"):
        (root / folder).mkdir(parents=True)
    for folder in ("tmp", "data", "etc", "var"):
        (root / folder).mkdir()
    libraries.mkdir(parents=True)
    (root / "var/run").symlink_to("../run")
    shutil.copy(software / "bin/busybox", root / "bin")
    shutil.copy(software / "usr/sbin/qemu-ga", root / "usr/sbin")
    for name in _LIBRARIES:
        shutil.copy(next(software.rglob(name)), libraries / name)
    loader = "../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"
    (root / "lib64/ld-linux-x86-64.so.2").symlink_to(loader)
    shutil.copy(FILES / "guest" / "guest", root / "sbin")
    (root / "sbin/guest").chmod(0o755)
    _sparse(partition, _ROOT)
    options = ("-q", "-t", "ext4", "-L", "root", "-d", str(root))
    _do(layout, "mke2fs", *options, str(partition))


def _make_disk(layout: Layout, work: Path) -> None:
    disk = work / "guest.img"
    _sparse(disk, _START + _BOOT + _ROOT)
    table = (
        "label: dos\n"
        f"start={_START}MiB,size={_BOOT}MiB,type=e,bootable\n"
        f"start={_START + _BOOT}MiB,size={_ROOT}MiB,type=83\n"
    )
    _do(layout, "sh", "-c", 'echo "$0" | sfdisk -q "$1"', table, str(disk))
    parts = {
        "/usr/lib/syslinux/mbr/mbr.bin": 0,
        "boot.img": _START,
        "root.img": _START + _BOOT,
    }
    for source, seek in parts.items():
        where = (f"if={work / source}", f"of={disk}", f"seek={seek}")
        _do(layout, "dd", *where, "bs=1M", "conv=notrunc,sparse")
    image = work / "guest.qcow2"
    _do(layout, "qemu-img", "convert", "-O", "qcow2", str(disk), str(image))


def _sparse(path: Path, size: int) -> None:
    """Make an empty file of some MiB."""
    with path.open("wb") as file:
        file.truncate(size * 1024 * 1024)


def _do(layout: Layout, *command: str) -> None:
    # Programs of the administrator are not on everybody's path.
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    run(layout, "guest", *command, environ={"PATH": path})
