"""The base of this package's errors, and the error of a value that is not allowed."""

from __future__ import annotations


class ScheduledImagesError(Exception):
    """The base of all errors of this package."""

    #: What a command that meets the error ends with.
    exit_status = 1


class InvalidValue(ScheduledImagesError, ValueError):
    """A value that no cloud would take; nothing has been sent."""

    exit_status = 2
