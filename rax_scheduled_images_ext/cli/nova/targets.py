"""The servers that a command is about, and how it is done to all of them.

Imported by commands only once they run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from rax_scheduled_images_ext.cli.nova.commands import (
    LOG,
    error_line,
    failing_as_one,
    label,
    say,
    usage_error,
)
from rax_scheduled_images_ext.client.errors import NoServers
from rax_scheduled_images_ext.client.schedules.extension import ExtensionSchedules

if TYPE_CHECKING:
    import re

    from rax_scheduled_images_ext.client.cloud import Cloud
    from rax_scheduled_images_ext.operations.work_queue import Interrupted, Outcome

Result = TypeVar("Result")
#: What is done to a server: with the schedules of its cloud, and its ID.
Action = Callable[[ExtensionSchedules, str], Result]


@dataclass(frozen=True)
class Target:
    """A server as people call it; ``id`` is None where that is all that is known."""

    label: str
    id: str | None = None


def choose_targets(
    cloud: Cloud, command: str, args: Any, *, scheduled: bool = False
) -> list[Target]:
    """Return the servers that a command is about; end it if there are none.

    :param scheduled: of all servers only those with a schedule.
    """
    named: list[str] = args.server or []
    if (bool(named) + args.all + (args.name is not None)) != 1:
        usage_error(
            command, "choose servers in one way: by <server>..., by --all or by --name"
        )
    if named:
        return [Target(server) for server in named]
    with failing_as_one():
        found = _listed(cloud, args.name, scheduled)
        if not found:
            matching = f" whose name matches '{args.name.pattern}'" if args.name else ""
            having = " with scheduled images" if scheduled else ""
            raise NoServers(f"There is no server{having}{matching} in this project")
    return found


def _listed(
    cloud: Cloud, pattern: re.Pattern[str] | None, scheduled: bool
) -> list[Target]:
    from rax_scheduled_images_ext.client.servers import server_pages

    found = {}
    enabled = True if scheduled else None
    for answer in server_pages(cloud.compute, "/servers", enabled):
        for server in answer.objects("servers"):
            server_id, name = server.get("id"), str(server.get("name") or "")
            if not isinstance(server_id, str) or not server_id:
                raise answer.unexpected("with a server that has no ID")
            if pattern is None or pattern.search(name):
                found[server_id] = Target(name or server_id, server_id)
    return sorted(found.values(), key=lambda server: (server.label, server.id))


def each_server(
    cloud: Cloud,
    targets: Sequence[Target],
    action: Action[Result],
    tell: Callable[[Target, Result], None] | None = None,
    passed_over: type[Exception] | tuple[()] = (),
    failed: Callable[[Target, Exception], None] | None = None,
) -> bool:
    """Do ``action`` to every server, many at a time.

    Each failure is told on stderr, as one line. Returns whether there was none.

    :param tell: is called with each result, in the order of the servers.
    :param passed_over: what is no failure of a server that was not named.
    :param failed: is called with each failure, in the same order.
    """
    from rax_scheduled_images_ext.client.errors import NotOffered
    from rax_scheduled_images_ext.client.servers import with_server
    from rax_scheduled_images_ext.operations.work_queue import Interrupted, run

    cloud = cloud.shared() if len(targets) > 1 else cloud
    act = partial(action, ExtensionSchedules(cloud.compute))
    done = offered = True

    def work(server: Target) -> Result:
        if server.id is not None:
            return act(server.id)
        return with_server(cloud.compute, server.label, act)

    def told(outcome: Outcome[Target, Result]) -> None:
        nonlocal done, offered
        error = outcome.error
        if error is None:
            if tell is not None:
                tell(outcome.item, outcome.value)  # type: ignore[arg-type]
        elif outcome.item.id is None or not isinstance(error, passed_over):
            LOG.debug("%s", error, exc_info=error)
            # What is said of the cloud is the same for all servers.
            if offered or not isinstance(error, NotOffered):
                say(failure(outcome.item, error, len(targets)))
            if failed is not None:
                failed(outcome.item, error)
            done = False
            offered = offered and not isinstance(error, NotOffered)

    try:
        run(targets, work, told)
    except Interrupted as interrupted:
        say(summary(interrupted, len(targets)))
        raise
    return done


def failure(server: Target, error: Exception, of: int) -> str:
    """Return the line that tells of a failure; among several it names the server."""
    from rax_scheduled_images_ext.client.errors import NotOffered

    told = (
        hasattr(error, "server_id")
        or isinstance(error, NotOffered)
        or server.label in str(error)
    )
    if of == 1 or told:
        return error_line(server, error)
    return f"ERROR ({label(error)}): {server.label}: {error}"


def summary(interrupted: Interrupted, of: int) -> str:
    """Return a line that tells how far an interrupted command has come."""
    parts = [f"Interrupted: {interrupted.done} of {of} servers done"]
    if interrupted.unknown:
        names = ", ".join(server.label for server in interrupted.unknown)
        parts.append(f"not known whether done: {names}")
    if interrupted.untouched:
        parts.append(f"{len(interrupted.untouched)} not begun")
    return "; ".join(parts)
