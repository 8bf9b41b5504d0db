"""The clients and the service's program, started without loading them anew each time.

A process loads the programs and forks for each command. Scripts named like the programs
hand it their arguments, environment, folder and standard streams, and end as the
command ends.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

PROGRAMS = ("nova", "openstack", "scheduled-images-sandbox", "scheduled-images-service")
# What the programs load only when a command wants it, and every replay does.
LOADED_LATE = (
    "novaclient.v2.shell",
    "openstack.compute.v2._proxy",
    "openstack.connection",
    "openstack.image.v2._proxy",
    "openstackclient.compute.client",
    "openstackclient.compute.v2.server",
    "openstackclient.image.client",
    "openstackclient.image.v2.image",
    "rax_scheduled_images_ext.cli.nova.commands",
    "rax_scheduled_images_ext.engine.runner",
    "rax_scheduled_images_ext.sandbox.fixture",
)
SCRIPT = """\
#!{python} -IS
import json, os, signal, socket, sys

with socket.socket(socket.AF_UNIX) as server:
    server.connect({address!r})
    socket.send_fds(server, [b"."], [0, 1, 2])
    with server.makefile("rw") as stream:
        command = sys.argv, dict(os.environ), os.getcwd()
        print(json.dumps(command), file=stream, flush=True)
        command_id = int(stream.readline())
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, lambda number, _: os.kill(command_id, number))
        status = int(stream.readline())
if status < 0:
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""


@functools.cache
def folder() -> str:
    """Return a folder for the PATH, with scripts that start the programs."""
    made = tempfile.TemporaryDirectory(prefix="programs-")
    path = Path(made.name)
    address = str(path / "socket")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        server = subprocess.Popen(
            [sys.executable, "-m", __name__, str(listening.fileno())],
            pass_fds=[listening.fileno()],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
        )
    atexit.register(made.cleanup)
    atexit.register(server.communicate)
    for name in PROGRAMS:
        script = path / name
        script.write_text(SCRIPT.format(python=sys.executable, address=address))
        script.chmod(0o700)
    return made.name


def serve(listening: socket.socket) -> Any:
    """Return the program to run, each time in another process; None at the end."""
    scripts = {each.name: each for each in entry_points(group="console_scripts")}
    mains = {name: scripts[name].load() for name in PROGRAMS if name in scripts}
    for module in LOADED_LATE:
        if find_spec(module.partition(".")[0]):
            importlib.import_module(module)
    # What all share is not to be copied for each.
    gc.freeze()
    while True:
        # The one who has started this ends it, in whatever way.
        ready, _, _ = select.select([listening, sys.stdin], [], [])
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            return None
        connection, _ = listening.accept()
        with connection:
            if not os.fork():
                listening.close()
                return mains[become_command(connection)]


def become_command(connection: socket.socket) -> str:
    """Fork; return the program's name in the child, and end with it in the parent."""
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    with connection.makefile("rw") as stream:
        argv, environment, path = json.loads(stream.readline())
        command = os.fork()
        if command:
            print(command, file=stream, flush=True)
            # Only the command itself holds its streams: it may close them.
            for each in streams:
                os.close(each)
            _, status = os.waitpid(command, 0)
            print(os.waitstatus_to_exitcode(status), file=stream, flush=True)
            os._exit(0)
    for number, each in enumerate(streams):
        os.dup2(each, number)
        os.close(each)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    os.chdir(path)
    sys.argv = argv
    return Path(argv[0]).name


if __name__ == "__main__":
    main = serve(socket.socket(fileno=int(sys.argv[1])))
    if main:
        # nova's own default is what the arguments were when it was loaded, or none.
        sys.exit(main(sys.argv[1:]) if main.__defaults__ else main())
