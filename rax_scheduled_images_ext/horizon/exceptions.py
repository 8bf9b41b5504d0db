"""What Horizon does about the errors of this package."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType

from django.http import HttpRequest
from horizon import exceptions
from keystoneauth1.exceptions import ClientException

from rax_scheduled_images_ext.errors import ApiError, ScheduledImagesError


@dataclass(frozen=True)
class Handled:
    """A block whose errors become messages of Horizon's, with the reason.

    A token that the cloud no longer accepts leads to the page that Horizon has for it.
    After other errors the program continues behind the block; with ``redirect``, the
    browser goes to this URL instead; with ``escalate``, the caller gets Horizon's own
    error, which says that the message is there already.
    """

    request: HttpRequest
    message: object
    redirect: object = None
    escalate: bool = False

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> bool:
        if not isinstance(error, (ScheduledImagesError, ClientException, OSError)):
            return False
        if isinstance(error, ApiError) and error.status == 401:
            raise exceptions.NotAuthorized from error
        exceptions.handle(
            self.request, self.message, redirect=self.redirect, escalate=self.escalate
        )
        return True
