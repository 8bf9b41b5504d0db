"""The base of this package's errors, and the error of a value that is not allowed."""

from __future__ import annotations

from rax_scheduled_images_ext.model.text import one_line


class ScheduledImagesError(Exception):
    """The base of all errors of this package."""

    #: What a command that meets the error ends with.
    exit_status = 1

    def __str__(self) -> str:
        """Return what went wrong as one line, whatever names are in it."""
        return one_line(super().__str__())


class InvalidValue(ScheduledImagesError, ValueError):
    """A value that no cloud would take; nothing has been sent."""

    exit_status = 2
