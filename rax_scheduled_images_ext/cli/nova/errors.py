"""This package's errors as errors of novaclient's too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from novaclient import exceptions

from rax_scheduled_images_ext.errors import ApiError, ScheduledImagesError, UsageError


def for_novaclient(error: Exception) -> Exception:
    """Make an error catchable by programs that were written against novaclient.

    A refusal becomes one of novaclient's class for its status as well (a
    ``NoSchedule`` a ``NotFound``), a usage error a ``CommandError``; others stay as
    they are. It remains the same object, with its data and its traceback.
    """
    if isinstance(error, (exceptions.ClientException, exceptions.CommandError)):
        return error  # type: ignore[no-any-return]
    if isinstance(error, ApiError):
        theirs = _refusal(error)
        error.__class__ = _combined(type(error), type(theirs))
        vars(error).update({**vars(error), **vars(theirs)})
    elif isinstance(error, UsageError):
        error.__class__ = _combined(type(error), exceptions.CommandError)
    return error


@contextmanager
def novaclient_errors() -> Iterator[None]:
    """Let what is raised within be novaclient's as well."""
    try:
        yield
    except ScheduledImagesError as error:
        raise for_novaclient(error)  # noqa: B904 (it is the same error)


def _combined(own: Any, theirs: Any) -> Any:
    name = theirs.__name__ if own is ApiError else own.__name__
    return type(name, (own, theirs), {"__module__": __name__, "__doc__": own.__doc__})


def _refusal(error: ApiError) -> Any:
    """Return novaclient's own exception for a refusal."""
    headers = {"retry-after": error.retry_after} if error.retry_after else {}
    response = SimpleNamespace(status_code=error.status, headers=headers)
    body = {"message": error.message}
    theirs = exceptions.from_response(response, body, error.path, error.method)
    theirs.request_id = error.request_id
    return theirs
