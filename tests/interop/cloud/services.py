"""Making the databases, and starting and stopping the services in their order."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
import sqlite3
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

from . import seed
from .api import Administrator, answers
from .configure import configure, database
from .guest import make_guest
from .hypervisor import (
    DAEMON,
    answers_virsh,
    end_guests,
    install_hypervisor,
    missing_for_hypervisor,
    mount_disks,
    unmount_disks,
)
from .install import install, missing, rabbitmq_server, run
from .layout import (
    CINDER,
    EPMD,
    FAKE_HOST,
    FILES,
    GLANCE,
    HOST,
    HYPERVISOR_REQUIREMENTS,
    KEYSTONE,
    NEUTRON,
    NOVA,
    PLACEMENT,
    RABBIT,
    RABBIT_DISTRIBUTION,
    REAL_HOST,
    REGION,
    Layout,
    url,
)
from .processes import Process, listens, stop, wait_until

FAKE_COMPUTE, REAL_COMPUTE = "nova-compute", "nova-compute-qemu"
LIBVIRT = "libvirtd"
# In the order in which they are stopped: nobody is left calling someone who is gone.
GROUPS = (
    ("nova-api", FAKE_COMPUTE, REAL_COMPUTE, "nova-scheduler", "nova-conductor"),
    (LIBVIRT,),
    ("cinder-api", "cinder-volume", "cinder-scheduler"),
    ("placement", "glance", "neutron", "keystone"),
    ("rabbitmq",),
    ("epmd",),
)
PORTS = {
    "keystone": KEYSTONE,
    "glance": GLANCE,
    "placement": PLACEMENT,
    "cinder-api": CINDER,
    "nova-api": NOVA,
    "neutron": NEUTRON,
    "rabbitmq": RABBIT,
    "epmd": EPMD,
}


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")  # in one piece: several threads have something to say


class Services:
    """The cloud's processes.

    :param hypervisor: whether to have a real hypervisor in place of the fake one.
    """

    def __init__(self, layout: Layout, *, hypervisor: bool = False) -> None:
        self.layout = layout
        # What runs already stays.
        self.hypervisor = hypervisor or self.process(LIBVIRT).was_started()

    def process(self, name: str) -> Process:
        return Process(self.layout, name)

    def missing(self) -> list[str]:
        """What this machine lacks, a line each."""
        more = missing_for_hypervisor() if self.hypervisor else []
        return missing() + more + self._taken_ports()

    def _taken_ports(self) -> list[str]:
        """What listens where a service of ours, not running, would: a line each."""
        ours = {PORTS[name] for name in PORTS if self.process(name).pid() is not None}
        return [
            f"port {port} of {HOST}, which {name} needs, is taken by another program"
            for name, port in PORTS.items()
            if name in self._names() and port not in ours and listens(port)
        ]

    def _names(self) -> list[str]:
        """The services that are wanted."""
        unwanted = {FAKE_COMPUTE} if self.hypervisor else {REAL_COMPUTE, LIBVIRT}
        return [name for group in GROUPS for name in group if name not in unwanted]

    def install(self) -> None:
        """Install what is not there yet."""
        if self.hypervisor:
            install_hypervisor(self.layout)
        further = [HYPERVISOR_REQUIREMENTS] if self.hypervisor else []
        install(self.layout, *further)
        if self.hypervisor:
            make_guest(self.layout)

    def up(self) -> None:
        """Install, configure and start what is not there yet; wait until it works."""
        began = datetime.now(timezone.utc)
        self.install()
        configure(self.layout, hypervisor=self.hypervisor)
        self._start_messaging()
        with ThreadPoolExecutor() as pool:
            steps = (
                self._up_keystone,
                self._up_glance,
                self._up_placement,
                self._up_neutron,
                self._prepare_cinder,
                self._prepare_nova,
            )
            for step in [pool.submit(step) for step in steps]:
                step.result()
        admin = Administrator(self.layout.environ("admin"))
        self._up_cinder(admin, began)
        self._up_nova(admin, began)

    def down(self) -> None:
        for group in GROUPS:
            if LIBVIRT in group and self.process(LIBVIRT).was_started():
                self._start_libvirt()
                end_guests(self.layout)
            stop([self.process(name) for name in group])
        unmount_disks(self.layout)

    def reset(self) -> None:
        """Stop, and forget everything but the installed software."""
        self.down()
        shutil.rmtree(self.layout.var, ignore_errors=True)
        shutil.rmtree(self.layout.logs, ignore_errors=True)

    def running(self) -> dict[str, int | None]:
        """The pid of every service that is wanted; None for those that do not run."""
        return {name: self.process(name).pid() for name in self._names()}

    def _up_keystone(self) -> None:
        self._once("keystone", self._make_keystone)
        self._start_web("keystone", "keystone.wsgi.api:application")
        self._wait_for_answer("keystone", "/v3")
        seed.seed_identity(self.layout, Administrator(self.layout.environ("admin")))

    def _up_glance(self) -> None:
        self._once("glance", lambda: self._manage("glance", "db_sync"))
        self._start_web("glance", "glance.wsgi.api:application")
        self._wait_for_answer("glance", "/")

    def _up_placement(self) -> None:
        self._once("placement", lambda: self._manage("placement", "db", "sync"))
        self._start_web("placement", "placement.wsgi.api:application")
        self._wait_for_answer("placement", "/")

    def _up_neutron(self) -> None:
        self._once("neutron", self._make_neutron)
        self._start_web(
            "neutron",
            "neutron.wsgi.api:application",
            OS_NEUTRON_CONFIG_FILES="neutron.conf",
        )
        self._wait_for_answer("neutron", "/")

    def _prepare_cinder(self) -> None:
        self._once("cinder", lambda: self._manage("cinder", "db", "sync"))

    def _up_cinder(self, admin: Administrator, began: datetime) -> None:
        config = str(self.layout.etc / "cinder/cinder.conf")
        self._start_web(
            "cinder-api",
            "cinder.wsgi.api:application",
            CLOUD_ARGUMENTS=f"--config-file {config}",
        )
        if self.hypervisor:
            mount_disks(self.layout)
            if self.process(FAKE_COMPUTE).pid() is not None:
                # Its volumes have no data.
                stop([self.process("cinder-volume")])
        names = ("cinder-scheduler", "cinder-volume")
        for name in names:
            command = [self.layout.bin(name), "--config-file", config]
            self._start(name, command, {"CLOUD_DISKS": str(self.layout.disks)})
        self._wait_for_answer("cinder-api", "/v3/")
        wait_until(
            "Cinder's services",
            lambda: seed.all_heard_of(admin, "block-storage", names, began),
            90,
            [self.process(name) for name in names],
        )

    def _prepare_nova(self) -> None:
        self._once("nova", self._make_nova)
        self._wait_for_port("rabbitmq")

    def _up_nova(self, admin: Administrator, began: datetime) -> None:
        log = self.layout.log("nova-conductor")
        seen = log.stat().st_size if log.exists() else 0
        conductor_starts = self._start_nova("conductor")
        self._start_nova("scheduler")
        self._start_web(
            "nova-api",
            "nova.wsgi.osapi_compute:application",
            OS_NOVA_CONFIG_FILES=f"{self.layout.venv}/etc/nova/api-paste.ini;nova.conf",
        )
        if conductor_starts:
            # The compute service asks for the conductor once, at its start.
            self._wait_for_words("nova-conductor", "Starting conductor node", seen)
        host = self._start_compute(admin)
        self._wait_for_answer("nova-api", "/v2.1/")
        names = ("nova-conductor", "nova-scheduler")
        wait_until(
            "Nova's services",
            lambda: (
                seed.all_heard_of(admin, "compute", names, began)
                and seed.all_heard_of(admin, "compute", ["nova-compute"], began, host)
            ),
            90,
            [self.process(name) for name in self._names() if name.startswith("nova-")],
        )
        self._map_host(admin, host)
        seed.allow_servers(admin, host)
        seed.seed_resources(admin)
        if self.hypervisor:
            seed.seed_guest(admin, self.layout.guest)

    def _start_compute(self, admin: Administrator) -> str:
        """Start one of the compute services in place of the other; its host."""
        if not self.hypervisor:
            self._start_nova("compute")
            return FAKE_HOST
        fake = self.process(FAKE_COMPUTE)
        if fake.pid() is not None:
            # For a while it counts as up when it is stopped.
            seed.allow_servers(admin, FAKE_HOST, allowed=False)
            stop([fake])
        self._start_libvirt()
        self._start_nova("compute-qemu")
        return REAL_HOST

    def _map_host(self, admin: Administrator, host: str) -> None:
        """Let servers be put on a host; its record comes a moment after the service."""

        def is_mapped() -> bool:
            if seed.host_is_mapped(admin, host):
                return True
            self._manage("nova", "cell_v2", "discover_hosts")
            return False

        wait_until(f"host {host}", is_mapped, 60)

    def _start_libvirt(self) -> None:
        libvirt = self.layout.libvirt
        files = ("--config", str(libvirt / "libvirtd.conf"))
        pid_file = ("--pid-file", str(libvirt / "pid"))
        self._start(LIBVIRT, [DAEMON, *files, *pid_file])
        process = self.process(LIBVIRT)
        wait_until("libvirtd", lambda: answers_virsh(self.layout), 30, [process])

    def _start(
        self, name: str, command: list[str], environ: Mapping[str, str] = {}
    ) -> bool:
        process = self.process(name)
        if process.pid() is not None:
            return False
        say(f"starting {name}" + (f" on {HOST}:{PORTS[name]}" if name in PORTS else ""))
        process.start(command, environ)
        return True

    def _start_web(self, name: str, application: str, **environ: str) -> None:
        config = self.layout.etc / name.removesuffix("-api")
        variable = f"OS_{name.removesuffix('-api').upper()}_CONFIG_DIR"
        self._start(
            name,
            [self.layout.bin("gunicorn")],
            {
                "CLOUD_APPLICATION": application,
                "CLOUD_PORT": str(PORTS[name]),
                "CLOUD_REQUESTS": str(self.layout.requests(name)),
                # Two claims at once make Placement wait for its own lock on SQLite.
                "CLOUD_THREADS": "1" if name == "placement" else "8",
                "GUNICORN_CMD_ARGS": f"--config {FILES / 'gunicorn.py'}",
                variable: str(config),
                **environ,
            },
        )

    def _start_nova(self, name: str) -> bool:
        folder = f"nova-{name}" if name.startswith("compute") else "nova"
        config = self.layout.etc / folder / "nova.conf"
        program = self.layout.bin(f"nova-{name.removesuffix('-qemu')}")
        command = [program, "--config-file", str(config)]
        return self._start(
            f"nova-{name}", command, {"CLOUD_KNOBS": str(self.layout.knobs)}
        )

    def _start_messaging(self) -> None:
        layout, etc = self.layout, self.layout.etc / "rabbitmq"
        home = layout.var / "rabbitmq"
        home.mkdir(exist_ok=True)
        environ = {
            "PATH": f"{layout.debian / 'usr/bin'}:{os.environ['PATH']}",
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(EPMD),
            "RABBITMQ_NODENAME": "loopback@localhost",
            "RABBITMQ_DIST_PORT": str(RABBIT_DISTRIBUTION),
            "RABBITMQ_MNESIA_BASE": str(home),
            "RABBITMQ_LOG_BASE": str(layout.logs),
            "RABBITMQ_CONFIG_FILE": str(etc / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(etc / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(etc / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
        }
        epmd = next(layout.debian.glob("usr/lib/erlang/erts-*/bin/epmd"))
        self._start("epmd", [str(epmd), "-address", HOST, "-port", str(EPMD)])
        self._wait_for_port("epmd")
        self._start("rabbitmq", [str(rabbitmq_server(layout))], environ)

    def _wait_for_port(self, name: str) -> None:
        port = PORTS[name]
        wait_until(
            f"{name} on port {port}", lambda: listens(port), 90, [self.process(name)]
        )

    def _wait_for_answer(self, name: str, path: str) -> None:
        address = url(PORTS[name], path)
        wait_until(
            f"an answer of {address}",
            lambda: answers(address),
            90,
            [self.process(name)],
        )

    def _wait_for_words(self, name: str, words: str, offset: int) -> None:
        def said() -> bool:
            return words.encode() in self.layout.log(name).read_bytes()[offset:]

        wait_until(f"{name} to start", said, 60, [self.process(name)])

    def _once(self, service: str, make: Callable[[], object]) -> None:
        """Make a service's databases, unless they were made to the end before."""
        done = self.layout.databases / f"{service}.done"
        if done.exists():
            return
        say(f"making the database of {service}")
        for path in self.layout.databases.glob(f"{service}*.sqlite*"):
            path.unlink()
        make()
        for path in self.layout.databases.glob(f"{service}*.sqlite"):
            _let_readers_read(path)
        done.touch()

    def _make_keystone(self) -> None:
        keys = ("--keystone-user", _user(), "--keystone-group", _group())
        self._manage("keystone", "fernet_setup", *keys)
        self._manage("keystone", "credential_setup", *keys)
        self._manage("keystone", "db_sync")
        addresses = (
            word
            for interface in ("public", "internal", "admin")
            for word in (f"--bootstrap-{interface}-url", url(KEYSTONE, "/v3"))
        )
        region = ("--bootstrap-region-id", REGION)
        secret = {"OS_BOOTSTRAP_PASSWORD": self.layout.password()}
        self._manage("keystone", "bootstrap", *region, *addresses, environ=secret)

    def _make_neutron(self) -> None:
        make = (self.layout.bin("python"), str(FILES / "neutron_tables.py"))
        run(self.layout, "neutron-tables", *make, database(self.layout, "neutron"))

    def _make_nova(self) -> None:
        cell0 = database(self.layout, "nova_cell0")
        self._manage("nova", "api_db", "sync")
        self._manage("nova", "cell_v2", "map_cell0", "--database_connection", cell0)
        self._manage("nova", "db", "sync")
        self._manage("nova", "cell_v2", "create_cell", "--name", "cell1")

    def _manage(
        self, service: str, *arguments: str, environ: Mapping[str, str] = {}
    ) -> None:
        """Run a service's own administration command."""
        config = ("--config-dir", str(self.layout.etc / service))
        command = (self.layout.bin(f"{service}-manage"), *config, *arguments)
        run(self.layout, f"{service}-manage", *command, environ=environ)


def _let_readers_read(path: Path) -> None:
    """Let a database be read while it is written."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")


def _user() -> str:
    return pwd.getpwuid(os.geteuid()).pw_name


def _group() -> str:
    return grp.getgrgid(os.getegid()).gr_name
