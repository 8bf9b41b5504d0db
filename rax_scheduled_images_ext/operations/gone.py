"""Servers that are gone: finds them by their images, and deletes these.

A server counts as gone only if the compute service itself says that there is none. That
is asked anew right before each deletion, and so is everything else that it depends on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import (
    boots_from,
    date_of,
    find_deletion,
    find_server,
    looks_like_id,
    server_pages,
)
from rax_scheduled_images_ext.errors import (
    NoMatch,
    NoSuchServer,
    NotGone,
    ServerGone,
    SeveralMatches,
)
from rax_scheduled_images_ext.model.gone import GoneServer, Trace, last_name
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.retention import Decision
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.operations.space import snapshot_sizes
from rax_scheduled_images_ext.operations.work_queue import Outcome, run


@dataclass(frozen=True)
class GoneServers:
    """The servers of a project that are gone; ``now`` is the cloud's time.

    ``failures`` are those of which it could not be found out, ``sizes`` those of the
    volume snapshots that their images name.
    """

    now: datetime
    servers: list[GoneServer]
    sizes: Sizes
    failures: list[Outcome[str, GoneServer | None]]


def find_gone(cloud: Cloud, name: re.Pattern[str] | None = None) -> GoneServers:
    """Find the servers of which only images are left, by the images.

    That takes one request per page of servers and one per page of images, and then two
    for each server that is not among these.

    :param name: only those whose last names match this regular expression anywhere.
    """
    cloud = cloud.shared()
    here, now = present(cloud)
    own = cloud.compute.adapter.get_project_id()
    left = images_left(cloud, here, own)
    done = run(left, lambda found: trace(cloud, found, own, left[found]))
    found = [
        each.value
        for each in done
        if each.value and (name is None or name.search(each.value.name))
    ]
    images = chain.from_iterable(each.images for each in found)
    return GoneServers(
        now,
        sorted(found, key=lambda each: (each.name, each.id)),
        snapshot_sizes(cloud, images),
        [each for each in done if each.error is not None],
    )


def images_left(
    cloud: Cloud, here: set[str], project_id: str | None
) -> dict[str, list[ServerImage]]:
    """Return the images of servers that are not here, by server.

    Only servers with a scheduled image are among them.

    :param project_id: the owner of the images, None for any.
    """
    found: dict[str, list[ServerImage]] = {}
    for image in cloud.images.list(snapshots=True, facts=True):
        if image.server_id in here or image.owner is None:
            continue
        if project_id in (None, image.owner):
            found.setdefault(str(image.server_id), []).append(image)
    return {k: v for k, v in found.items() if any(each.scheduled for each in v)}


def present(
    cloud: Cloud, query: Mapping[str, Any] | None = None
) -> tuple[set[str], datetime]:
    """Return the IDs of all servers, and the cloud's time.

    :param query: whose servers, those of the own project by default.
    """
    ids: set[str] = set()
    for answer in server_pages(cloud.compute, "/servers", query or {}):
        ids.update(str(item.get("id")) for item in answer.objects("servers"))
    return ids, date_of(answer)


def trace(
    cloud: Cloud,
    server_id: str,
    project_id: str | None,
    images: Iterable[ServerImage],
) -> GoneServer | None:
    """Return what is left of a server; None if it is there."""
    compute = cloud.schedules.tags.compute
    try:
        find_server(compute, server_id)
    except NoSuchServer:
        try:
            deleted = find_deletion(compute, server_id)
        except NotGone:
            return None
    else:
        return None
    region = compute.adapter.region_name
    return GoneServer.of(server_id, project_id, images, region, deleted)


def read_gone(cloud: Cloud, server_id: str) -> GoneServer | None:
    """Read what is left of a server; None if it is there."""
    own = cloud.compute.adapter.get_project_id()
    return trace(cloud, server_id, own, cloud.images.list(server_id=server_id))


def images_by_name(cloud: Cloud, name: str) -> dict[str, list[ServerImage]]:
    """Return all of the project's images of the servers with this name, by server.

    Of each server at least one image says that this is its name.
    """
    own = cloud.compute.adapter.get_project_id()
    found: dict[str, list[ServerImage]] = {}
    named = set()
    for image in cloud.images.list(owner=own):
        # Without a project nothing is filtered, and nothing is the user's.
        if image.owner == own and image.server_id is not None:
            found.setdefault(image.server_id, []).append(image)
            if last_name(image) == name:
                named.add(image.server_id)
    return {server_id: found[server_id] for server_id in found if server_id in named}


def find_one(cloud: Cloud, wanted: str) -> GoneServer:
    """Return the server that is gone whose ID or last name this is.

    :raises NoMatch: if no image is left of one.
    :raises SeveralMatches: if several had the name.
    :raises NotGone: if it is there.
    """
    if looks_like_id(wanted):
        found = read_gone(cloud, wanted)
        if found is None:
            raise NotGone(f"Server {wanted} is not gone")
        if found.decisions:
            return found
    traces = (read_gone(cloud, each) for each in images_by_name(cloud, wanted))
    named = [each for each in traces if each is not None and each.counted]
    if not named:
        raise NoMatch("server", wanted)
    if len(named) > 1:
        raise SeveralMatches("server", wanted, [each.id for each in named])
    return named[0]


def surplus_of_gone(
    cloud: Cloud, server: GoneServer, keep: Keep | int | None, *, everything: bool
) -> list[Decision]:
    """Return the images of a server that is gone to delete on request, oldest first.

    :param keep: what stays.
    :param everything: whether it is meant that none stays, without that number.
    :raises ServerGone: if that is not said either.
    :raises NotGone: if the server may be in another region.
    """
    check_was_here(server)
    if keep is None and not everything:
        raise ServerGone(server.label, server.id)
    return [base_marked(cloud, decision) for decision in server.going(keep)]


def check_was_here(server: GoneServer) -> None:
    """Check that a server that is gone was in this region.

    :raises NotGone: if it may be in another region.
    """
    if server.trace is Trace.REGION_UNKNOWN:
        raise NotGone(
            f"Server {server.label} ({server.id}) is not known to have been in this"
            " region: it may be in another one that has the same images"
        )


def base_marked(
    cloud: Cloud, decision: Decision, query: Mapping[str, Any] | None = None
) -> Decision:
    """Return a decision that says whether any server boots from the image.

    That may be a server of another region, if that has the same images.

    :param query: whose servers, those of the own project by default.
    """
    image_id = decision.image.id
    computes = (each.compute for each in [cloud, *cloud.with_same_images()])
    if any(boots_from(compute, image_id, query or {}) for compute in computes):
        return replace(decision, base_image=image_id)
    return decision


def still_going(cloud: Cloud, decision: Decision) -> Decision | None:
    """Read all that a deletion depends on again; return the decision as of now.

    :returns: None if the image is not to be deleted any more.
    :raises NoSuchImage: if it is gone.
    """
    image = cloud.images.get(decision.image)
    server = read_gone(cloud, str(decision.image.server_id))
    if server is None or server.trace is Trace.REGION_UNKNOWN:
        return None
    going = server.going(decision.keep)
    now = _of_image(going, image)
    return None if now is None else base_marked(cloud, now)


def _of_image(decisions: Iterable[Decision], image: ServerImage) -> Decision | None:
    return next((each for each in decisions if each.image.id == image.id), None)
