"""Takes a snapshot of a server, with commands that stop and resume what runs on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.servers import with_server
from rax_scheduled_images_ext.client.snapshots import Snapshots, check_request
from rax_scheduled_images_ext.operations.proof import prove_now
from rax_scheduled_images_ext.operations.snapshot.create import Hook, Snapshot
from rax_scheduled_images_ext.operations.snapshot.hooks import HookCommand
from rax_scheduled_images_ext.operations.snapshot.polling import (
    Listener,
    Poller,
    Timeouts,
)
from rax_scheduled_images_ext.operations.snapshot.signals import SignalCatcher


class SnapshotListener(Listener):
    """Receives the progress of a snapshot with commands."""

    def resumed(self, snapshot: Snapshot) -> None:
        """Note that the server runs again, and that the image is known."""


@dataclass(frozen=True)
class SnapshotOptions:
    """The options of a snapshot; times are in seconds.

    ``before`` and ``after`` are the commands that stop and resume what runs; each may
    take ``command_timeout``. ``max_hold`` and ``time_limit`` count from the end of
    ``before``: until ``after``, if there is any command, and until the image and its
    volume snapshots are done if ``wait`` is set. ``hold_until`` is the task state that
    shows that the disk is copied, None to find out from the cloud; ``interval`` is the
    time between two polls, None for the default.
    """

    metadata: Sequence[tuple[str, str]] = ()
    before: HookCommand | None = None
    after: HookCommand | None = None
    max_hold: float = Timeouts.hold
    command_timeout: float = 300.0
    hold_until: str | None = None
    interval: float | None = None
    time_limit: float = Timeouts.total
    wait: bool = False

    @property
    def limits(self) -> Timeouts:
        """The time limits."""
        return Timeouts(
            hold=self.max_hold,
            total=self.time_limit,
            interval=self.interval,
            slow_interval=self.interval or Timeouts.slow_interval,
        )


def take_snapshot(
    cloud: Cloud,
    server: str,
    name: str,
    options: SnapshotOptions,
    listener: SnapshotListener,
) -> Snapshot:
    """Take a snapshot of a server.

    Without a command nothing is held, and the snapshot is only started.

    Errors: InvalidValue for a name or metadata that clouds refuse, before any request;
    those of :func:`.create.quiesced_snapshot`, Interrupted, and those of
    :meth:`.Snapshot.wait`.

    :param server: a name or an ID.
    :param name: the name of the image.
    """
    check_request(name, dict(options.metadata))
    if options.before and not options.after:
        listener.note("--before without --after: nothing will be started again")
    snapshots = Snapshots(cloud.compute)
    state = with_server(cloud.compute, server, snapshots.server)
    with SignalCatcher() as signals:
        snapshot = Snapshot(
            snapshots,
            cloud.images,
            state.id,
            name,
            metadata=dict(options.metadata),
            prove=partial(prove_now, cloud),
            safe_from=options.hold_until,
            poller=Poller(signals, options.limits, listener),
        )
        snapshot.prepare(state)
        hooks = _Hooks(options.command_timeout, signals, listener)
        try:
            with snapshot.taken(
                hooks.calling(options.before, "--before"),
                hooks.calling(options.after, "--after"),
            ):
                pass
        finally:
            if snapshot.held is not None:
                held = f"{snapshot.held:.1f} s"
                listener.note(f"Server {snapshot.server_name} was quiesced for {held}")
            if snapshot.image_id:
                listener.resumed(snapshot)
    signals.check()
    if options.wait:
        image = snapshot.wait()
        listener.note(f"Image {image.id} is {image.status}")
    return snapshot


@dataclass(frozen=True)
class _Hooks:
    """Runs commands, each with a time limit in seconds."""

    seconds: float
    signals: SignalCatcher
    listener: Listener

    def calling(self, command: HookCommand | None, option: str) -> Hook | None:
        """Return a function that runs a command for a snapshot, None without one."""
        if command is None:
            return None

        def run(snapshot: Snapshot) -> None:
            self.listener.note(f"{option}: {command.text}")
            variables = {
                "SERVER_ID": snapshot.server_id,
                "SERVER_NAME": snapshot.server_name,
            }
            if snapshot.image_id:
                variables["IMAGE_ID"] = snapshot.image_id
            command.run(
                variables=variables,
                seconds=self.seconds,
                signals=self.signals,
                write=self.listener.output,
                interruptible=option == "--before",
            )

        return run
