"""Policies: servers get a schedule without anybody setting it.

The first policy that matches a server without a schedule gives it one: the ordinary
tags, and one more that says which policy it was. Whoever acts by hand wins for good, by
whatever client, and the cloud is all the memory there is: the tag of the policy ends
with a fingerprint of the schedule that it gave. As long as every schedule of the server
has the fingerprint, it is the policy's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

from rax_scheduled_images_ext.errors import MalformedTag
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    LONGEST_TAG,
    MARKER_TAG,
    MOST_TAGS,
    OFF_TAG,
    POLICY_PREFIX,
    half_schedule,
    is_schedule_tag,
    read_schedule_tags,
    schedule_tag,
    why_invalid,
)
from rax_scheduled_images_ext.model.verify import is_test_server

#: The statuses of servers whose tags Nova changes.
TAGGABLE = frozenset({"ACTIVE", "PAUSED", "SUSPENDED", "SHUTOFF"})
#: The greatest version of a file.
LAST_VERSION = 999_999
_TAG = re.compile(
    f"{POLICY_PREFIX}([a-z0-9]+(?:-[a-z0-9]+)*):([1-9][0-9]{{0,5}}):([0-9a-f]{{6}})",
    re.ASCII,
)


@dataclass(frozen=True)
class PolicyTag:
    """The tag that says which policy gave a server its schedule.

    ``name`` begins with the file's prefix and a hyphen if it has one; ``fingerprint``
    is of the tag of the schedule.
    """

    name: str
    version: int
    fingerprint: str

    def __str__(self) -> str:
        return f"{POLICY_PREFIX}{self.name}:{self.version}:{self.fingerprint}"

    @classmethod
    def parse(cls, tag: str) -> PolicyTag | None:
        """Return what a tag says, None for any other tag."""
        found = _TAG.fullmatch(tag)
        return cls(found[1], int(found[2]), found[3]) if found else None

    @property
    def prefix(self) -> str:
        """The prefix of the file that the policy is in, empty for none."""
        return self.name.partition("-")[0] if "-" in self.name else ""

    def gave(self, tag: str) -> bool:
        """Whether the policy gave the schedule of this tag."""
        return fingerprint(tag) == self.fingerprint

    @property
    def order(self) -> tuple[int, str]:
        """A sort key, greater for the newer."""
        return self.version, str(self)


def set_by_hand(tags: Iterable[str]) -> list[str]:
    """Return the tags of schedules that no policy gave, of all tags of a server."""
    tags = set(tags)
    known = list(filter(None, map(PolicyTag.parse, tags)))
    return not_given_by(known, sorted(filter(is_schedule_tag, tags)))


def given_by(policies: Sequence[PolicyTag], schedules: Iterable[str]) -> list[str]:
    """Return the tags of schedules that any of these policies gave."""
    return [tag for tag in schedules if any(each.gave(tag) for each in policies)]


def not_given_by(policies: Sequence[PolicyTag], schedules: Iterable[str]) -> list[str]:
    """Return the tags of schedules that none of these policies gave."""
    return [tag for tag in schedules if not any(each.gave(tag) for each in policies)]


def fingerprint(tag: str) -> str:
    """Return what a policy remembers of the tag of a schedule."""
    return hashlib.sha256(tag.encode()).hexdigest()[:6]


@dataclass(frozen=True)
class Candidate:
    """A server as policies see it; ``projects`` are the ID and the name of its own."""

    id: str
    name: str = ""
    projects: frozenset[str] = frozenset()
    status: str | None = None
    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)
    project_id: str | None = None


@dataclass(frozen=True)
class Match:
    """What a server must be like; what is not given does not matter.

    ``tags`` and ``metadata`` are what it must have, ``name`` is a regular expression
    that must match anywhere in its name, ``projects`` are IDs or names.
    """

    tags: frozenset[str] = frozenset()
    metadata: Mapping[str, str] = field(default_factory=dict)
    name: re.Pattern[str] | None = None
    projects: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.tags or self.metadata or self.name or self.projects)

    def all_hold(self, server: Candidate) -> bool:
        """Whether a server is like this in every respect that is given."""
        return all(self._respects(server))

    def any_holds(self, server: Candidate) -> bool:
        """Whether a server is like this in any respect, by any of its tags."""
        return (
            not self.tags.isdisjoint(server.tags)
            or bool(self.metadata.items() & server.metadata.items())
            or (self.name is not None and self.name.search(server.name) is not None)
            or not self.projects.isdisjoint(server.projects)
        )

    def _respects(self, server: Candidate) -> Iterable[bool]:
        yield self.tags <= server.tags
        yield self.metadata.items() <= server.metadata.items()
        yield self.name is None or self.name.search(server.name) is not None
        yield not self.projects or not self.projects.isdisjoint(server.projects)


@dataclass(frozen=True)
class SchedulePolicy:
    """A policy: the schedule for all servers that are like this."""

    name: str
    schedule: ImageSchedule
    match: Match = Match()


class Kind(Enum):
    """What a policy does to a server."""

    #: Give it a schedule.
    GIVE = "give schedule"
    #: Replace the schedule that a policy of a lower version gave.
    MOVE = "change schedule"
    #: Somebody has set another schedule: leave the server to them.
    LEAVE = "leave to its owner"
    #: Somebody has ended the schedule: see to it that no policy gives another.
    END = "leave without schedule"
    #: Nothing can be done about it but to report it.
    REPORT = "nothing"


@dataclass(frozen=True)
class PolicyChange:
    """What a policy does to a server: tags that it puts, and then tags that it takes.

    ``reason`` says why, ``policy`` is the name of the policy, None where it is not one
    policy's.
    """

    server: Candidate
    kind: Kind
    reason: str
    put: tuple[str, ...] = ()
    take: tuple[str, ...] = ()
    policy: str | None = None

    @property
    def tags_after(self) -> frozenset[str]:
        """The server's tags when it is done."""
        return (self.server.tags | set(self.put)) - set(self.take)


@dataclass(frozen=True)
class Policies:
    """The policies of one file, in their order.

    :param version: moves only what a lower version gave.
    :param prefix: the servers of another prefix are left alone.
    :param excepted: servers that are like this in any respect get no schedule.
    """

    version: int
    policies: tuple[SchedulePolicy, ...]
    prefix: str = ""
    excepted: Match = Match()

    def first_match(self, server: Candidate) -> SchedulePolicy | None:
        """Return the policy for a server, None if it is excepted or matches none."""
        if self.is_excepted(server):
            return None
        return next((p for p in self.policies if p.match.all_hold(server)), None)

    def is_excepted(self, server: Candidate) -> bool:
        """Whether a server gets no schedule, whatever matches."""
        return self.excepted.any_holds(server)

    @property
    def projects(self) -> frozenset[str]:
        """The names and IDs of projects that the file has."""
        matches = (self.excepted, *(policy.match for policy in self.policies))
        return frozenset().union(*(match.projects for match in matches))

    def tag_of(self, policy: SchedulePolicy) -> PolicyTag:
        """Return the tag of the servers that a policy gives its schedule."""
        name = f"{self.prefix}-{policy.name}" if self.prefix else policy.name
        given = fingerprint(schedule_tag(policy.schedule))
        return PolicyTag(name, self.version, given)

    def is_own(self, tag: PolicyTag) -> bool:
        """Whether a policy of this file gave it, of whatever version."""
        return tag.prefix == self.prefix

    def decide(self, server: Candidate) -> PolicyChange | None:
        """Return what is to be done about a server, None for nothing."""
        if is_test_server(server.name):
            return None
        tags = [tag for tag in server.tags if tag.startswith(POLICY_PREFIX)]
        known = list(filter(None, map(PolicyTag.parse, tags)))
        own = sorted(filter(self.is_own, known), key=lambda tag: tag.order)
        others = [tag for tag in known if tag not in own]
        schedules = sorted(filter(is_schedule_tag, server.tags))
        if OFF_TAG in server.tags:
            return _off(server, own, known, schedules)
        if MARKER_TAG not in server.tags:
            if own:
                return _end(server, own, schedules)
            half = half_schedule(server.tags)
            if half is not None:
                return PolicyChange(server, Kind.REPORT, why_invalid(half))
            return None if tags else self._give(server)
        # A schedule without our tag is somebody else's.
        if not own:
            return None
        by_hand = set_by_hand(server.tags)
        if by_hand:
            return _leave(server, own, schedules, by_hand)
        return self._settle(server, own, others, schedules)

    def keeps_earlier(self, server: Candidate) -> bool:
        """Whether a server keeps what this version gave it, but would get another now.

        The text was changed without a higher version, or the server has changed.
        """
        policy = self.first_match(server)
        known = list(filter(None, map(PolicyTag.parse, server.tags)))
        now = [tag for tag in known if self.is_own(tag)]
        return (
            policy is not None
            and [tag.version for tag in now] == [self.version]
            and str(self.tag_of(policy)) not in server.tags
            and self.decide(server) is None
            and OFF_TAG not in server.tags
        )

    def _give(self, server: Candidate) -> PolicyChange | None:
        policy = self.first_match(server)
        if policy is None or server.status not in TAGGABLE:
            return None
        # Its own tag first: a schedule without one was set by hand.
        put = (str(self.tag_of(policy)), schedule_tag(policy.schedule), MARKER_TAG)
        name = self.tag_of(policy).name
        if len(server.tags) + len(put) > MOST_TAGS:
            return _no_room(server, name)
        twin = next((t for t in sorted(server.tags) if t.lower() in put), None)
        if twin is not None:
            # Some databases take it for ours.
            return PolicyChange(server, Kind.REPORT, why_invalid(twin), policy=name)
        reason = f"policy {name}: {policy.schedule.words}"
        return PolicyChange(server, Kind.GIVE, reason, put, policy=name)

    def _settle(
        self,
        server: Candidate,
        own: list[PolicyTag],
        others: list[PolicyTag],
        schedules: list[str],
    ) -> PolicyChange | None:
        """Decide on a server whose schedules all are policies'.

        :param own: the tags of our policies, the newest last.
        """
        holders = [tag for tag in own if any(map(tag.gave, schedules))]
        rivals = [tag for tag in others if any(map(tag.gave, schedules))]
        if own[-1].version > self.version or not schedules:
            # A newer file is in charge, or somebody is about to set a schedule.
            return None
        if rivals and min(map(str, rivals)) < min(map(str, holders), default="~"):
            # Both gave it one at the same moment.
            lost = not_given_by(rivals, schedules)
            reason = "another file's policy gave it a schedule"
            return _taken(server, Kind.LEAVE, reason, [*lost, *map(str, own)])
        if not holders:
            return None
        now = holders[-1]
        policy = self.first_match(server)
        if policy is not None and not rivals and now.version < self.version:
            new = self.tag_of(policy)
            if (new.name, new.fingerprint) != (now.name, now.fingerprint):
                return self._move(server, policy, own, schedules)
        older = [tag for tag in own if tag != now]
        if not older:
            return None
        lost = not_given_by([now, *rivals], schedules)
        reason = f"policy {now.name} has replaced an older one"
        return _taken(server, Kind.MOVE, reason, [*lost, *map(str, older)], now.name)

    def _move(
        self,
        server: Candidate,
        policy: SchedulePolicy,
        own: list[PolicyTag],
        schedules: list[str],
    ) -> PolicyChange | None:
        if server.status not in TAGGABLE:
            return None
        new, schedule = self.tag_of(policy), schedule_tag(policy.schedule)
        put = tuple(t for t in (str(new), schedule) if t not in server.tags)
        take = [tag for tag in schedules if tag != schedule]
        take += [str(tag) for tag in own if tag != new]
        if len(server.tags) + len(put) > MOST_TAGS:
            return _no_room(server, new.name)
        reason = f"policy {new.name}: {policy.schedule.words}"
        return PolicyChange(server, Kind.MOVE, reason, put, tuple(take), new.name)


def _off(
    server: Candidate,
    own: list[PolicyTag],
    known: list[PolicyTag],
    schedules: list[str],
) -> PolicyChange | None:
    """Return what is left to do for a server that is to have no schedule.

    Somebody has not ended disabling it, or has said so while a policy gave it one.
    """
    ours = given_by(own, schedules)
    lone = MARKER_TAG in server.tags and not (schedules or known)
    if not (own or lone) or set_by_hand(server.tags):
        return None
    marker = [tag for tag in (MARKER_TAG,) if tag in server.tags]
    reason = "its schedule was ended by hand"
    take = [*marker, *ours, *map(str, own)]
    return _taken(server, Kind.END, reason, take, own[-1].name if own else None)


def _end(
    server: Candidate, own: list[PolicyTag], schedules: list[str]
) -> PolicyChange | None:
    """Return what follows when somebody has ended the schedule of a policy."""
    if server.status not in TAGGABLE:
        return None
    ours = given_by(own, schedules)
    take = [*ours, *map(str, own)]
    if len(ours) < len(schedules):
        # Somebody is about to enable another, or has not ended doing so.
        return _taken(server, Kind.LEAVE, "a schedule was set by hand", take)
    put: tuple[str, ...] = (OFF_TAG,)
    if len(server.tags) >= MOST_TAGS:
        # The tag of a policy has to wait: it says what is to be done.
        put, take = (), ours
        if not take:
            return _no_room(server, own[-1].name)
    reason = "its schedule was ended by hand"
    name = own[-1].name
    return PolicyChange(server, Kind.END, reason, put, tuple(take), name)


def _leave(
    server: Candidate,
    own: list[PolicyTag],
    schedules: list[str],
    by_hand: list[str],
) -> PolicyChange | None:
    """Return what follows when somebody has set a schedule by hand.

    Ours goes as well if theirs can stand alone: it was replaced, or both were set at
    the same moment.
    """
    try:
        read_schedule_tags([MARKER_TAG, *by_hand])
        ours = given_by(own, schedules)
    except MalformedTag:
        ours = []
    reason = "its schedule was set by hand"
    return _taken(server, Kind.LEAVE, reason, [*ours, *map(str, own)], own[-1].name)


def _taken(
    server: Candidate,
    kind: Kind,
    reason: str,
    take: Iterable[str],
    policy: str | None = None,
) -> PolicyChange | None:
    if server.status not in TAGGABLE:
        return None
    return PolicyChange(server, kind, reason, take=tuple(take), policy=policy)


def _no_room(server: Candidate, name: str) -> PolicyChange:
    reason = f"it has {len(server.tags)} of {MOST_TAGS} tags: no room for a schedule"
    return PolicyChange(server, Kind.REPORT, reason, policy=name)


def no_project(name: str) -> str:
    """Return the sentence about a project of policies that the cloud does not have."""
    return f"policies name the project '{name}', which this cloud does not have"


def kept_earlier(number: int, version: int) -> str:
    """Return the sentence about servers that keep what a version gave them."""
    servers = "1 server has" if number == 1 else f"{number} servers have"
    return (
        f"{servers} an earlier schedule or policy of version {version}: raise the"
        " version to change them"
    )


def longest_name(prefix: str) -> int:
    """Return the most characters that the name of a policy may have."""
    longest = PolicyTag("", LAST_VERSION, "0" * 6)
    return LONGEST_TAG - len(str(longest)) - (len(prefix) + 1 if prefix else 0)
