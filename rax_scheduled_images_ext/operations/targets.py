"""The servers of an operation, by the names or IDs that users type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import with_server
from rax_scheduled_images_ext.errors import NoMatch, NoServers
from rax_scheduled_images_ext.model.verify import is_test_server
from rax_scheduled_images_ext.operations.work_queue import (
    Outcome,
    Report,
    run,
)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Target:
    """A server as a user named it.

    ``label`` is the name or ID as typed; ``id`` is the ID, None until it is looked up.
    """

    label: str
    id: str | None = None

    def __str__(self) -> str:
        return self.label


#: What is done with a server: it receives the cloud and the server's ID.
Action = Callable[[Cloud, str], Result]
#: Servers as names, IDs or targets, or a single one of these.
Servers = Iterable[Target | str] | Target | str


def as_targets(servers: Servers) -> list[Target]:
    """Return the servers that a caller named as targets."""
    if isinstance(servers, (str, Target)):
        servers = [servers]
    return [each if isinstance(each, Target) else Target(each) for each in servers]


def find_targets(
    cloud: Cloud, name: str | re.Pattern[str] | None = None, *, scheduled: bool = False
) -> list[Target]:
    """Return the servers of the project, ordered by name.

    :param name: only servers whose names match this regular expression anywhere.
    :param scheduled: only servers with a schedule, if the cloud can filter by it.
    :raises NoServers: if there are none.
    """
    pattern = re.compile(name) if name is not None else None
    found = {}
    enabled = True if scheduled else None
    for page in cloud.schedules.server_pages("/servers", enabled):
        for server in page.objects("servers"):
            server_id, called = server.get("id"), str(server.get("name") or "")
            if not isinstance(server_id, str) or not server_id:
                raise page.unexpected("with a server that has no ID")
            wanted = pattern is None or pattern.search(called)
            if wanted and not is_test_server(called):
                found[server_id] = Target(called or server_id, server_id)
    if not found:
        raise no_servers(pattern, scheduled=scheduled)
    return sorted(found.values(), key=lambda target: (target.label, target.id))


def no_servers(pattern: re.Pattern[str] | None, *, scheduled: bool) -> NoServers:
    """Return the error if no server matches."""
    matching = f" whose name matches '{pattern.pattern}'" if pattern else ""
    having = " with scheduled images" if scheduled else ""
    return NoServers(f"There is no server{having}{matching} in this project")


def for_each(
    cloud: Cloud,
    servers: Servers,
    action: Action[Result],
    report: Report[Target, Result] | None = None,
    skip: type[Exception] | None = None,
    absent: Action[Result] | None = None,
) -> list[Outcome[Target, Result]]:
    """Run ``action`` on many servers at a time.

    :param servers: names, IDs or targets.
    :param report: called with each outcome, except skipped ones.
    :param skip: an error with which a server is skipped if it was found, not named: it
        has changed since, and no longer matches.
    :param absent: runs for a name or ID that no server has, None to fail then.
    :returns: an outcome for each server, in the order given.
    :raises RunInterrupted: on Ctrl-C.
    """
    targets = as_targets(servers)
    cloud = cloud.shared() if len(targets) > 1 else cloud

    def act(target: Target) -> Result:
        if target.id is not None:
            return action(cloud, target.id)
        try:
            return with_server(
                cloud.compute, target.label, lambda server_id: action(cloud, server_id)
            )
        except NoMatch:
            if absent is None:
                raise
        return absent(cloud, target.label)

    report = report or Report()
    outcomes: list[Outcome[Target, Result]] = []

    def ended(outcome: Outcome[Target, Result]) -> None:
        found = outcome.item.id is not None
        if not (found and skip is not None and isinstance(outcome.error, skip)):
            outcomes.append(outcome)
            report.ended(outcome)

    run(targets, act, Report(ended, report.progress))
    return outcomes
