"""Gives servers the schedules that policies want for them, and ends what is left.

One request finds the servers without a schedule, page by page; those with one are read
by :mod:`.find` anyway. Each change of a tag is one request.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import ApiResponse
from rax_scheduled_images_ext.client.projects import ProjectNames, project_names
from rax_scheduled_images_ext.client.servers import (
    ALL_PROJECTS,
    find_server,
    read_candidate,
    read_server,
    with_tags,
)
from rax_scheduled_images_ext.engine.clock import FRESH
from rax_scheduled_images_ext.engine.find import Finder, see_nothing
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.projects import Projects
from rax_scheduled_images_ext.engine.results import Coverage
from rax_scheduled_images_ext.errors import (
    ApiError,
    NoAccess,
    NoSuchServer,
    ScheduledImagesError,
)
from rax_scheduled_images_ext.model.extension import ATTRIBUTE
from rax_scheduled_images_ext.model.freshness import InventoryServer
from rax_scheduled_images_ext.model.policies import (
    Candidate,
    Kind,
    Policies,
    PolicyChange,
    set_by_hand,
)
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    OFF_TAG,
    POLICY_PREFIX,
    is_own_tag,
)
from rax_scheduled_images_ext.model.verify import is_test_server
from rax_scheduled_images_ext.operations.work_queue import Outcome, run

# The excepted tags that the cloud leaves out itself: a URL must not be too long.
_MOST_IN_QUERY = 20
# How many servers without a schedule are read at once.
_PAGE = 100
_PROBLEMS = (ScheduledImagesError, ClientException)


def pause() -> None:
    """Wait until another runner has given a schedule that it has begun to give."""
    time.sleep(5.0)


@dataclass
class Covering:
    """The work of some policies in some projects, in one scan.

    :param changed: is called with each server whose schedule was changed.
    """

    projects: Projects
    policies: Policies
    limits: Limits = field(default_factory=Limits)
    stopping: Callable[[], bool] = lambda: False
    changed: Callable[[InventoryServer], object] = lambda server: None
    #: What is to be done, by server.
    changes: dict[str, PolicyChange] = field(default_factory=dict)
    #: The servers that had no tag of a schedule at all.
    bare: list[InventoryServer] = field(default_factory=list)
    #: The IDs of the servers that keep what an earlier text of this version gave.
    earlier: set[str] = field(default_factory=set)
    _servers: dict[str, InventoryServer] = field(default_factory=dict)
    _read: dict[str, float] = field(default_factory=dict)
    _uncovered: dict[str, InventoryServer] = field(default_factory=dict)
    _refused: dict[str, NoAccess] = field(default_factory=dict)

    def cover(self, seconds: float | None = None) -> list[Outcome[PolicyChange, bool]]:
        """Give the servers without a schedule theirs, page by page.

        A page is short, so that what was read of a server is still so when it is
        changed.

        :param seconds: as for :meth:`apply`.
        :raises NotOffered: if the cloud has no server tags.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        done: list[Outcome[PolicyChange, bool]] = []
        for _ in self._read_uncovered({"limit": str(_PAGE)}):
            left = None if deadline is None else deadline - time.monotonic()
            done += self.apply(left)
        return done

    def find_uncovered(self) -> None:
        """Read the servers without a schedule, and decide on each.

        :raises NotOffered: if the cloud has no server tags.
        """
        for _ in self._read_uncovered({}):
            pass

    def _read_uncovered(self, limit: Mapping[str, str]) -> Iterator[None]:
        """Decide on the servers without a schedule, and yield after each page."""
        excepted = sorted(self.policies.excepted.tags)[:_MOST_IN_QUERY]
        query = {"not-tags-any": ",".join([MARKER_TAG, OFF_TAG, *excepted]), **limit}
        if self.projects.all_projects:
            query |= ALL_PROJECTS
        tags = self.projects.listing.schedules.tags
        for answer in tags.server_pages("/servers/detail", query=query):
            for item in answer.objects("servers"):
                server = read_server(answer, item)
                candidate = self._candidate(answer, item)
                if is_test_server(server.name) or self.policies.is_excepted(candidate):
                    continue
                self._uncovered[server.id] = server
                if not any(map(is_own_tag, candidate.tags)):
                    self.bare.append(server)
                self._decide(server, candidate)
            yield

    def see(self, answer: ApiResponse) -> None:
        """Decide on the servers of a response, which have a schedule."""
        for item in answer.objects("servers"):
            if item.get("status") != "DELETED" and _has_policy(item):
                self._decide(read_server(answer, item), self._candidate(answer, item))

    def apply(self, seconds: float | None = None) -> list[Outcome[PolicyChange, bool]]:
        """Do what is to be done, and forget it.

        :param seconds: how long to begin with further servers, None for all.
        :returns: each change, with whether it was made.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        due, self.changes = list(self.changes.values()), {}

        def change(wanted: PolicyChange) -> bool:
            late = deadline is not None and time.monotonic() >= deadline
            if wanted.kind is Kind.REPORT or self.stopping() or late:
                return False
            return self._change(wanted)

        outcomes = run(due, change, workers=self.limits.requests)
        for each in outcomes:
            server = self._servers.get(each.item.server.id)
            if each.value and server is not None:
                self.changed(with_tags(server, each.item.tags_after))
                if each.item.kind is Kind.GIVE:
                    self._uncovered.pop(server.id, None)
        # Gone since.
        return [each for each in outcomes if not isinstance(each.error, NoSuchServer)]

    @property
    def unprotected(self) -> int:
        """How many servers have no schedule, and are not excepted."""
        return len(self._uncovered)

    def _decide(self, server: InventoryServer, candidate: Candidate) -> None:
        if self.policies.projects and not candidate.projects:
            # A project without a known name might be excepted.
            return
        change = self.policies.decide(candidate)
        if change is None and self.policies.keeps_earlier(candidate):
            self.earlier.add(server.id)
        if change is not None:
            self.changes[server.id] = change
            self._servers[server.id] = server
            self._read[server.id] = time.monotonic()

    def _is_old(self, server: Candidate) -> bool:
        """Whether what was read of a server may not be so any more."""
        age = time.monotonic() - self._read.get(server.id, 0.0)
        return age > FRESH.total_seconds()

    def _cloud_of(self, project_id: str) -> Cloud:
        """Return the cloud as a user of a project sees it; ask once if it is refused.

        :raises NoAccess: if the user cannot log in to the project.
        """
        if project_id in self._refused:
            raise self._refused[project_id]
        try:
            return self.projects.of(project_id)
        except NoAccess as error:
            self._refused[project_id] = error
            raise

    def _change(self, wanted: PolicyChange) -> bool:
        server = wanted.server
        cloud = self._cloud_of(str(server.project_id))
        tags = cloud.schedules.tags
        try:
            if wanted.kind is Kind.END:
                pause()
            if wanted.kind in (Kind.MOVE, Kind.END) or self._is_old(server):
                # By now somebody may have set or ended it by hand; and what seems to be
                # ended may be another runner's, which is about to give it.
                answer = find_server(tags.compute, server.id)
                now = self._candidate(answer, answer.object("server"))
                if self.policies.decide(now) != replace(wanted, server=now):
                    return False
            if wanted.kind is Kind.GIVE:
                # If another runner has begun, it is left to that one.
                return tags.give_tags(server.id, wanted.put)
            if OFF_TAG not in wanted.put:
                tags.change_tags(server.id, wanted.put, wanted.take)
                return True
            tags.change_tags(server.id, wanted.put, ())
            # Somebody may have enabled a schedule since: beside the tag it is none.
            if set_by_hand(tags.tags(server.id)):
                tags.change_tags(server.id, (), wanted.put)
                return False
            tags.change_tags(server.id, (), wanted.take)
        except ApiError as error:
            self.limits.slow_down(cloud, error)
            raise
        return True

    def _candidate(self, answer: ApiResponse, item: Mapping[str, Any]) -> Candidate:
        projects = self._projects_of(str(item.get("tenant_id")))
        return read_candidate(answer, item, projects)

    def _projects_of(self, project_id: str) -> frozenset[str]:
        """Return the ID and the name of a project, if they matter."""
        return self._names.of(project_id) if self.policies.projects else frozenset()

    @cached_property
    def _names(self) -> ProjectNames:
        return project_names(
            self.projects.listing, all_projects=self.projects.all_projects
        )

    def missing_projects(self) -> list[str]:
        """Return which projects of the policies the cloud does not have."""
        wanted = self.policies.projects
        return self._names.missing(wanted) if wanted else []


def _has_policy(item: Mapping[str, Any]) -> bool:
    """Whether a server of a response may be a policy's, or is to have no schedule.

    Or it has none: some databases find the marker in another letter case.
    """
    shown = item.get(ATTRIBUTE)
    tags = [*(item.get("tags") or ())]
    if isinstance(shown, dict):
        tags += shown.get("tags") or ()
    texts = list(map(str, tags))
    if MARKER_TAG not in texts and MARKER_TAG in map(str.lower, texts):
        return True
    return any(tag.startswith((POLICY_PREFIX, OFF_TAG)) for tag in texts)


@dataclass
class PolicyWork:
    """The policies of a runner, in one scan after another.

    :param read: returns the policies as they are now, None for none, and why their file
        cannot be used.
    """

    read: Callable[[], tuple[Policies | None, str | None]]
    _before: Policies | None = None

    def begin(
        self,
        finder: Finder,
        limits: Limits,
        stopping: Callable[[], bool],
        seconds: float | None = None,
        *,
        uncovered: bool = True,
    ) -> PolicyScan:
        """Give servers their schedules, and let the finder show the others.

        Policies that cannot be used prevent nothing else.

        :param seconds: as for :meth:`Covering.apply`.
        :param uncovered: whether to look for servers without a schedule.
        """
        policies, problem = self.read()
        if policies is None:
            return PolicyScan(None, finder, problem)
        if policies != self._before:
            finder.read_all_again()
        self._before = policies
        covering = Covering(
            finder.projects, policies, limits, stopping, finder.add_server
        )
        scan = PolicyScan(covering, finder, problem, seconds)
        if uncovered:
            scan.find_uncovered()
        finder.seen = scan.see
        return scan


@dataclass
class PolicyScan:
    """The policies in one scan."""

    covering: Covering | None
    finder: Finder
    problem: str | None
    seconds: float | None = None
    done: list[Outcome[PolicyChange, bool]] = field(default_factory=list)
    unprotected: int | None = None
    missing_projects: list[str] = field(default_factory=list)

    def find_uncovered(self) -> None:
        """Find the servers without a schedule, and give them theirs."""
        assert self.covering is not None
        try:
            self.done += self.covering.cover(self.seconds)
            self.missing_projects = self.covering.missing_projects()
        except _PROBLEMS as error:
            self.problem = self.problem or str(error)
            return
        self.unprotected = self.covering.unprotected

    def see(self, answer: ApiResponse) -> None:
        """Decide on servers with a schedule."""
        assert self.covering is not None
        try:
            self.covering.see(answer)
        except _PROBLEMS as error:
            self.problem = self.problem or str(error)

    def end(self) -> Coverage:
        """Do what the scan has shown, and return what was done in all."""
        if self.covering is None:
            return Coverage(problem=self.problem)
        self.finder.seen = see_nothing
        self.done += self.covering.apply(self.seconds)
        known = (
            (server, self.finder.known.of(server)) for server in self.covering.bare
        )
        vanished = [(s, k.created) for s, k in known if k and k.created]
        return Coverage(
            self.done, self.unprotected, vanished, self.problem, self.missing_projects
        )
