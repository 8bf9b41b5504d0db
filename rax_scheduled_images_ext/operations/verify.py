"""Proves that images boot: a test server is created, checked and deleted.

A proof fails only if the test server is in ERROR because of the image, if its console
never shows what is expected, or if the command fails. Other errors say nothing about an
image. The result is recorded on the image. A test server is deleted in any case; one
that a killed program left behind is removed by the next proof.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

from rax_scheduled_images_ext.client.boot import BootRequest, Servers
from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.http import path
from rax_scheduled_images_ext.client.servers import date_of, looks_like_id
from rax_scheduled_images_ext.client.snapshots import PASSING
from rax_scheduled_images_ext.client.verify import (
    console_of,
    delete_server,
    find_tests,
    knows_tags,
    source_of,
)
from rax_scheduled_images_ext.client.volumes import Volumes
from rax_scheduled_images_ext.errors import (
    ApiError,
    CommandFailed,
    NoConsole,
    NoMatch,
    NoSuchImage,
    NoSuchServer,
    NoSuchVolumeSnapshot,
    RestoreRefused,
    SeveralMatches,
    SnapshotsInDoubt,
    VerifyRefused,
)
from rax_scheduled_images_ext.model.image import ServerImage
from rax_scheduled_images_ext.model.restore import (
    Flavor,
    candidates,
    check_image,
    described_flavor,
)
from rax_scheduled_images_ext.model.server import ServerFacts, facts_of
from rax_scheduled_images_ext.model.verify import (
    LOGIN,
    TEST_KEY,
    Finding,
    Level,
    Verification,
    blames_image,
    devices_of_test,
    expected_line,
    image_of_left_behind,
    is_made_by,
    last_line,
    metadata_of_test,
    name_of_test,
    shortened,
    tags_of_test,
    verified_metadata,
)
from rax_scheduled_images_ext.model.volume_snapshots import named_snapshots
from rax_scheduled_images_ext.operations.proof import prove
from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import (
    Follower,
    Interrupted,
    SignalCatcher,
)
from rax_scheduled_images_ext.operations.work_queue import Outcome, Report, run

#: The time limit for a test server to become ACTIVE, and for its guest, in seconds.
TIME_LIMIT = 300.0
#: The maximum number of test servers at a time.
AT_ONCE = 2
# The time limit for a deletion.
_DELETION = 120.0
# A single 404 may come from something in between, such as a proxy.
_GONE = 2


@dataclass(frozen=True)
class VerifyOptions:
    """How images are proven.

    ``console`` is what the console must show, by default a login prompt; ``command``
    must succeed with the server. ``networks`` are the IDs or names of the test server's
    networks, by default none; ``flavor`` replaces the server's own. ``time_limit`` is
    in seconds, for the server and for its guest each.
    """

    level: Level = Level.CONSOLE
    console: re.Pattern[str] | None = None
    command: HookCommand | None = None
    networks: tuple[str, ...] = ()
    flavor: str | None = None
    time_limit: float = TIME_LIMIT
    at_once: int = AT_ONCE

    @property
    def longest(self) -> float:
        """The most seconds that a test server may exist."""
        return 2 * self.time_limit + _DELETION


@dataclass(frozen=True)
class VerifyPlan:
    """An image that is to be proven; ``server`` is its server, as far as known."""

    image: ServerImage
    flavor: Flavor
    server: ServerFacts
    networks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verified:
    """The result of proving an image.

    ``seen`` is what was seen last, or why nothing is known. ``enough`` is whether the
    requested level was reached. ``problem`` is why the result is not recorded on the
    image, ``left_id`` the test server that could not be deleted.
    """

    plan: VerifyPlan
    finding: Finding
    level: Level | None = None
    seen: str = ""
    time: datetime | None = None
    enough: bool = False
    problem: str | None = None
    left_id: str | None = None


class VerifyListener(Listener):
    """Receives the progress of proofs; this one agrees to all."""

    def planned(self, outcome: Outcome[str, VerifyPlan]) -> None:
        """Note which image is to be proven for a name, or why none can be."""

    def agrees(self, plans: Sequence[VerifyPlan]) -> bool:
        """Return whether to create the test servers."""
        return True

    def verified(self, done: Verified) -> None:
        """Note the result for an image."""


def plan_verify(
    cloud: Cloud,
    named: Sequence[str],
    options: VerifyOptions,
    report: Report[str, VerifyPlan] | None = None,
) -> list[VerifyPlan]:
    """Return which images are to be proven, each once; nothing is changed.

    Errors: NoMatch, SeveralMatches, VerifyRefused.

    :param named: names or IDs of servers, whose newest complete images are proven, or
        of images. If both have a name, it means the server.
    """
    cloud = cloud.shared() if len(named) > 1 else cloud
    planning = _Planning(cloud, options)
    found = run(named, planning.plan, report)
    plans: dict[str, VerifyPlan] = {}
    for each in found:
        if each.value is not None:
            plans.setdefault(each.value.image.id, each.value)
    return list(plans.values())


def verify_named(
    cloud: Cloud,
    named: Sequence[str],
    options: VerifyOptions,
    listener: VerifyListener,
    signals: SignalCatcher | None = None,
) -> list[Verified]:
    """Prove the named images, if the listener agrees; return the results.

    :param named: as for :func:`plan_verify`, whose errors the listener receives.
    :param signals: the signals that interrupt it.
    :raises Interrupted: as for :func:`verify`.
    """
    plans = plan_verify(cloud, named, options, Report(listener.planned))
    if not plans or not listener.agrees(plans):
        return []
    return verify(cloud, plans, options, listener, signals)


def verify(
    cloud: Cloud,
    plans: Sequence[VerifyPlan],
    options: VerifyOptions,
    listener: VerifyListener | None = None,
    signals: SignalCatcher | None = None,
) -> list[Verified]:
    """Prove images, several at a time; return the results.

    Whatever happens, every test server is deleted, if the cloud allows it.

    :param signals: the signals that interrupt it.
    :raises Interrupted: by a signal, once all test servers are deleted.
    """
    listener = listener or VerifyListener()
    cloud = cloud.shared() if len(plans) > 1 else cloud
    with nullcontext(signals) if signals else SignalCatcher() as leader:
        remove_left_behind(cloud, Poller(Follower(leader), listener=listener))

        def prove_one(plan: VerifyPlan) -> Verified:
            return Trial(cloud, plan, options, Follower(leader), listener).run()

        def ended(outcome: Outcome[VerifyPlan, Verified]) -> None:
            listener.verified(_result_of(outcome))

        done = run(plans, prove_one, Report(ended), workers=options.at_once)
    leader.check()
    return [_result_of(outcome) for outcome in done]


def _result_of(outcome: Outcome[VerifyPlan, Verified]) -> Verified:
    if outcome.value is not None:
        return outcome.value
    return Verified(outcome.item, Finding.UNKNOWN, seen=str(outcome.error))


# -- planning


@dataclass
class _Planning:
    """Finds the image for a name, and what is needed to boot it."""

    cloud: Cloud
    options: VerifyOptions

    def __post_init__(self) -> None:
        self.servers = Servers.of(self.cloud)
        self.own_project = self.cloud.compute.adapter.get_project_id()

    def plan(self, label: str) -> VerifyPlan:
        server = self._find(label)
        image = self._newest(server) if server else self._image(label)
        server = server or facts_of(image) or ServerFacts(str(image.server_id or ""))
        if self.options.flavor is not None:
            flavor = self.servers.find_flavor(self.options.flavor)
        else:
            flavor = self._flavor_of(image, server)
        proof = prove(self.cloud, image)
        if not proof.is_whole:
            raise VerifyRefused(
                f"Image {image.name} ({image.id}) is not complete: {proof.reason}"
            )
        try:
            check_image(image, self.own_project, flavor, in_place=False)
        except RestoreRefused as error:
            raise VerifyRefused(str(error)) from None
        find = self.servers.find_network
        wanted = self.options.networks
        networks = tuple(n if looks_like_id(n) else find(n) for n in wanted)
        return VerifyPlan(image, flavor, server, networks)

    def _find(self, label: str) -> ServerFacts | None:
        """Return the server with a name or an ID, also a deleted one."""
        if not looks_like_id(label):
            found = {s.id: s for s in self.servers.named([label])[0]}
            if len(found) > 1:
                raise SeveralMatches("server", label, list(found))
            return next(iter(found.values()), None)
        with suppress(NoSuchServer):
            return self.servers.get(label)[0]
        left = next(iter(self.cloud.images.list(server_id=label, limit=1)), None)
        return None if left is None else ServerFacts(label, project_id=left.owner)

    def _image(self, label: str) -> ServerImage:
        try:
            return self.cloud.images.find(label)
        except NoMatch:
            raise NoMatch("server or image", label) from None

    def _newest(self, server: ServerFacts) -> ServerImage:
        """Return the newest complete image of a server.

        :raises VerifyRefused: if there is none.
        """
        images = list(self.cloud.images.list(server_id=server.id))
        for image in candidates(images, server.id, self.own_project):
            if prove(self.cloud, image).is_whole:
                return image
        raise VerifyRefused(
            f"There is no complete image of server {server.name or server.id}"
        )

    def _flavor_of(self, image: ServerImage, server: ServerFacts) -> Flavor:
        """Return the flavor of the image's server.

        :raises VerifyRefused: if it is gone or unknown.
        """
        found = (server, facts_of(image))
        known = [each for each in found if each is not None and described_flavor(each)]
        if not known and image.server_id is not None:
            with suppress(NoSuchServer):
                known = [self.servers.get(image.server_id)[0]]
        flavor = next(filter(None, map(self.servers.flavor_of, known)), None)
        if flavor is None:
            state = "gone" if known else "not known"
            raise VerifyRefused(
                f"The flavor of image {image.name} ({image.id}) is {state}: use"
                " --flavor"
            )
        return flavor


# -- one image


class _Unknown(Exception):
    """The proof could not be carried out, or not completed."""


class Trial:
    """The test server of one image, from the first request to the last.

    ``server_id`` is the test server's ID, None until it exists.

    :param signals: the signals that interrupt it, except during the deletion of the
        test server.
    """

    def __init__(
        self,
        cloud: Cloud,
        plan: VerifyPlan,
        options: VerifyOptions,
        signals: Follower,
        listener: Listener,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.plan = plan
        self.server_id: str | None = None
        self._cloud = cloud
        self._servers = Servers.of(cloud)
        self._options = options
        self._signals = signals
        self._listener = _Named(listener, plan.image.name or plan.image.id)
        limits = Timeouts(total=options.time_limit)
        self._poller = Poller(signals, limits, self._listener, clock)
        self._nonce = uuid.uuid4().hex
        self._name = name_of_test(plan.image.id, self._nonce)
        self._now: datetime | None = None
        self._addresses: tuple[str, ...] = ()

    def run(self) -> Verified:
        """Prove the image, delete the test server, and record the result."""
        try:
            found = self._look()
        except _Unknown as error:
            found = self._unknown(str(error))
        except (*PASSING, Interrupted) as error:
            found = self._unknown(str(error) or type(error).__name__)
        finally:
            self._signals.obeys = False
            left_id = self._clean_up()
        found = replace(found, left_id=left_id)
        return found if found.finding is Finding.UNKNOWN else self._remember(found)

    def _unknown(self, reason: str) -> Verified:
        return Verified(self.plan, Finding.UNKNOWN, seen=reason)

    def _look(self) -> Verified:
        self._check_image()
        self._boot()
        if failure := self._await_active():
            return self._found(None, failure)
        level, seen = Level.BOOTED, "ACTIVE"
        options = self._options
        if options.level is Level.CONSOLE or options.console is not None:
            reached, seen = self._watch_console()
            if reached is None:
                return self._found(None, seen)
            level = reached
        if options.level is Level.COMMAND:
            content, seen = self._run_command()
            return self._found(Level.COMMAND if content else None, seen)
        return self._found(level, seen)

    def _found(self, level: Level | None, seen: str) -> Verified:
        finding = Finding.FAILED if level is None else Finding.PROVEN
        enough = level is not None and level >= self._options.level
        now = self._now or datetime.now(timezone.utc)
        return Verified(self.plan, finding, level, shortened(seen), now, enough)

    def _check_image(self) -> None:
        """Check that the image has not changed since it was chosen."""
        try:
            image = self._poller.retry(
                partial(self._cloud.images.get, self.plan.image.id)
            )
        except NoSuchImage:
            raise _Unknown("the image is gone") from None
        if image.status != "ACTIVE":
            raise _Unknown(f"the image is {image.status}")

    # -- the test server

    def _boot(self) -> None:
        plan, image = self.plan, self.plan.image
        server: dict[str, Any] = {
            "name": self._name,
            "imageRef": image.id,
            "flavorRef": plan.flavor.id,
            "metadata": metadata_of_test(image.id, self._options.longest, self._nonce),
            "networks": [{"uuid": network} for network in plan.networks] or "none",
        }
        if plan.server.config_drive:
            server["config_drive"] = True
        try:
            devices = devices_of_test(image)
        except SnapshotsInDoubt as error:
            raise _Unknown(str(error)) from None
        if devices:
            server["block_device_mapping_v2"] = devices
        if self._knows_tags():
            server["tags"] = tags_of_test(image.id)
        elif not plan.networks:
            raise _Unknown(
                "this cloud cannot create a server without a network: use --network"
            )
        request = partial(self._servers.boot, server, {})
        try:
            # Once the request is sent, it must become known what it has created.
            begun = self._signals.call(
                request, 4 * self._poller.limits.answer, interruptible=False
            )
        except ApiError as error:
            raise _Unknown(f"the test server was refused: {error}") from error
        except TimeoutError as error:
            begun = BootRequest(None, problem=str(error))
        self.server_id = begun.server_id or self._find()
        if self.server_id is None:
            raise _Unknown(
                "it is not known whether the test server is being created"
                f" ({begun.problem})"
            )
        self._listener.note(f"test server {self.server_id} is being created")

    def _knows_tags(self) -> bool:
        """Whether the cloud supports tags, and servers without networks."""
        if self.plan.server.tags is not None:
            return True
        url = path("flavors", self.plan.flavor.id)
        return knows_tags(self._poller.retry(lambda: self._servers.transport.get(url)))

    def _find(self) -> str | None:
        """Return the ID of the test server whose request had no response."""
        self._signals.obeys = False

        def look() -> str | None:
            for server in self._servers.named([self._name])[0]:
                if server.metadata.get(TEST_KEY, "").endswith(f":{self._nonce}"):
                    return server.id
            return None

        try:
            polls = self._poller.polls(look, _pace, self._poller.limits.quiet)
            return next(filter(None, polls), None)
        finally:
            self._signals.obeys = True

    def _server(self) -> ServerFacts | None:
        """Return the test server, None if there is none."""
        try:
            server, answer = self._servers.get(str(self.server_id))
        except NoSuchServer:
            return None
        self._now = date_of(answer)
        return server

    def _await_active(self) -> str | None:
        """Wait until the test server is ACTIVE; return why it never will be, else None.

        :raises _Unknown: if it is not ACTIVE, but that may not be the image's fault.
        """
        gone, last = 0, "nothing"
        limit = self._options.time_limit
        for server in self._poller.polls(self._server, _pace, limit):
            gone = gone + 1 if server is None else 0
            if gone >= _GONE:
                self.server_id = None
                raise _Unknown("somebody has deleted the test server")
            if server is None:
                continue
            last = str(server.status)
            self._listener.progress(f"the test server is {last}")
            if last == "ACTIVE":
                self._addresses = server.addresses
                return None
            if last == "ERROR":
                return self._judge(server.fault)
        raise _Unknown(
            f"the test server was not ACTIVE within {limit:.0f} s (last seen: {last})"
        )

    def _judge(self, fault: str | None) -> str:
        """Return why a test server is in ERROR, if that is the image's fault.

        :raises _Unknown: if the image is not known to be the cause.
        """
        why = f"the test server is in ERROR: {fault or 'the cloud does not say why'}"
        if not blames_image(fault):
            raise _Unknown(why)
        self._check_image()
        return why

    # -- what is to be seen of it

    def _watch_console(self) -> tuple[Level | None, str]:
        """Return the level that was reached, None for a failure, and what was seen.

        A server whose console cannot be read, or stays empty, reaches only BOOTED.
        """
        expected = self._options.console or LOGIN
        since = begun = self._poller.clock()
        limit = self._options.time_limit
        for console in self._poller.polls(self._console, _pace, limit):
            if isinstance(console, str):
                since = self._poller.clock()
                line = expected_line(console, expected)
                if line is not None:
                    return Level.CONSOLE, line
                self._listener.progress(f"its console: {last_line(console)}")
            elif self._poller.clock() - since >= self._poller.limits.quiet:
                # Right after the boot, the console may not exist yet.
                break
        server = self._poller.retry(self._server)
        if server is None or server.status != "ACTIVE":
            now = "gone" if server is None else server.status
            raise _Unknown(f"the test server is {now}, not ACTIVE")
        # Judged by the last reading, not by one from before errors occurred.
        console = self._poller.retry(self._console)
        passed = self._poller.clock() - begun
        if isinstance(console, NoConsole):
            return Level.BOOTED, f"ACTIVE; {console}"
        if not console.strip():
            return Level.BOOTED, "ACTIVE; its console shows nothing"
        line = expected_line(console, expected)
        if line is not None:
            return Level.CONSOLE, line
        return None, (
            f"no '{expected.pattern}' on its console within {passed:.0f} s; last line:"
            f" {last_line(console)}"
        )

    def _console(self) -> str | NoConsole:
        try:
            return console_of(self._servers.transport, str(self.server_id))
        except NoConsole as error:
            return error

    def _run_command(self) -> tuple[bool, str]:
        """Return whether the command succeeded, and a description."""
        command, plan = self._options.command, self.plan
        assert command is not None
        facts = {
            "server_id": self.server_id,
            "server_name": self._name,
            "addresses": list(self._addresses),
            "image_id": plan.image.id,
            "image": plan.image.name,
            "flavor": plan.flavor.name,
            "of_server_id": plan.server.id or None,
            "of_server": plan.server.name or None,
        }
        try:
            command.run(
                variables={},
                seconds=self._options.time_limit,
                signals=self._signals,
                write=self._listener.output,
                feed=json.dumps(facts).encode(),
            )
        except CommandFailed as error:
            if error.status is None:
                raise _Unknown(str(error)) from None
            return False, str(error)
        return True, f"'{command.text}' succeeded"

    # -- afterwards

    def _clean_up(self) -> str | None:
        """Delete the test server; return its ID if it may still exist."""
        server_id = self.server_id
        if server_id is None:
            return None
        if delete_test(self._servers, server_id, self._poller):
            return None
        self._listener.note(
            f"test server {server_id} is left behind: the next proof will remove it"
        )
        return server_id

    def _remember(self, found: Verified) -> Verified:
        """Record the result on the image."""
        assert found.time is not None
        image = self.plan.image
        known = Verification(image.id, found.time, found.level, found.seen)
        metadata = verified_metadata(image.id, known)
        try:
            self._poller.retry(
                partial(self._cloud.images.set_metadata, image, metadata)
            )
        except NoSuchImage:
            return replace(found, problem="the image has been deleted meanwhile")
        except PASSING as error:
            return replace(
                found, problem=f"it cannot be recorded on the image: {error}"
            )
        return found


class _Named(Listener):
    """Adds the image to each note."""

    def __init__(self, listener: Listener, name: str) -> None:
        self._listener = listener
        self._name = name

    def note(self, text: str) -> None:
        self._listener.note(f"Image {self._name}: {text}")

    def progress(self, text: str) -> None:
        self._listener.progress(f"image {self._name}: {text}")

    def output(self, text: bytes) -> None:
        self._listener.output(text)


# -- test servers that are not needed any more


def delete_test(servers: Servers, server_id: str, poller: Poller) -> bool:
    """Delete a test server, and wait; return whether it is known to be gone."""
    accepted = False

    def is_gone() -> bool:
        nonlocal accepted
        try:
            if not accepted:
                delete_server(servers.transport, server_id)
            # If it is not being deleted by now, the deletion has failed.
            accepted = servers.get(server_id)[0].task_state is not None
        except NoSuchServer:
            return True
        return False

    gone = 0
    for done in poller.polls(is_gone, _pace, _DELETION):
        gone = gone + 1 if done else 0
        if gone >= _GONE:
            return True
    return gone > 0


def remove_left_behind(cloud: Cloud, poller: Poller) -> list[str]:
    """Delete the test servers that earlier runs of this user left behind.

    Those that cannot be read or deleted are left to the next run.

    :returns: the IDs of the deleted servers.
    """
    servers, removed = Servers.of(cloud), []
    try:
        for server_id in poller.retry(lambda: _removable(cloud)):
            if delete_test(servers, server_id, poller):
                poller.listener.note(
                    f"Removed test server {server_id}, which was left behind"
                )
                removed.append(server_id)
            else:
                poller.listener.note(
                    f"Test server {server_id}, which was left behind, cannot be removed"
                )
    except PASSING as error:
        poller.listener.note(f"Test servers left behind cannot be listed: {error}")
    return removed


def find_left_behind(
    cloud: Cloud, *, all_projects: bool = False
) -> Iterator[tuple[ServerFacts, str]]:
    """Yield the test servers whose proofs must be over, and the images they name.

    :param all_projects: of all projects, which requires an administrator.
    """
    transport = Servers.of(cloud).transport
    for server, answer in find_tests(transport, all_projects=all_projects):
        image_id = image_of_left_behind(server, date_of(answer))
        if image_id is not None:
            yield server, image_id


def _removable(cloud: Cloud) -> list[str]:
    found = find_left_behind(cloud)
    return [server.id for server, image_id in found if is_ours(cloud, server, image_id)]


def is_ours(cloud: Cloud, server: ServerFacts, image_id: str) -> bool:
    """Whether this user has left a test server behind, beyond doubt."""
    adapter = cloud.compute.adapter
    user_id, project_id = adapter.get_user_id(), adapter.get_project_id()
    if server.locked or not is_made_by(server, image_id, user_id, project_id):
        return False
    return bool(server.image_id) or _boots_from(cloud, server, image_id)


def _boots_from(cloud: Cloud, server: ServerFacts, image_id: str) -> bool:
    """Whether all volumes of a server were created from the snapshots of an image.

    If the image is gone, a snapshot that was to go with it names it.
    """
    volumes = cloud.volumes
    if volumes is None or not server.volumes:
        return False
    sources = [source_of(volumes, each) for each in server.volumes]
    try:
        own = named_snapshots(cloud.images.get(image_id))
    except SnapshotsInDoubt:
        return False
    except NoSuchImage:
        return all(_went_with(volumes, each, image_id) for each in sources)
    return all(each in own for each in sources)


def _went_with(volumes: Volumes, snapshot_id: str | None, image_id: str) -> bool:
    """Whether a snapshot is still there, and was to be deleted with an image."""
    if snapshot_id is None:
        return False
    try:
        return volumes.snapshot(snapshot_id).image_id == image_id
    except NoSuchVolumeSnapshot:
        return False


def _pace(elapsed: float) -> float:
    """Return the seconds until the next poll: a tenth of the time taken so far."""
    return min(0.5 + elapsed / 10, 15.0)
