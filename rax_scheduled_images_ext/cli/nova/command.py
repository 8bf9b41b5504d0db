"""What the commands of ``nova`` have in common."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NoReturn

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.novaclient import cloud_of, for_novaclient
from rax_scheduled_images_ext.console.arguments import ONE_WAY
from rax_scheduled_images_ext.console.report import Console
from rax_scheduled_images_ext.console.targets import confirmed
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.operations.targets import (
    Target,
    as_targets,
    find_targets,
)

_NOVACLIENT = "novaclient.exceptions"


def label(error: BaseException) -> str:
    """Return the class name that users see: novaclient's own, if there is one."""
    kinds = type(for_novaclient(error)).__mro__ if isinstance(error, Exception) else ()
    names = [kind.__name__ for kind in kinds if kind.__module__ == _NOVACLIENT]
    return names[0] if names else type(error).__name__


def error_line(error: BaseException, about: str = "") -> str:
    """Return what novaclient's shell prints of an error."""
    text = f"{about}: {error}" if about else str(error)
    return f"ERROR ({label(error)}): {text}"


def failed_delete(image: str, error: Exception) -> str:
    """Return novaclient 7's words for an image that could not be deleted."""
    return f"Delete for image {image} failed: {error}"


CONSOLE = Console(error_line, failed_delete)


@contextmanager
def failing_as_one() -> Iterator[None]:
    """Turn an error in the block into one line and the end of the command."""
    try:
        yield
    except Exception as error:
        CONSOLE.error(error)
        raise SystemExit(1) from None


def finish(done: bool) -> None:
    """End the command with status 1 unless everything was done."""
    end(0 if done else 1)


def end(status: int) -> None:
    """End the command with a status, unless that means success."""
    if status:
        raise SystemExit(status)


def open_cloud(cs: Any) -> Cloud:
    """Return the cloud of a novaclient client; waits for it are reported."""
    return replace(cloud_of(cs), waits=CONSOLE.waits)


def usage_error(command: str, text: str) -> NoReturn:
    """End the command with an error of usage, as novaclient's parser does."""
    say(f"error: {text}")
    say(f"Try 'nova help {command}' for more information.")
    raise SystemExit(2)


def targets_of(
    cloud: Cloud,
    command: str,
    args: Any,
    *,
    scheduled: bool = False,
    dry_run: bool = False,
) -> list[Target]:
    """Return the servers that a command changes; end it if there are none.

    :param scheduled: with --all and --name, only servers with a schedule.
    :param dry_run: nothing is changed, so no question is asked.
    """
    named: list[str] = args.server or []
    if (bool(named) + args.all + (args.name is not None)) != 1:
        usage_error(command, ONE_WAY)
    if named:
        return as_targets(named)
    with failing_as_one():
        found = find_targets(cloud, args.name, scheduled=scheduled)
    if not dry_run:
        finish(confirmed(found, args.name, yes=args.yes))
    return found
