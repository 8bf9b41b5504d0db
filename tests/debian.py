"""Programs of Debian's packages, unpacked into a folder and not installed."""

from __future__ import annotations

import fcntl
import shutil
from pathlib import Path

import pytest

from .interop.cloud.install import download, fetch_lists, unpack
from .interop.cloud.layout import DEFAULT_STATE, CloudError, Layout


def program_or_skip(package: str, path: str) -> Path:
    """Return what :func:`program` does; skip the test if it cannot be had."""
    try:
        return program(package, path)
    except CloudError as error:
        pytest.skip(f"{Path(path).name} cannot be had: {error}")


def program(package: str, path: str) -> Path:
    """Return a program of a package, after it was unpacked if need be.

    :param path: where the package has it.
    :raises CloudError: if it cannot be had.
    """
    found = shutil.which(Path(path).name)
    if found:
        return Path(found)
    if shutil.which("apt-get") is None:
        raise CloudError(f"there is neither {Path(path).name} nor apt-get")
    layout = Layout(DEFAULT_STATE / package)
    layout.logs.mkdir(parents=True, exist_ok=True)
    # Other tests may want it at the same moment.
    with (layout.state / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not layout.debian.exists():
            _unpack(layout, package)
    return layout.debian / path


def _unpack(layout: Layout, package: str) -> None:
    fresh = layout.state / "debian.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fetch_lists(layout, fresh)
    download(layout, fresh, package)
    unpack(layout, fresh, fresh)
    fresh.rename(layout.debian)
