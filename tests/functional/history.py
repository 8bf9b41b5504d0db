"""Histories of several runners on one cloud, and the laws that hold throughout."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from keystoneauth1.exceptions import ClientException
from requests import Response

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.engine.clock import Clock
from rax_scheduled_images_ext.engine.limits import Limits
from rax_scheduled_images_ext.engine.projects import OneProject
from rax_scheduled_images_ext.engine.runner import Runner
from rax_scheduled_images_ext.errors import ScheduledImagesError
from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    MARKER_KEY,
    RUN_KEY,
    SERVER_KEY,
    SLOT_KEY,
    SNAPSHOT,
    TYPE_KEY,
    run_metadata,
)
from rax_scheduled_images_ext.model.keep import Keep
from rax_scheduled_images_ext.model.plan import Policy
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    read_schedule_tags,
    schedule_tag,
)
from rax_scheduled_images_ext.model.slots import (
    Slot,
    Window,
    slots_around,
)
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery
from rax_scheduled_images_ext.sandbox.backend.state import Timings

from .actors import Actor, Command
from .fleet import MARKED, MYSERVER, add_image, project_of
from .raw import START
from .runners import advance_to_slot, connected, runner_of

#: What a schedule of each kind is, but for how many images are kept.
KINDS: dict[str, ImageSchedule] = {
    "daily": ImageSchedule(1),
    "daily at": ImageSchedule(1, at="02:30"),
    "weekly": ImageSchedule(1, "SATURDAY"),
    "12h": ImageSchedule(1, hours=12),
    "6h": ImageSchedule(1, hours=6),
    "6h at": ImageSchedule(1, hours=6, at="02:30"),
    "rules": ImageSchedule(hours=6, keep=Keep(last=1, yearly=1)),
}
KEPT = 2
TRIES = Policy().attempts
# How far a runner's clock is ahead of the cloud's.
CLOCKS = [timedelta(), timedelta(minutes=2), timedelta(minutes=-2)]
RUNNERS = len(CLOCKS)
LIMITS = Limits(requests=1, pause=0.0)
#: Snapshots that are over sooner than a claim is too old, and those that take an hour.
QUICK, SLOW = Timings(1, 5, 1, 10, 1), Timings(60, 1200, 60, 2400, 60)
# Minutes between the ticks of a runner that is left alone: for the rest of a day, and
# for a day.
REST = (10, *[30] * 10)
DAY = (5, 7, 49, 5, 55, 5, 55, 5)
SNAPSHOT_OF_MINE: dict[str, Any] = {TYPE_KEY: SNAPSHOT, SERVER_KEY: MYSERVER}
# A request that waits for so many seconds is held up on its way.
_HELD_UP = 60
# What a runner that goes on needs for an interval, a snapshot, and another try.
_TIME = timedelta(hours=5)
_IMAGE = re.compile(r"/images/([^/?]+)$")


@dataclass(frozen=True)
class Ahead(Clock):
    """A clock that is ahead of the cloud's."""

    ahead: timedelta = timedelta()

    def time(self, cloud: datetime) -> datetime:
        return cloud + self.ahead


_SERVER = re.compile(r"/servers/([^/?]+)$")


class User(Enum):
    """What a user, or the cloud itself, does meanwhile."""

    #: Nothing, while time passes.
    WAIT = "wait"
    #: Keep the newest image for good.
    PROTECT = "protect"
    KEEP_1 = "keep 1"
    KEEP_2 = "keep 2"
    KEEP_4 = "keep 4"
    DISABLE = "disable"
    #: The image that is being made is lost.
    LOSE_IMAGE = "lose image"


@dataclass(frozen=True)
class Move:
    """A runner comes through some requests, and the next one may meet a command.

    One that has come to its end looks anew. In place of a runner it may be the user who
    acts. ``seconds`` pass afterwards, and the times between so many ``images``.
    """

    runner: int = 0
    requests: int = 0
    command: Command | None = None
    seconds: int = 0
    user: User | None = None
    images: float = 0


def utc(seconds: float) -> datetime:
    """Return a moment of the sandbox's clock."""
    return datetime.fromtimestamp(seconds, timezone.utc)


class Broken(AssertionError):
    """A law was broken; ``law`` says which."""

    def __init__(self, law: str, facts: object) -> None:
        super().__init__(f"{law}: {facts}")
        self.law = law


@dataclass
class _Eyes:
    """Sees the requests of one runner, and whether each deletion is right.

    What may be deleted was true when the runner has read it last; what changes while a
    request is on its way nobody can heed.
    """

    play: Play
    schedule: ImageSchedule | None = None
    surplus: set[str] = field(default_factory=set)
    since: datetime | None = None
    #: When the schedule was read last.
    read: datetime | None = None

    def waits(self, method: str, path: str) -> None:
        """Remember since when the request waits.

        Before each deletion the schedule must have been read a moment ago.
        """
        self.since = self.play.now()
        if self.read is None or self.since - self.read > timedelta(seconds=5):
            self.surplus = self.surplus if method != "DELETE" else set()

    def sends(self, method: str, path: str) -> None:
        """See whether a deletion is right."""
        assert self.since is not None
        waited = (self.play.now() - self.since).total_seconds()
        if method == "POST" and path.endswith("/action") and waited > _HELD_UP:
            self.play.held_up = True
        found = _IMAGE.search(path)
        if method == "DELETE" and found:
            self._deletes(found[1])

    def answered(self, method: str, path: str, response: Response) -> None:
        """Take note of what the runner knows by now."""
        if method != "GET" or response.status_code != 200:
            return
        if _SERVER.search(path):
            self._reads(response.json()["server"])
        elif f"{SERVER_KEY}={MYSERVER}" in path:
            self.surplus = self.play.surplus(self.schedule)

    def leave(self, path: str, body: Any) -> bool:
        """Leave an image without data behind."""
        if not path.endswith("/action"):
            return False
        metadata = {SERVER_KEY: MYSERVER, **body["createImage"]["metadata"]}
        with self.play.sandbox.region() as region:
            owner = region.servers.get(MYSERVER).project_id
            left = region.images.add(owner=owner, name="left", properties=metadata)
        self.play.left.add(left.id)
        return True

    def _reads(self, server: dict[str, Any]) -> None:
        # An older API shows no tags.
        if "tags" in server:
            self.schedule = read_schedule_tags(server["tags"])
            self.read = self.play.now()

    def _deletes(self, image_id: str) -> None:
        images = {image.id: image for image in self.play.images()}
        image = images.get(image_id)
        if image is None or CLAIM_KEY in image.properties:
            return
        empty = image_id in self.play.left
        if image_id in self.play.bystanders or not (empty or image_id in self.surplus):
            self.play.wrong.append(f"{image.status} {image.name} {image.properties}")
        # Both are read again before the next one.
        self.surplus = set()


class Play:
    """A sandbox, three runners, and images that do not concern them."""

    def __init__(
        self, sandbox: Sandbox, timings: Timings = QUICK, kind: str = "daily"
    ) -> None:
        self.sandbox = sandbox
        self.kind = KINDS[kind]
        sandbox.cloud.timings = timings
        self.cloud = connected(sandbox, workers=1)
        self.keep(KEPT)
        advance_to_slot(sandbox, -60, self.kind)
        inherited: dict[str, Any] = run_metadata("other", "2026-01-01", "x")
        inherited[SERVER_KEY] = "another"
        self.bystanders = {
            add_image(sandbox, "mine", **SNAPSHOT_OF_MINE),
            add_image(
                sandbox,
                "foreign",
                **{TYPE_KEY: SNAPSHOT, SERVER_KEY: "other", **MARKED},
            ),
            add_image(sandbox, "inherited", **inherited),
            add_image(
                sandbox, "protected", protected=True, **SNAPSHOT_OF_MINE, **MARKED
            ),
            self._unfinished(),
        }
        self.actors: list[Actor | None] = [None] * RUNNERS
        self.runners: dict[int, Runner] = {}
        #: Images that were left without data.
        self.left: set[str] = set()
        #: Deletions that were wrong.
        self.wrong: list[str] = []
        #: Whether a request for an image was held up on its way.
        self.held_up = False
        self.least = KEPT

    def _unfinished(self) -> str:
        """Add an image that somebody is about to upload."""
        with self.sandbox.region() as region:
            properties = {**SNAPSHOT_OF_MINE, **MARKED}
            owner = region.servers.get(MYSERVER).project_id
            name = "unfinished"
            return region.images.add(owner=owner, name=name, properties=properties).id

    def now(self) -> datetime:
        return utc(self.sandbox.advance(0))

    # -- what happens

    def move(self, move: Move) -> None:
        """Let somebody act, and then let time pass."""
        if move.user is not None:
            self._user(move.user)
        else:
            for _ in range(move.requests):
                self._actor(move.runner).step()
            if move.command is not None:
                self._actor(move.runner).step(move.command)
        between = move.images * self.kind.interval.total_seconds()
        self.sandbox.advance(between + move.seconds)

    def keep(self, number: int) -> None:
        """Let a number of images be kept."""
        keep = Keep(last=number)
        if self.kind.retention is None:
            # The newest image of the year is the newest one.
            keep = Keep(last=number, yearly=1)
        wanted = replace(self.kind, retention=None, keep=keep)
        with self.sandbox.region() as region:
            region.servers.set_tags(MYSERVER, (MARKER_TAG, schedule_tag(wanted)))

    def _user(self, action: User) -> None:
        if action is User.LOSE_IMAGE:
            self.sandbox.fault("lose-image x1")
        elif action is User.DISABLE:
            with self.sandbox.region() as region:
                region.servers.set_tags(MYSERVER, ())
        elif action is User.PROTECT:
            self._protect()
        elif action is not User.WAIT:
            retention = int(action.value.split()[1])
            self.least = min(self.least, retention)
            self.keep(retention)

    def _protect(self) -> None:
        images = [image for image in self.made() if image.status == "active"]
        for image in images[-1:]:
            properties = dict(image.properties)
            properties.pop(MARKER_KEY, None)
            with self.sandbox.region() as region:
                region.images.update(image.id, properties=properties)

    def end(self) -> None:
        """Let all runners end."""
        for number, actor in enumerate(self.actors):
            if actor is not None:
                actor.finish()
                self._note(number, actor)
        self.sandbox.clear_faults()
        self.keep(KEPT)

    def go_on(self, *minutes: int) -> None:
        """Let a new runner work alone, and so many minutes pass after each tick."""
        runner = runner_of(self.sandbox)
        for pause in minutes:
            runner.tick()
            self.sandbox.advance(pause * 60)

    def _actor(self, number: int) -> Actor:
        actor = self.actors[number]
        if actor is None or actor.done:
            if actor is not None:
                self._note(number, actor)
            actor = self.actors[number] = self._start(number)
            actor.step()
        return actor

    def _note(self, number: int, actor: Actor) -> None:
        expected = (ScheduledImagesError, ClientException, OSError)
        if actor.error is not None and not isinstance(actor.error, expected):
            raise actor.error
        if actor.killed:
            self.runners.pop(number, None)

    def _start(self, number: int) -> Actor:
        def act(cloud: Cloud) -> object:
            # One that was not killed remembers what it has seen.
            runner = self.runners.setdefault(
                number, Runner(OneProject(cloud), Policy(), LIMITS)
            )
            runner.projects = OneProject(cloud)
            # It sees how long its requests are held up.
            runner.clock = Ahead(lambda: self.now().timestamp(), ahead=CLOCKS[number])
            return runner.tick()

        return Actor(self.cloud, act, _Eyes(self))

    # -- what there is

    def latest_slot(self) -> Slot:
        """The slot whose image was due last."""
        return slots_around(MYSERVER, self.kind, self.now(), Window())[0]

    def is_possible(self, slot: Slot) -> bool:
        """Whether a runner that goes on now still has the time and a try for a slot."""
        used = {
            image.properties.get(CLAIM_KEY)
            for image in (*self.images(), *self.images(deleted=True))
        }
        tries = {f"{MYSERVER}:{slot.name}:{number}" for number in range(TRIES)}
        left = Policy().fitted(self.kind).max_delay - _TIME
        return self.now() - slot.due < left and not tries <= used

    def images(self, *, deleted: bool = False) -> list[Image]:
        """The images that are there, or those that were deleted."""
        with self.sandbox.region() as region:
            found = region.images.select(ImageQuery(deleted=deleted))
        return sorted(found, key=lambda image: (image.created, image.id))

    def made(self, *, deleted: bool = False) -> list[Image]:
        """The images that runs have made, oldest first."""
        return [
            image
            for image in self.images(deleted=deleted)
            if SLOT_KEY in image.properties and image.id not in self.bystanders
        ]

    def ever_made(self) -> list[Image]:
        """The images that runs have ever made, also those that are gone."""
        return self.made() + self.made(deleted=True)

    def surplus(self, schedule: ImageSchedule | None) -> set[str]:
        """The images that no rule keeps, or that are a slot's second one."""
        owner = project_of(self.sandbox)
        counted = [
            image
            for image in self.images()
            if image.status == "active"
            and image.properties.get(SERVER_KEY) == MYSERVER
            and MARKER_KEY in image.properties
            and image.owner == owner
            and not image.protected
        ]
        first: dict[str, Image] = {}
        found = set[str]()
        if schedule is not None:
            newest = counted[::-1]
            moments = [utc(image.created) for image in newest]
            kept = zip(newest, schedule.keep.decide(moments), strict=True)
            found = {image.id for image, by in kept if not by}
        for image in counted:
            slot = image.properties.get(SLOT_KEY, image.id)
            if first.setdefault(slot, image) is not image:
                found.add(image.id)
        return found


# -- the laws


def check(broken: bool, law: str, facts: object) -> None:
    """See that a law is not broken."""
    if broken:
        raise Broken(law, facts)


def check_always(play: Play) -> None:
    """See that the laws hold that hold at any moment."""
    images = play.ever_made()
    tries = Counter((slot_of(image), try_of(image)) for image in images)
    twice = [key for key, number in tries.items() if number > 1]
    check(bool(twice), "one image a slot and try", twice)
    late = [key for key in tries if key[1] not in range(TRIES)]
    check(bool(late), "three tries a slot", late)
    with_data = Counter(slot_of(image) for image in images if image.size)
    if not play.held_up:
        twice_made = [slot for slot, number in with_data.items() if number > 1]
        check(bool(twice_made), "no image is made for nothing", twice_made)
    there = {image.id for image in play.images()}
    check(not play.bystanders <= there, "nothing of others is deleted", play.wrong)
    check(bool(play.wrong), "only what is surplus is deleted", play.wrong)
    newest = sorted(with_data)[-play.least :]
    left = slots_of(play.made())
    gone = [slot for slot in newest if slot not in left]
    check(bool(gone), "as many as are kept stay", gone)


def check_dust(play: Play, slot: Slot, possible: bool) -> None:
    """See that the laws hold that hold once the dust has settled."""
    slots = Counter(slots_of(play.made()))
    twice = [slot for slot, number in slots.items() if number > 1]
    check(bool(twice), "one image a slot in the end", twice)
    missing = possible and slot.name not in slots
    check(missing, "each slot that could have an image has one", slot)


def check_settled(play: Play) -> None:
    """See that the laws hold that hold once a runner was left alone for two days."""
    unfinished = [image.status for image in play.made() if image.status != "active"]
    claims = [image.name for image in play.images() if CLAIM_KEY in image.properties]
    check(bool(unfinished or claims), "no orphan stays", (unfinished, claims))
    slots = Counter(slots_of(play.made()))
    latest = play.latest_slot()
    earlier = latest.due - timedelta(seconds=1)
    before, _ = slots_around(MYSERVER, play.kind, earlier, Window())
    missing = [slot.name for slot in (before, latest) if slot.name not in slots]
    check(bool(missing), "a fresh runner goes on", missing)
    marked = [image for image in play.made() if MARKER_KEY in image.properties]
    check(len(marked) != KEPT, "the retention is applied", len(marked))


def slot_of(image: Image) -> str:
    """The slot that an image was made for."""
    return image.properties[SLOT_KEY]


def try_of(image: Image) -> int:
    """The number of the try that made an image."""
    return int(image.properties[RUN_KEY].partition(":")[2].partition("-")[0])


def slots_of(images: Iterable[Image]) -> list[str]:
    """The slots of the images that are ACTIVE."""
    return [slot_of(image) for image in images if image.status == "active"]


def held(
    history: Iterable[Move], timings: Timings = QUICK, kind: str = "daily"
) -> None:
    """See that the laws hold after a history.

    :raises Broken: if one does not.
    """
    with Sandbox(speed=0, start=START, extension=False) as sandbox:
        play = Play(sandbox, timings, kind)
        for move in history:
            play.move(move)
            check_always(play)
        play.end()
        slot = play.latest_slot()
        possible = play.is_possible(slot)
        play.go_on(*REST)
        check_always(play)
        check_dust(play, slot, possible)
        # Until notes are swept.
        sandbox.advance(24 * 3600)
        for _ in range(2):
            advance_to_slot(sandbox, 0, play.kind)
            play.go_on(*DAY)
        check_always(play)
        check_settled(play)
