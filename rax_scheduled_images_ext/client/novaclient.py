"""For novaclient: the cloud of a client, and errors that are also novaclient's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from keystoneauth1.adapter import Adapter
from novaclient import exceptions, utils
from novaclient.client import osprofiler_web
from requests import Response

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.errors import ApiError, ScheduledImagesError, UsageError


class NovaAdapter(Adapter):
    """An adapter for a novaclient client's user, included in ``--timings``."""

    def __init__(self, client: Any, **options: Any) -> None:
        options.setdefault("region_name", client.region_name)
        super().__init__(
            client.session,
            auth=client.auth,
            interface=client.interface,
            user_agent=client.user_agent,
            logger=client.logger,
            **options,
        )
        self._client = client

    def request(self, url: str, method: str, **options: Any) -> Response:
        """Send a request as novaclient does."""
        if osprofiler_web:
            headers = {**options.get("headers", {})}
            options["headers"] = {**headers, **osprofiler_web.get_trace_id_headers()}
        with utils.record_time(self._client.times, self._client.timings, method, url):
            return super().request(url, method, **options)


def cloud_of(cs: Any) -> Cloud:
    """Return the cloud of a novaclient client, in the client's region."""
    client = cs.client

    def open_adapter(service_type: str, **options: Any) -> NovaAdapter:
        if service_type != "compute":
            return NovaAdapter(client, service_type=service_type, **options)
        if "region_name" not in options:
            options.setdefault("endpoint_override", client.endpoint_override)
        version = client.api_version
        # Clouds without microversions have version 2.0.
        if version and version.ver_minor:
            options.setdefault("default_microversion", version.get_string())
        return NovaAdapter(
            client,
            service_type=client.service_type,
            service_name=client.service_name,
            **options,
        )

    return Cloud(open_adapter)


def for_novaclient(error: Exception) -> Exception:
    """Make an error catchable by programs written for novaclient.

    A refusal also becomes an instance of novaclient's class for its status (a
    ``NoSchedule`` a ``NotFound``), a usage error a ``CommandError``; others stay
    unchanged. It remains the same object, with its data and its traceback.
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
    """Make errors raised within also novaclient's."""
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
