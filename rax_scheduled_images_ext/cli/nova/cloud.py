"""The cloud that a novaclient client speaks to."""

from __future__ import annotations

from typing import Any

from keystoneauth1.adapter import Adapter
from requests import Response

from rax_scheduled_images_ext.client.cloud import Cloud


class NovaAdapter(Adapter):
    """An adapter for the user of a novaclient client; ``--timings`` counts it too."""

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
        # Late: the public API is for programs without novaclient as well.
        from novaclient import utils
        from novaclient.client import osprofiler_web

        if osprofiler_web:
            headers = {**options.get("headers", {})}
            options["headers"] = {**headers, **osprofiler_web.get_trace_id_headers()}
        with utils.record_time(self._client.times, self._client.timings, method, url):
            return super().request(url, method, **options)


def from_novaclient(cs: Any) -> Cloud:
    """Return the cloud of a novaclient client, in the client's region."""
    client = cs.client

    def open_adapter(service_type: str, **options: Any) -> NovaAdapter:
        if service_type != "compute":
            return NovaAdapter(client, service_type=service_type, **options)
        if "region_name" not in options:
            options.setdefault("endpoint_override", client.endpoint_override)
        version = client.api_version
        # Version 2.0 is that of clouds which know no microversions.
        if version and version.ver_minor:
            options.setdefault("default_microversion", version.get_string())
        return NovaAdapter(
            client,
            service_type=client.service_type,
            service_name=client.service_name,
            **options,
        )

    return Cloud(open_adapter)
