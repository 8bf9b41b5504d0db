"""A RabbitMQ of the tests' own, on loopback, from Debian's packages."""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from kombu import Connection

from ..interop.cloud.install import install_rabbitmq, missing, rabbitmq_server
from ..interop.cloud.layout import DEFAULT_STATE, HOST, CloudError, Layout
from ..interop.cloud.processes import listens

VHOST, USER, PASSWORD = "scheduled-images", "scheduled-images", "secret"
# Seconds that RabbitMQ may take to start on a busy machine.
_START = 120
SOFTWARE = Path(os.environ.get("RABBITMQ_SOFTWARE", DEFAULT_STATE))


def why_not() -> str | None:
    """Say why RabbitMQ cannot be unpacked on this machine, None if it can."""
    lacks = [line for line in missing() if "RabbitMQ" in line or "/proc" in line]
    return "; ".join(lacks) or None


def installed() -> Layout:
    """Return where RabbitMQ is, after it was unpacked there if need be.

    :raises CloudError: if it cannot be had.
    """
    layout = Layout(SOFTWARE)
    layout.logs.mkdir(parents=True, exist_ok=True)
    # Other tests may want it at the same moment.
    with (layout.state / "rabbitmq.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install_rabbitmq(layout)
    return layout


def free_ports(number: int) -> list[int]:
    """Return so many ports that nobody listens on.

    They are below those that a system gives to clients: one of these could be gone
    before RabbitMQ has started.
    """
    found: set[int] = set()
    while len(found) < number:
        port = random.SystemRandom().randrange(15000, 32000)
        with suppress(OSError), socket.create_server((HOST, port)):
            found.add(port)
    return list(found)


@dataclass
class Broker:
    """A broker with a virtual host and a user of its own; a context that ends it."""

    folder: Path
    layout: Layout
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port, self._distribution, self._epmd = free_ports(3)
        self.folder.mkdir(parents=True, exist_ok=True)
        self._configure()

    @property
    def url(self) -> str:
        """Its address, as Celery takes it."""
        return f"amqp://{USER}:{PASSWORD}@{HOST}:{self.port}/{VHOST}"

    def __enter__(self) -> Broker:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        if self._processes.get("epmd") is None:
            epmd = next(self.layout.debian.glob("usr/lib/erlang/erts-*/bin/epmd"))
            argv = [str(epmd), "-address", HOST, "-port", str(self._epmd)]
            self._start("epmd", argv)
        self._start("rabbitmq", [str(rabbitmq_server(self.layout))])
        self.wait()

    def wait(self) -> None:
        """Wait until it takes connections."""
        deadline = time.monotonic() + _START
        while not self.answers():
            status = self._processes["rabbitmq"].poll()
            if status is not None or time.monotonic() > deadline:
                log = (self.folder / "rabbitmq.log").read_text()[-2000:]
                raise CloudError(f"RabbitMQ does not work (status {status}): {log}")
            time.sleep(0.2)

    def answers(self) -> bool:
        """Whether its user can log in."""
        if not listens(self.port):
            return False
        try:
            with Connection(self.url, connect_timeout=5) as connection:
                connection.connect()
        except Exception:
            return False
        return True

    def kill(self) -> None:
        """Kill it, with no chance to write anything more."""
        self._end("rabbitmq")

    def stop(self) -> None:
        """End it, and what tells nodes of each other."""
        self.kill()
        self._end("epmd")

    def _configure(self) -> None:
        definitions = {
            "vhosts": [{"name": VHOST}],
            "users": [{"name": USER, "password": PASSWORD, "tags": ""}],
            "permissions": [
                {
                    "user": USER,
                    "vhost": VHOST,
                    **dict.fromkeys(("configure", "write", "read"), ".*"),
                }
            ],
        }
        (self.folder / "definitions.json").write_text(json.dumps(definitions))
        (self.folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = {HOST}:{self.port}\n"
            f"load_definitions = {self.folder / 'definitions.json'}\n"
        )
        loopback = HOST.replace(".", ",")
        (self.folder / "advanced.config").write_text(
            f"[{{kernel, [{{inet_dist_use_interface, {{{loopback}}}}}]}}].\n"
        )
        (self.folder / "enabled_plugins").write_text("[].\n")

    def _start(self, name: str, argv: list[str]) -> None:
        environ = {
            "HOME": str(self.folder),
            "PATH": f"{self.layout.debian / 'usr/bin'}:{os.environ['PATH']}",
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": str(self._epmd),
            "RABBITMQ_NODENAME": "loopback@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "enabled_plugins"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_SERVER_START_ARGS": "-noinput",
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                argv,
                env={**os.environ, **environ},
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _end(self, name: str) -> None:
        process = self._processes.pop(name, None)
        if process is not None:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
