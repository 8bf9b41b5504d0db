"""Getting the software: Python packages into a virtual environment, RabbitMQ beside it.

Nothing is installed on the machine itself: Debian's packages are unpacked into the
state folder, so none of their services starts. Only where no Python 3.11 can make
virtual environments, and we are root, is its package installed the usual way.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from .layout import FILES, REQUIREMENTS, CloudError, Layout
from .processes import last_words

PYTHON = "3.11"
PYTHON_PACKAGE = "python3.11-venv"


def run(
    layout: Layout,
    log: str,
    *command: str,
    environ: Mapping[str, str] = {},
    folder: Path | None = None,
) -> str:
    """Run to the end and return the output; CloudError quotes the log if it fails."""
    path = layout.log(log)
    with path.open("a") as file:
        file.write(f"$ {' '.join(command)}\n")
        file.flush()
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, **environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )
        file.write(done.stdout)
    if done.returncode:
        raise CloudError(f"{log} failed: {last_words(path)} (more in {path})")
    return done.stdout


def install(layout: Layout, *further: Path) -> None:
    """Bring the software to what the pins say; does nothing if it is there already.

    :param further: files with the pins of what not every cloud takes.
    """
    install_rabbitmq(layout)
    _install_python_packages(layout)
    for pins in further:
        _install_pinned(layout, pins)
    _adapt(layout)


def missing() -> list[str]:
    """What this machine lacks, a line each."""
    lacks = []
    if not Path("/proc/self/stat").exists():
        lacks.append("processes are told apart by /proc, which only Linux has")
    apt = shutil.which("apt-get")
    if apt is None:
        lacks.append(
            "RabbitMQ is taken from Debian's packages, and there is no apt-get here"
        )
    if find_python() is None and (apt is None or os.geteuid() != 0):
        lacks.append(
            f"no Python {PYTHON} that can make virtual environments, not on PATH nor "
            f"in ~/.pyenv, and only root could install {PYTHON_PACKAGE} with apt-get"
        )
    return lacks


# Python


def find_python() -> str | None:
    """A Python 3.11 with venv and pip."""
    check = f"import sys, venv, ensurepip; sys.exit(sys.version[:5] != '{PYTHON}.')"
    for python in filter(os.path.exists, _pythons()):
        if subprocess.run([python, "-c", check], capture_output=True).returncode == 0:
            return python
    return None


def _pythons() -> Iterator[str]:
    # Outside a virtual environment: the cloud must not depend on the one this runs in.
    yield str(Path(sys.base_prefix) / "bin" / f"python{PYTHON}")
    yield from map(
        str, sorted(Path.home().glob(f".pyenv/versions/{PYTHON}.*/bin/python"))
    )
    found = shutil.which(f"python{PYTHON}")
    if found:
        yield found


def _find_or_install_python(layout: Layout) -> str:
    found = find_python()
    if found is None:
        run(layout, "apt", "apt-get", "update")
        run(layout, "apt", "apt-get", "install", "-y", PYTHON_PACKAGE)
        found = find_python()
    if found is None:
        raise CloudError(
            f"{PYTHON_PACKAGE} is installed, and still no Python {PYTHON} works"
        )
    return found


def _install_python_packages(layout: Layout) -> None:
    if _is_installed(layout, REQUIREMENTS):
        return
    python = _find_or_install_python(layout)
    run(layout, "pip", python, "-m", "venv", "--clear", str(layout.venv))
    _install_pinned(layout, REQUIREMENTS)


def _install_pinned(layout: Layout, pins: Path) -> None:
    if _is_installed(layout, pins):
        return
    pip = (layout.bin("python"), "-m", "pip")
    run(layout, "pip", *pip, "install", "--no-deps", "-r", str(pins))
    run(layout, "pip", *pip, "check")
    _stamp(layout, pins).write_text(pins.read_text())


def _is_installed(layout: Layout, pins: Path) -> bool:
    stamp = _stamp(layout, pins)
    return stamp.exists() and stamp.read_text() == pins.read_text()


def _stamp(layout: Layout, pins: Path) -> Path:
    return layout.venv / f"installed-{pins.name}"


def _adapt(layout: Layout) -> None:
    """Do what cannot be configured: SQLite for several writers, our drivers."""
    packages = layout.venv / "lib" / f"python{PYTHON}" / "site-packages"
    # A transaction that begins by reading and then writes fails at once with "database
    # is locked", whatever the timeout; one that begins as a writer waits for its turn.
    engines = packages / "oslo_db" / "sqlalchemy" / "engines.py"
    _replace(engines, 'text("BEGIN")', 'text("BEGIN IMMEDIATE")')
    # Nova looks for drivers in its own package only.
    shutil.copy(FILES / "hypervisor.py", packages / "nova" / "virt" / "loopback.py")
    # So does Cinder, by the documents of its drivers.
    drivers = packages / "cinder" / "volume" / "drivers"
    shutil.copy(FILES / "volumes.py", drivers / "loopback.py")
    shutil.copy(FILES / "disks.py", drivers / "disks.py")
    # Neutron finds its own by an entry point.
    drivers = packages / "neutron" / "plugins" / "ml2" / "drivers"
    shutil.copy(FILES / "ports.py", drivers / "loopback.py")
    (entry_points,) = packages.glob("neutron-*.dist-info/entry_points.txt")
    section = "[neutron.ml2.mechanism_drivers]\n"
    ours = "loopback = neutron.plugins.ml2.drivers.loopback:Driver\n"
    _replace(entry_points, section, section + ours)


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    if new in text:
        return
    if old not in text:
        raise CloudError(f"{path} has changed: {old!r} is not in it")
    path.write_text(text.replace(old, new))


# RabbitMQ


def rabbitmq_server(layout: Layout) -> Path | None:
    """RabbitMQ's start script in the state folder."""
    found = layout.debian.glob(
        "usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq-server"
    )
    return next(found, None)


def install_rabbitmq(layout: Layout) -> None:
    """Unpack RabbitMQ into the state folder; does nothing if it is there already."""
    if rabbitmq_server(layout):
        return
    fresh = layout.state / "debian.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fetch_lists(layout, fresh)
    # Of all that RabbitMQ needs, only Erlang is not on every machine.
    erlang_packages = matching_packages(layout, fresh, "erlang-", "rabbitmq-server")
    download(layout, fresh, "rabbitmq-server", *sorted(erlang_packages))
    unpack(layout, fresh, fresh)
    # Erlang's start script names the folder that Debian would have put it into.
    erlang = "/usr/lib/erlang"
    _replace(fresh / "usr/lib/erlang/bin/erl", erlang, f"{layout.debian}{erlang}")
    fresh.rename(layout.debian)


# Debian's packages, without installing them


def fetch_lists(layout: Layout, work: Path) -> None:
    """Fetch the lists of packages into an empty folder."""
    for folder in ("apt/lists/partial", "apt/cache/archives/partial", "packages"):
        (work / folder).mkdir(parents=True, exist_ok=True)
    run(layout, "apt", *_apt(work, "apt-get"), "update")


def matching_packages(
    layout: Layout, work: Path, prefix: str, package: str
) -> set[str]:
    """What a package needs, directly or not, and begins with ``prefix``.

    The lists must have been fetched.
    """
    recursive = (*_apt(work, "apt-cache"), "depends", "--recurse", "--important")
    needs = run(layout, "apt", *recursive, package)
    return {line for line in needs.splitlines() if line.startswith(prefix)} - {package}


def download(layout: Layout, work: Path, *packages: str) -> None:
    """Download packages; the lists must have been fetched."""
    command = (*_apt(work, "apt-get"), "download", *packages)
    run(layout, "apt", *command, folder=work / "packages")


def unpack(layout: Layout, work: Path, into: Path) -> None:
    """Unpack what was downloaded, and remove it."""
    for package in sorted((work / "packages").glob("*.deb")):
        run(layout, "apt", "dpkg", "--extract", str(package), str(into))
    for folder in ("apt", "packages"):
        shutil.rmtree(work / folder)


def _apt(work: Path, command: str) -> tuple[str, ...]:
    """An apt command with lists and cache of its own; the machine's stay untouched."""
    options = {
        "Dir::State::Lists": work / "apt/lists",
        "Dir::Cache": work / "apt/cache",
        "APT::Sandbox::User": "root",
    }
    given = [
        word for key, value in options.items() for word in ("-o", f"{key}={value}")
    ]
    return (command, *given)
