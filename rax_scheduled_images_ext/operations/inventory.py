"""Reads all servers of a project with their schedules and images, page by page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Any

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.projects import ProjectNames, project_names
from rax_scheduled_images_ext.client.servers import (
    ALL_PROJECTS,
    date_of,
    next_page,
    read_candidate,
    read_server,
    with_tags,
)
from rax_scheduled_images_ext.errors import NoSchedule, NoSuchServer
from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import (
    MAX_AGE,
    InventoryServer,
    ScheduleStatus,
    schedule_status,
)
from rax_scheduled_images_ext.model.image import (
    ServerImage,
    named_weekly,
)
from rax_scheduled_images_ext.model.policies import Policies
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.model.retention import Rules
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import OFF_TAG, half_schedule
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.model.verify import is_test_server
from rax_scheduled_images_ext.operations.space import quota_forecast, snapshot_sizes
from rax_scheduled_images_ext.operations.work_queue import (
    Outcome,
    Report,
    run,
)


@dataclass(frozen=True)
class Inventory:
    """The servers of a region and their statuses; ``now`` is by the region's clock.

    ``images`` are the snapshots that were read, by server, also those of servers that
    are not listed.
    ``quota`` is when the project's image quota is reached by these servers, None unless
    it was asked for, or if there is none. ``sizes`` are those of the volume snapshots
    that the images name, not known unless they were asked for.
    """

    now: datetime
    servers: list[ScheduleStatus]
    images: Mapping[str, list[ServerImage]] = field(default_factory=dict, repr=False)
    quota: FullQuota | None = None
    sizes: Sizes = field(default=Sizes(None), repr=False)


def read_inventory(
    cloud: Cloud,
    *,
    enabled: bool | None = None,
    name: str | re.Pattern[str] | None = None,
    max_age: timedelta = MAX_AGE,
    space: bool = False,
    policies: Policies | None = None,
    all_projects: bool = False,
) -> Inventory:
    """Read the servers of a project in one region, their schedules and images.

    That takes one request per page of servers and one per page of images. What these
    leave open takes one request per server: schedules that the list does not show, and
    days of the week that decide whether an image is late.

    :param enabled: only servers with a schedule, or only those without.
    :param name: only servers whose names match this regular expression anywhere.
    :param max_age: as for :func:`.freshness.schedule_status`.
    :param space: also find out what the images take, and when the quota is reached: one
        request more for that, and one per page of volume snapshots if images have any.
    :param policies: those whose exceptions count.
    :param all_projects: the servers of all projects, as an administrator.
    :raises NotOffered: if the cloud has no scheduled images.
    :raises NotAdministrator: if the user may not list those of all projects.
    """
    shared = cloud.shared()
    pattern = None if name is None else re.compile(name)
    query = ALL_PROJECTS if all_projects else {}
    reader = _Reader(shared, pattern, query, space=space, policies=policies)
    return reader.read(max_age, enabled)


def read_regions(
    cloud: Cloud,
    *,
    enabled: bool | None = None,
    name: str | re.Pattern[str] | None = None,
    max_age: timedelta = MAX_AGE,
    space: bool = False,
    policies: Policies | None = None,
    report: Report[str, Inventory] | None = None,
) -> list[Outcome[str, Inventory]]:
    """Read the inventory of each region of the user's catalog, in parallel.

    The parameters are those of :func:`read_inventory`.

    :returns: an outcome for each region, by its name.
    """
    # Created here, once, because the regions are read in parallel.
    shared = cloud.shared()

    def read(region: str) -> Inventory:
        return read_inventory(
            shared.in_region(region),
            enabled=enabled,
            name=name,
            max_age=max_age,
            space=space,
            policies=policies,
        )

    return run(shared.regions(), read, report)


@dataclass(frozen=True, slots=True)
class _Listed:
    """A server as a list shows it, with the schedule that the extension shows.

    ``unreadable`` is whether what it shows is no schedule, ``tags`` are the server's
    tags, None if they are not shown.
    """

    server: InventoryServer
    unreadable: bool
    tags: list[str] | None


@dataclass
class _Listing:
    """What a list of servers shows, about them and about the cloud itself."""

    now: datetime = field(init=False)
    servers: list[_Listed] = field(default_factory=list)
    #: All servers of the list, also those that are filtered out.
    ids: set[str] = field(default_factory=set)
    shows_schedules: bool = False
    shows_days: bool = False
    shows_tags: bool = False

    def add(
        self,
        server: dict[str, Any],
        answer: ApiResponse,
        pattern: re.Pattern[str] | None,
        rules: Rules,
        excepted: Callable[[ApiResponse, dict[str, Any]], bool],
    ) -> None:
        shown = server.get(ATTRIBUTE)
        self.shows_schedules |= shown is not None
        self.shows_days |= isinstance(shown, dict) and "day_of_week" in shown
        tags = server.get("tags")
        tags = list(map(str, tags)) if isinstance(tags, list) else None
        self.shows_tags |= tags is not None
        schedule, unreadable = None, False
        if shown is not None:
            try:
                schedule = ImageSchedule.from_object(shown)
            except ValueError:
                unreadable = True
        listed = read_server(
            answer,
            server,
            schedule=schedule,
            rules=rules,
            excepted=tags is not None and (OFF_TAG in tags or excepted(answer, server)),
            tag_count=len(tags or ()),
        )
        # Test servers exist only for moments.
        new = listed.id not in self.ids and not is_test_server(listed.name)
        self.ids.add(listed.id)
        if new and (pattern is None or pattern.search(listed.name)):
            self.servers.append(_Listed(listed, unreadable, tags))


@dataclass(frozen=True)
class _Reader:
    """Reads the inventory of one region."""

    cloud: Cloud
    pattern: re.Pattern[str] | None
    #: Whose servers, as a query.
    whose: Mapping[str, str] = field(default_factory=dict)
    space: bool = False
    policies: Policies | None = None

    def read(self, max_age: timedelta, enabled: bool | None) -> Inventory:
        """Read all servers, or only those with or without a schedule."""
        listing = self._list(enabled)
        silent = self._is_silent(listing, enabled)
        if self.cloud.schedules.kept_as_tags:
            if listing.ids and not listing.shows_tags:
                # They came from an API version that is too old for tags.
                listing = self._list(enabled)
            servers = list(map(_tagged, listing.servers))
        else:
            servers = self._servers(listing, silent)
        # The images take most of the memory: nothing is kept beside them.
        listing.servers.clear()
        lost = enabled is True and self.cloud.schedules.kept_as_tags
        images = self._images(servers, lost=lost)
        sizes = None
        if self.space:
            sizes = snapshot_sizes(self.cloud, chain.from_iterable(images.values()))

        def status(server: InventoryServer) -> ScheduleStatus:
            return schedule_status(
                server, images[server.id], listing.now, max_age, sizes
            )

        found = {server.id: status(server) for server in servers}
        if listing.shows_schedules and not listing.shows_days:
            open_ = [each.server for each in found.values() if _may_be_weekly(each)]
            for server in open_:
                del found[server.id]
            asked = self._ask(open_, open_)
            found.update((server.id, status(server)) for server in asked)
        statuses = [e for e in found.values() if enabled is None or _is(e, enabled)]
        outlooks = [each.outlook for each in statuses if each.outlook]
        quota = quota_forecast(self.cloud, outlooks)
        return Inventory(listing.now, statuses, images, quota, sizes or Sizes(None))

    # -- servers

    def _list(self, enabled: bool | None) -> _Listing:
        listing = _Listing()
        excepted = self._exceptions()
        for answer in self.cloud.schedules.server_pages(
            "/servers/detail", enabled, self.whose
        ):
            first = not listing.ids
            listing.now = date_of(answer)
            rules = self.cloud.schedules.rules(answer, shown=True)
            for server in answer.objects("servers"):
                listing.add(server, answer, self.pattern, rules, excepted)
            if first and next_page(answer) and not self._shows_anything(listing):
                self.cloud.schedules.find_out()
                if self.cloud.schedules.kept_as_tags:
                    # From an API version that shows them, before all others are read in
                    # vain.
                    return self._list(enabled)
        return listing

    def _exceptions(self) -> Callable[[ApiResponse, dict[str, Any]], bool]:
        """Return what decides whether the policies except a server of a response."""
        policies = self.policies
        if policies is None or not policies.excepted:
            return lambda answer, item: False
        names = ProjectNames({})
        if policies.projects:
            names = project_names(self.cloud, all_projects=bool(self.whose))

        def is_excepted(answer: ApiResponse, item: dict[str, Any]) -> bool:
            projects = names.of(str(item.get("tenant_id")))
            return policies.is_excepted(read_candidate(answer, item, projects))

        return is_excepted

    def _shows_anything(self, listing: _Listing) -> bool:
        """Whether a list shows schedules, as an attribute or as tags."""
        shown = listing.shows_schedules or listing.shows_tags
        return shown or self.cloud.schedules.kept_as_tags

    def _servers(self, listing: _Listing, silent: bool) -> list[InventoryServer]:
        """Return the servers with their schedules; read those that are not shown.

        :param silent: whether the list shows no schedule of any server.
        """
        servers, open_ = [], []
        for listed in listing.servers:
            server = listed.server
            if listed.unreadable or silent:
                open_.append(server)
            elif server.schedule is None:
                server = _with_half(server, listed.tags or ())
            servers.append(server)
        return self._ask(servers, open_)

    def _is_silent(self, listing: _Listing, enabled: bool | None) -> bool:
        """Whether the extension's list shows no schedules although there are some.

        If it shows none, this finds out whether there is an extension.
        """
        known = listing.shows_schedules or self.cloud.schedules.kept_as_tags
        if known or not listing.ids:
            return False
        if not enabled:
            # The filter tells whether there are servers with a schedule.
            query = {**self.whose, ATTRIBUTE: True, "limit": 1}
            answer = self.cloud.schedules.extension.compute.get("/servers", query)
            if answer.status != 400:
                found = [server.get("id") for server in answer.objects("servers")]
                if not found or (enabled is False and found[0] not in listing.ids):
                    return False
        self.cloud.schedules.find_out()
        return not self.cloud.schedules.kept_as_tags

    def _ask(
        self, servers: list[InventoryServer], open_: Iterable[InventoryServer]
    ) -> list[InventoryServer]:
        """Read the schedules that are still unknown; leave out deleted servers."""
        known = {server.id: server for server in servers}
        for outcome in run(open_, self.cloud.schedules.extension.get):
            server = replace(outcome.item, schedule=outcome.value)
            if isinstance(outcome.error, NoSuchServer):
                del known[server.id]
            elif isinstance(outcome.error, NoSchedule):
                known[server.id] = server
            else:
                known[server.id] = replace(server, problem=outcome.error)
        return list(known.values())

    # -- images

    def _images(
        self, servers: Iterable[InventoryServer], *, lost: bool
    ) -> dict[str, list[ServerImage]]:
        """Return the images that retention and freshness depend on, by server.

        Snapshots without the marker are read as well: images that are kept for good are
        among them. So are those of other servers, which the panel can search.

        :param lost: whether those of others are needed even if there are no servers.
        """
        images: dict[str, list[ServerImage]] = {server.id: [] for server in servers}
        if images or lost:
            for image in self.cloud.images.list(snapshots=True):
                if image.server_id is not None:
                    images.setdefault(image.server_id, []).append(image)
        return images


def _tagged(listed: _Listed) -> InventoryServer:
    """Return a server with the schedule that its tags represent."""
    # The list may have been read before it was known that there is no extension.
    server, tags = listed.server, listed.tags or ()
    if server.rules is not Rules.OURS:
        server = replace(server, rules=Rules.OURS)
    return _with_half(with_tags(server, tags), tags)


def _with_half(server: InventoryServer, tags: Iterable[str]) -> InventoryServer:
    """Return a server whose schedule is invalid if only half of one is there."""
    half = half_schedule(tags)
    return server if half is None else replace(server, invalid_tag=half)


def _may_be_weekly(found: ScheduleStatus) -> bool:
    """Whether the day of the week, which a list does not show, could matter.

    A server must not be reported as late by mistake. Servers that do not seem late are
    not read: that would be one request per server.
    """
    schedule, newest = found.server.schedule, found.newest
    if schedule is None or schedule.day_of_week:
        return False
    return found.stale or (newest is not None and named_weekly(newest))


def _is(found: ScheduleStatus, enabled: bool) -> bool:
    """Whether the server matches the filter by schedule, or may match it."""
    server = found.server
    if server.problem is not None:
        return True
    if enabled:
        return server.schedule is not None or server.invalid_tag is not None
    return server.schedule is None
