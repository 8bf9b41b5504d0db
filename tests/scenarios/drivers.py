"""One scenario, two ways to drive it: the same verbs for ``nova`` and ``openstack``."""

from __future__ import annotations

import json
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

from rax_scheduled_images_ext.console.formats import Column
from rax_scheduled_images_ext.console.images import decision_columns
from rax_scheduled_images_ext.console.prune import pruned_columns
from rax_scheduled_images_ext.console.servers import (
    columns,
    detail_columns,
    limit_column,
)
from rax_scheduled_images_ext.model.space import Sizes
from rax_scheduled_images_ext.sandbox.environment import client_environment

from ..novashell import Nova
from ..openstackshell import OpenStack
from ..shell import Cloud, Result

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Driver(ABC):
    """Runs commands in this process, as the admin unless ``user`` says another.

    Rows have the keys of ``nova``'s JSON, whichever shell has printed them.
    """

    cloud: Cloud

    #: The program, and its option for a weekly schedule.
    program: ClassVar[str]
    weekly: ClassVar[str]
    verbs: ClassVar[dict[str, tuple[str, ...]]]

    @property
    @abstractmethod
    def shell(self) -> Callable[..., Result]:
        """The shell itself."""

    @abstractmethod
    def error(self, label: str, text: str) -> str:
        """Return the line about an error, without its end."""

    @abstractmethod
    def failed_delete(self, image_id: str, text: str) -> str:
        """Return the line about an image that could not be deleted."""

    def run(self, verb: str, *argv: str, **options: Any) -> Result:
        """Run the command of a verb."""
        return self.shell(*self.verbs[verb], *argv, **options)

    def ok(self, verb: str, *argv: str, **options: Any) -> str:
        """Run a command that must succeed and stay silent on stderr; its output."""
        result = self.run(verb, *argv, **options)
        assert (result.status, result.err) == (0, ""), result
        return result.out

    def start(self, verb: str, *argv: str) -> subprocess.Popen[str]:
        """Start a real program."""
        program = Path(sys.executable).with_name(self.program)
        return subprocess.Popen(
            [program, *self.verbs[verb], *argv],
            env=client_environment(self.cloud.env()),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @abstractmethod
    def enable(self, server: str, retention: int, day: str | None = None) -> Result:
        """Give a server a schedule, daily without a day."""

    @abstractmethod
    def schedule(self, server: str) -> tuple[str, str | None, int]:
        """Return the kind, the day and the retention of a server's schedule."""

    @abstractmethod
    def forecast(self, server: str, retention: int) -> str:
        """Return what is printed of a daily schedule that is not set."""

    @abstractmethod
    def rows(self, verb: str, *argv: str) -> tuple[Result, Rows]:
        """Run a command that lists, and return its rows as well."""

    def listed(self, verb: str, *argv: str) -> Rows:
        """Return the rows of a command that must succeed."""
        result, rows = self.rows(verb, *argv)
        assert (result.status, result.err) == (0, ""), result
        return rows

    @abstractmethod
    def create(self, server: str, name: str, *options: str) -> Result:
        """Create a snapshot; what is printed is its image's ID."""

    @abstractmethod
    def tags(self, server: str) -> set[str]:
        """Return the tags of a server, by the shell's own command."""

    @abstractmethod
    def add_tags(self, server: str, *tags: str) -> None:
        """Give a server further tags, by the shell's own command."""


class NovaDriver(Driver):
    """``nova scheduled-images-...``"""

    program = "nova"
    weekly = "--day-of-week"
    verbs: ClassVar = {
        "enable": ("scheduled-images-enable",),
        "update": ("scheduled-images-update",),
        "disable": ("scheduled-images-disable",),
        "show": ("scheduled-images-show",),
        "list": ("scheduled-images-list",),
        "check": ("scheduled-images-check",),
        "images": ("scheduled-images-image-list",),
        "protect": ("scheduled-images-protect",),
        "unprotect": ("scheduled-images-unprotect",),
        "prune": ("scheduled-images-prune",),
        "create": ("snapshot-create",),
        "restore": ("scheduled-images-restore",),
        "watch": ("snapshot-watch",),
    }

    @property
    def shell(self) -> Nova:
        return Nova(self.cloud)

    def error(self, label: str, text: str) -> str:
        return f"ERROR ({label}): {text}"

    def failed_delete(self, image_id: str, text: str) -> str:
        return f"Delete for image {image_id} failed: {text}"

    def enable(self, server: str, retention: int, day: str | None = None) -> Result:
        days = [] if day is None else [self.weekly, day]
        return self.run("enable", *days, server, str(retention))

    def schedule(self, server: str) -> tuple[str, str | None, int]:
        (row,) = self.listed("show", server)
        return row["schedule"], row["day_of_week"], row["retention"]

    def forecast(self, server: str, retention: int) -> str:
        return self.ok("enable", "--dry-run", server, str(retention))

    def rows(self, verb: str, *argv: str) -> tuple[Result, Rows]:
        long = ("--long",) if verb == "list" else ()
        result = self.run(verb, "--format", "json", *long, *argv)
        return result, json.loads(result.out or "[]")

    def create(self, server: str, name: str, *options: str) -> Result:
        return self.run("create", *options, server, name)

    def tags(self, server: str) -> set[str]:
        lines = self.shell.ok("server-tag-list", server).splitlines()
        return {line.strip("| ") for line in lines[3:-1]}

    def add_tags(self, server: str, *tags: str) -> None:
        self.shell.ok("server-tag-add", server, *tags)


class OpenStackDriver(Driver):
    """``openstack server image schedule ...`` and ``openstack server snapshot ...``"""

    program = "openstack"
    weekly = "--weekly"
    verbs: ClassVar = {
        "enable": ("server", "image", "schedule", "set"),
        "update": ("server", "image", "schedule", "set"),
        "disable": ("server", "image", "schedule", "unset"),
        "show": ("server", "image", "schedule", "show"),
        "list": ("server", "image", "schedule", "list"),
        "check": ("server", "image", "schedule", "check"),
        "images": ("server", "snapshot", "list"),
        "protect": ("server", "snapshot", "protect"),
        "unprotect": ("server", "snapshot", "unprotect"),
        "prune": ("server", "snapshot", "prune"),
        "create": ("server", "snapshot", "create"),
        "restore": ("server", "snapshot", "restore"),
        "watch": ("server", "snapshot", "watch"),
    }
    # Its own commands for tags want a version that has them.
    _tags = ("--os-compute-api-version", "2.60")

    @property
    def shell(self) -> OpenStack:
        return OpenStack(self.cloud)

    def error(self, label: str, text: str) -> str:
        return text

    def failed_delete(self, image_id: str, text: str) -> str:
        return f"Failed to delete image {image_id}: {text}"

    def enable(self, server: str, retention: int, day: str | None = None) -> Result:
        kind = ["--daily"] if day is None else [self.weekly, day]
        return self.run("enable", "--retention", str(retention), *kind, server)

    def schedule(self, server: str) -> tuple[str, str | None, int]:
        row = json.loads(self.ok("show", "-f", "json", server))
        return row["schedule"], row["day_of_week"], row["retention"]

    def forecast(self, server: str, retention: int) -> str:
        argv = ("--dry-run", "--daily", "--retention", str(retention), server)
        return self.ok("enable", *argv)

    def rows(self, verb: str, *argv: str) -> tuple[Result, Rows]:
        long = ("--long",) if verb in ("list", "check", "images") else ()
        result = self.run(verb, "-f", "json", *long, *argv)
        keys = _keys(verb)
        found = json.loads(result.out or "[]")
        return result, [{keys[name]: row[name] for name in row} for row in found]

    def create(self, server: str, name: str, *options: str) -> Result:
        return self.run("create", "-f", "value", "-c", "id", *options, server, name)

    def tags(self, server: str) -> set[str]:
        shown = self.shell.json(*self._tags, "server", "show", "-c", "tags", server)
        return set(shown["tags"])

    def add_tags(self, server: str, *tags: str) -> None:
        options = [word for tag in tags for word in ("--tag", tag)]
        self.shell.ok(*self._tags, "server", "set", *options, server)


def _keys(verb: str) -> dict[str, str]:
    """Return the keys of columns by their headings."""
    now = datetime.now(timezone.utc)
    found: list[Column[Any]] = {
        "images": decision_columns(Sizes({}), data=True),
        "prune": list(pruned_columns({}, Sizes({}))),
    }.get(verb) or [
        *columns(now, regions=True),
        *detail_columns(now, price=None),
        limit_column(),
    ]
    titles = {"Id": "ID", "Gib": "GiB"}

    def heading(column: Column[Any]) -> str:
        words = column.title.title().split()
        return " ".join(titles.get(word, word) for word in words)

    return {heading(column): column.key for column in found}


DRIVERS: dict[str, type[Driver]] = {"nova": NovaDriver, "openstack": OpenStackDriver}
