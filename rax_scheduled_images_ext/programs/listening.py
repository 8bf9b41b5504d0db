"""Opens the socket on which a program listens."""

from __future__ import annotations

import socket

from rax_scheduled_images_ext.errors import CannotListen

_BACKLOG = 128


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that accepts connections.

    :param port: 0 for any free one.
    :raises CannotListen: if it cannot listen on the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        # Python adds the address to the system's message.
        why = str(error.strerror or error).partition(" (while attempting")[0]
        raise CannotListen(host, port, why) from error


def address_of(host: str, port: int) -> str:
    """Return the URL of a host and port, without a path."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"
