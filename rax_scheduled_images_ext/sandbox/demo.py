"""The tour in the documents: real ``nova`` processes, each step checked.

The clock stands still and the seed is fixed, so that the output is always the same.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from rax_scheduled_images_ext.model.image import MARKER_KEY

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox import Sandbox

# The cloud it needs, at 2026-01-01T00:00:00Z until the tour moves the clock.
SETTINGS: dict[str, Any] = {
    "like": "openstack",
    "start": 1767225600.0,
    "speed": 0.0,
    "seed": 1,
}

# What novaclient prints first: that nova is deprecated, or in release 7 that an image
# command is.
_DEPRECATION = re.compile(
    r"(nova CLI|WARNING: Command image-\w+) is deprecated and will be removed .*\n"
)


class DemoFailed(Exception):
    """A step failed; the text names it and what it did."""


class Demo:
    """One tour of the commands.

    :param sandbox: a running cloud of its own, made with ``SETTINGS``.
    :param say: where each line goes.
    """

    def __init__(self, sandbox: Sandbox, say: Callable[[str], object]) -> None:
        # Without Python's warnings about novaclient's own code.
        self._environment = sandbox.environ()
        self._environment["PYTHONWARNINGS"] = "ignore"
        self._say = say
        self._step = ""

    def run(self) -> None:
        """Run the whole tour.

        :raises DemoFailed: at the first step that fails.
        """
        self._title("Take a daily image of myserver and keep the newest seven.")
        self._prints("", "nova", "scheduled-images-enable", "myserver", "7")
        self._shows(7)

        self._title("Ten days later there are seven images.")
        self._advance("10d")
        first = self._scheduled_images(7)
        oldest = first[0]
        self._described(oldest)

        self._title("Keep the oldest for good: remove the marker of a scheduled image.")
        self._prints("", "nova", "image-meta", oldest, "delete", MARKER_KEY)

        self._title("Thirty days later it is still there, with the newest seven.")
        self._advance("30d")
        later = self._scheduled_images(8)
        self._check(later[0] == oldest, f"{oldest} is gone")
        self._check(not set(later[1:]) & set(first), "an image outlived its retention")

        self._title("Keep three from now on: the next image replaces the others.")
        self._prints("", "nova", "scheduled-images-enable", "myserver", "3")
        self._shows(3)
        self._advance("1d")
        last = self._scheduled_images(4)
        self._check(last[0] == oldest, f"{oldest} is gone")

        self._title("Disable the schedule: no more images are made, and these stay.")
        self._prints("", "nova", "scheduled-images-disable", "myserver")
        self._refused(
            "Scheduled images not enabled", "scheduled-images-show", "myserver"
        )
        self._advance("7d")
        self._check(self._scheduled_images(4) == last, "the images are not the same")

    # Steps

    def _shows(self, retention: int) -> None:
        expected = f"Schedule type: Daily\nRetention: {retention}\n"
        self._prints(expected, "nova", "scheduled-images-show", "myserver")

    def _advance(self, duration: str) -> None:
        self._do("scheduled-images-sandbox", "advance", duration)

    def _scheduled_images(self, number: int) -> list[str]:
        """List the images; return the names of the scheduled ones, oldest first."""
        rows = [line.split("|") for line in self._do("nova", "image-list").splitlines()]
        names = [row[2].strip() for row in rows if len(row) > 2]
        daily = sorted(name for name in names if name.startswith("Daily-myserver-"))
        self._check(len(daily) == number, f"{len(daily)} daily images, not {number}")
        return daily

    def _described(self, image: str) -> None:
        output = self._do("nova", "image-show", image)
        for word in (image, "ACTIVE", MARKER_KEY):
            self._check(word.lower() in output.lower(), f"no {word}")

    def _prints(self, expected: str, *command: str) -> None:
        output = self._do(*command)
        self._check(output == expected, f"printed {output!r}, not {expected!r}")

    def _refused(self, text: str, *command: str) -> None:
        output = self._do("nova", *command, status=1)
        self._check(text in output, f"did not say {text!r}")

    def _title(self, text: str) -> None:
        self._say(f"# {text}")

    # How a step is done

    def _do(self, *command: str, status: int = 0) -> str:
        """Run and print one command; return what it wrote."""
        self._step = " ".join(command)
        self._say(f"$ {self._step}")
        try:
            done = subprocess.run(
                command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise DemoFailed(f"cannot start {command[0]}: {error.strerror}") from error
        output = done.stdout + _DEPRECATION.sub("", done.stderr, count=1)
        if output:
            self._say(output.removesuffix("\n"))
        self._check(done.returncode == status, f"ended with status {done.returncode}")
        return output

    def _check(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise DemoFailed(f"the tour's step '{self._step}' failed: {otherwise}")
