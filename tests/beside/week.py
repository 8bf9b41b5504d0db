"""A week in which runners of two versions work on one cloud, and what must hold."""

from __future__ import annotations

import heapq
import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from rax_scheduled_images_ext.model.image import (
    CLAIM_KEY,
    MAPPING_KEY,
    PENDING_KEY,
    RUN_KEY,
    SERVER_KEY,
    SLOT_KEY,
)
from rax_scheduled_images_ext.model.plan import Window, slots_around
from rax_scheduled_images_ext.model.schedule import ImageSchedule
from rax_scheduled_images_ext.model.schedule_tags import MARKER_TAG, schedule_tag
from rax_scheduled_images_ext.sandbox import Sandbox
from rax_scheduled_images_ext.sandbox.backend.models import Image, ImageQuery

from ..functional import laws
from ..functional.fleet import MARKED, add_image, project_of
from ..functional.history import slot_of
from ..functional.raw import START
from .processes import Process
from .versions import TREE

HOUR, DAY = 3600, 86400
SCHEDULES = (
    *(ImageSchedule(retention) for retention in (1, 2, 3)),
    ImageSchedule(1, "WEDNESDAY"),
)
#: How many of the servers boot from a volume.
VOLUMES = 3
# Minutes between two ticks of one runner.
_GAPS = (1, 5, 15, 30, 58, 62, 90, 120)
# The same where no fault is to come.
_CALM = (50, 70, 120)
# The same in hours in which nothing is due.
_QUIET = (120, 300)
# When images are due, and the hours in which they are made if all goes wrong at first.
WINDOW, _BUSY = Window(12 * HOUR, 4 * HOUR), Window(12 * HOUR, 15 * HOUR)
_PAUSES = (0, 0, 0, 0, 0, 5, 20, 40)
_LOST, _BROKEN = ("lose-image",), ("fail-volume", "hang-volume", "keep-volume")
_FAULTS = ("kill", "kill after", "lose", "cut", 503)
_REFUSALS = (409, 429, "leave", "lose", "kill after", 500)
_TICK = ("tick", "--requests=1", "--window=12:00-16:00", "--log-format=json", "-v")
# So long after it was due a slot is over.
_OVER = timedelta(hours=13)


class Week:
    """A cloud with servers, and processes of two versions that make their images.

    :param before: the folder with the code of the earlier version.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        before: Path,
        logs: Path,
        seed: int,
        servers: int,
        runners: int,
        breaks: bool,
    ) -> None:
        self.sandbox = sandbox
        self.chance = random.Random(seed)
        self.kills = self.faults = self.ticks = 0
        self._breaks = breaks
        self._losses = _LOST + (_BROKEN if breaks else ())
        kinds = {"before": before, "now": TREE}
        self._stack = ExitStack()
        self.runners: list[Process] = []
        for number in range(runners):
            name = list(kinds)[number % 2]
            log = logs / f"{name}-{number}"
            process = Process(name, kinds[name], sandbox.environ(), self.seconds, log)
            self.runners.append(self._stack.enter_context(process))
        self.schedules = self._schedule(servers)
        ids = sorted(self.schedules)
        mine: Any = {SERVER_KEY: ids[0]}
        self.bystanders = [
            add_image(sandbox, "mine", **mine),
            add_image(sandbox, "foreign", **{SERVER_KEY: "other", **MARKED}),
            add_image(sandbox, "protected", protected=True, **mine),
        ]
        self.begun = self.now()
        self.left: set[str] = set()
        #: The images whose volume snapshots were seen to end in error, and the image
        #: of each snapshot.
        self.broken: set[str] = set()
        self.named: dict[str, str] = {}
        #: The images that runners of the earlier version have deleted.
        self.lost: set[str] = set()

    def close(self) -> None:
        """End all processes."""
        self._stack.close()

    def _schedule(self, servers: int) -> dict[str, ImageSchedule]:
        ids = [
            self.sandbox.boot(f"server-{n}", volume_size=4 if n < VOLUMES else None).id
            for n in range(servers)
        ]
        found = {each: SCHEDULES[n % len(SCHEDULES)] for n, each in enumerate(ids)}
        with self.sandbox.region() as region:
            for server_id, schedule in found.items():
                region.servers.set_tags(server_id, (MARKER_TAG, schedule_tag(schedule)))
        return found

    def seconds(self) -> float:
        return self.sandbox.advance(0)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.seconds(), timezone.utc)

    # -- what happens

    def pass_days(self, days: float, *, calm: bool = False) -> None:
        """Let all runners look at random minutes, several at once now and then."""
        end = self.seconds() + days * DAY
        queue = [(self.seconds(), number) for number in range(len(self.runners))]
        while queue[0][0] < end:
            moment, number = heapq.heappop(queue)
            together = [number]
            while queue and queue[0][0] < moment + 300 and self.chance.random() < 0.8:
                together.append(heapq.heappop(queue)[1])
            self.sandbox.advance(max(0.0, moment - self.seconds()))
            if not calm and self.chance.random() < 0.06:
                self.sandbox.fault(f"{self.chance.choice(self._losses)} x1")
            self._tick_together(together, calm)
            for each in together:
                heapq.heappush(queue, (moment + 60 * self._gap(calm), each))
            if not calm:
                self.check()
        self.sandbox.clear_faults()

    def _gap(self, calm: bool) -> int:
        busy = _BUSY.contains(self.now())
        return self.chance.choice((_CALM if calm else _GAPS) if busy else _QUIET)

    def _tick_together(self, numbers: Iterable[int], calm: bool) -> None:
        at_work = [self.runners[number] for number in numbers]
        for runner in at_work:
            self.ticks += 1
            runner.start(_TICK)
        while at_work := [each for each in at_work if each.request is not None]:
            runner = self.chance.choice(at_work)
            for _ in range(self.chance.choice((1, 1, 2, 5))):
                if runner.request is not None:
                    self._step(runner, calm)
            if not calm and len(at_work) > 1:
                self.sandbox.advance(self.chance.choice(_PAUSES))

    def _step(self, runner: Process, calm: bool) -> None:
        request = runner.request
        assert request is not None
        command: str | int = "go"
        chance = self.chance.random()
        if calm:
            pass
        elif request.is_snapshot and chance < 0.4:
            command = self.chance.choice(_REFUSALS)
        elif chance < (0.02 if request.method == "GET" else 0.15):
            command = self.chance.choice(_FAULTS)
        self.faults += command != "go"
        self.kills += str(command).startswith("kill")
        if command == "leave":
            self._leave(str(request.url), json.loads(str(request.body)))
            command = 500
        if request.method == "DELETE" and command in ("go", "lose", "kill after"):
            self._deletes(runner.name, request.url)
        runner.step(command)

    def _deletes(self, name: str, url: str) -> None:
        """See whether a deletion is right; earlier runners do not ask what is whole."""
        self._look()
        images = {image.id: image for image in self.images()}
        image = images.get(url.rpartition("/images/")[2])
        if image is None or CLAIM_KEY in image.properties:
            return
        assert image.id not in self.bystanders
        if name == "before":
            self.lost.add(image.id)
        unaware = name == "before" and self._breaks
        if unaware or image.status == "queued" or image.id in self.broken:
            return
        server_id = image.properties[SERVER_KEY]
        newer = [
            each
            for each in images.values()
            if each.properties.get(SERVER_KEY) == server_id
            and RUN_KEY in each.properties
            and each.status == "active"
            and each.created > image.created
            and (PENDING_KEY not in each.properties or self._is_whole(each))
        ]
        assert len(newer) >= self.schedules[server_id].keep.last, (image, newer)

    def _is_whole(self, image: Image) -> bool:
        """Whether the volume snapshots of an image, if it names any, are there."""
        snapshots = self._snapshots()
        named = named_by(image)
        return all(snapshots.get(each) == "available" for each in named)

    def _snapshots(self) -> dict[str, str]:
        """The states of all volume snapshots."""
        project_id = project_of(self.sandbox)
        with self.sandbox.region() as region:
            return {
                each.id: each.status for each in region.volumes.snapshots(project_id)
            }

    def _look(self) -> None:
        """Take note of what can be seen only while it is there."""
        snapshots = self._snapshots()
        for image in self.images():
            for each in named_by(image):
                self.named[each] = image.id
                if snapshots.get(each) == "error":
                    self.broken.add(image.id)

    def _leave(self, url: str, body: dict[str, dict[str, dict[str, str]]]) -> None:
        """Leave an image without data, as Nova does of one of two requests."""
        server_id = url.split("/")[-2]
        metadata = {SERVER_KEY: server_id, **body["createImage"]["metadata"]}
        with self.sandbox.region() as region:
            owner = region.servers.get(server_id).project_id
            left = region.images.add(owner=owner, name="left", properties=metadata)
        self.left.add(left.id)

    # -- what there is

    def images(self, *, deleted: bool = False) -> list[Image]:
        with self.sandbox.region() as region:
            return region.images.select(ImageQuery(deleted=deleted))

    def made(self) -> dict[str, list[Image]]:
        """All images that runs have ever made, by their server."""
        found = defaultdict(list)
        for image in self.images() + self.images(deleted=True):
            if SLOT_KEY in image.properties and image.id not in self.bystanders:
                found[image.properties[SERVER_KEY]].append(image)
        return found

    # -- what holds

    def check(self) -> None:
        """See that the laws hold that hold always."""
        self._look()
        made = self.made()
        for server_id, schedule in self.schedules.items():
            images = made[server_id]
            laws.check_tries(server_id, images)
            whole = [image for image in images if has_data(image)]
            begun = [image for image in whole if image.id not in self.broken]
            slots = [slot_of(image) for image in begun]
            assert len(slots) == len(set(slots)), begun
            if not self._breaks:
                laws.check_deletions(schedule.keep.last, images)
        assert set(self.bystanders) <= {image.id for image in self.images()}

    def check_made(self) -> None:
        """See that each slot that could have an image has had one."""
        claimed = {
            image.properties.get(CLAIM_KEY)
            for image in (*self.images(), *self.images(deleted=True))
        }
        made = self.made()
        for server_id, schedule in self.schedules.items():
            slots = {slot_of(each) for each in made[server_id] if has_data(each)}
            for slot, due in self._slots(server_id, schedule):
                tries = {f"{server_id}:{slot}:{n}" for n in range(laws.TRIES)}
                over = due + _OVER < self.now()
                assert slot in slots or not over or tries <= claimed, (server_id, slot)

    def check_settled(self) -> None:
        """See that just the images are there that should be, and nothing else is."""
        made = self.made()
        for server_id, schedule in self.schedules.items():
            laws.check_settled(
                server_id, schedule, made[server_id], self.now(), self.begun, WINDOW
            )
        images = self.images()
        laws.check_bystanders(self.bystanders, images)
        # Whoever was killed between an image and its snapshots has left them, if it
        # was a runner of the earlier version.
        named = {snapshot for image in images for snapshot in named_by(image)}
        left = {self.named[each] for each in self._snapshots().keys() - named}
        assert left <= self.lost

    def _slots(
        self, server_id: str, schedule: ImageSchedule
    ) -> Iterator[tuple[str, datetime]]:
        moment = self.now()
        while True:
            slot = slots_around(server_id, schedule, moment, WINDOW)[0]
            if slot.due < self.begun:
                return
            yield slot.name, slot.due
            moment = slot.due - timedelta(seconds=1)


def has_data(image: Image) -> bool:
    """Whether an image was ever complete."""
    return bool(image.size) or MAPPING_KEY in image.properties


def named_by(image: Image) -> set[str]:
    """The volume snapshots that an image names."""
    mapping = json.loads(image.properties.get(MAPPING_KEY, "[]"))
    return {each["snapshot_id"] for each in mapping}


@contextmanager
def week_beside(
    before: Path,
    logs: Path,
    seed: int,
    servers: int = 8,
    runners: int = 4,
    *,
    breaks: bool = False,
) -> Iterator[Week]:
    """Begin a week."""
    with Sandbox(speed=0, start=START, extension=False) as sandbox:
        week = Week(sandbox, before, logs, seed, servers, runners, breaks)
        try:
            yield week
        finally:
            week.close()
