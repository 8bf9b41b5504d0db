"""The services of a cloud, for one user in one region."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from rax_scheduled_images_ext.client.http import RetryPolicy, Transport, silent
from rax_scheduled_images_ext.client.pool import WORKERS, Throttle, make_room
from rax_scheduled_images_ext.client.time_limits import limit_time

if TYPE_CHECKING:
    from keystoneauth1.adapter import Adapter

    from rax_scheduled_images_ext.client.images.base import ImageStore
    from rax_scheduled_images_ext.client.schedules.cloud import CloudSchedules
    from rax_scheduled_images_ext.client.volumes import Volumes

# If a cloud lets through few of many requests, some are refused more than once.
_TRIES, _SECONDS = 10, 600.0


@dataclass(frozen=True)
class Cloud:
    """The services of a cloud in one region.

    ``open_adapter`` takes a service type, and as keywords other options of
    keystoneauth's ``Adapter`` (``region_name``, ``endpoint_override``,
    ``default_microversion``); it returns an adapter for the same user. ``region`` is
    None for the adapter's own region. With a ``throttle`` all requests keep one pace:
    see :meth:`shared`. ``waits`` is called before a busy service is asked again: see
    :class:`.Transport`. ``reads`` is how often a GET is repeated: see :meth:`patient`.
    """

    open_adapter: Callable[..., Adapter]
    region: str | None = None
    throttle: Throttle | None = None
    waits: Callable[[str, float], object] = silent
    reads: int = 0
    # Whether regions have the scheduled images extension, where known.
    _offered: dict[str | None, bool] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def compute(self) -> Transport:
        """The compute service."""
        return self.transport("compute")

    @cached_property
    def schedules(self) -> CloudSchedules:
        """The schedules of servers: the extension's, or tags without an extension."""
        # Late, because not every command needs schedules.
        from rax_scheduled_images_ext.client.schedules.cloud import CloudSchedules
        from rax_scheduled_images_ext.client.schedules.extension import (
            ExtensionSchedules,
        )
        from rax_scheduled_images_ext.client.schedules.tags import (
            TAGS_VERSION,
            TagSchedules,
        )

        tagged = self.transport("compute", default_microversion=TAGS_VERSION)
        extension, tags = ExtensionSchedules(self.compute), TagSchedules(tagged)
        return CloudSchedules(extension, tags, self._offered, self.region)

    @cached_property
    def images(self) -> ImageStore:
        """The images of the image service, or of compute's proxy of one.

        The proxy serves if the catalog lists no image service in the region. Finding
        out requires no request except for a token, if there is none yet.
        """
        # Late, because few commands need images, and they need only one of these.
        endpoint = self._image_service
        if endpoint:
            from rax_scheduled_images_ext.client.images.glance import (
                GlanceImages,
                versioned,
            )

            # keystoneauth expands what follows a per cent sign.
            override = versioned(endpoint).replace("%", "%%")
            return GlanceImages(self.transport("image", endpoint_override=override))
        from rax_scheduled_images_ext.client.images.compute import (
            ComputeImages,
            proxy_version,
        )

        version = proxy_version(self.compute.adapter.default_microversion)
        return ComputeImages(self.transport("compute", default_microversion=version))

    @cached_property
    def _image_service(self) -> str | None:
        """The image service's URL in the catalog, None if it has none here."""
        from keystoneauth1.exceptions import EndpointNotFound

        try:
            return self.transport("image").adapter.get_endpoint()
        except EndpointNotFound:
            return None

    @cached_property
    def volumes(self) -> Volumes | None:
        """The volume snapshots; None if there is no block storage service."""
        # Late, because only images of volume-backed servers need them.
        from keystoneauth1.exceptions import EndpointNotFound

        from rax_scheduled_images_ext.client.volumes import FILTER_VERSION, Volumes

        transport = self.transport("block-storage")
        try:
            endpoint = transport.adapter.get_endpoint()
        except EndpointNotFound:
            endpoint = None
        if not endpoint:
            return None
        lists = self.transport("block-storage", default_microversion=FILTER_VERSION)
        return Volumes(transport, lists)

    def transport(self, service_type: str, **options: Any) -> Transport:
        """Return a transport for requests to a service.

        :param options: options that override the adapter's own.
        """
        if self.region is not None:
            options.setdefault("region_name", self.region)
        adapter = self.open_adapter(service_type, **options)
        limit_time(adapter.session.session, total=None)
        if self.throttle is None:
            retry = RetryPolicy(reads=self.reads)
            return Transport(adapter, service_type, retry, waits=self.waits)
        pause = self.throttle.pause
        retry = RetryPolicy(_TRIES, _SECONDS, self.reads, sleep=pause)
        return Transport(adapter, service_type, retry, self.throttle, waits=self.waits)

    def shared(self, workers: int = WORKERS) -> Cloud:
        """Return the cloud for this many threads, itself if already shared.

        When one request is told to retry later, all others wait too.
        """
        if self.throttle is not None:
            return self
        adapter = self.compute.adapter
        make_room(adapter.session, adapter.auth, workers)
        return replace(self, throttle=Throttle(workers))

    def patient(self) -> Cloud:
        """Return the same cloud, for what one failed read should not end.

        A GET is repeated twice if a service cannot answer just then.
        """
        return replace(self, reads=2)

    def in_region(self, region: str) -> Cloud:
        """Return the same cloud in another region."""
        return replace(self, region=region)

    def with_same_images(self) -> list[Cloud]:
        """Return the cloud in the other regions that may have the same images.

        Those are the regions whose image service is at the same host: one service may
        have a URL for each region.
        """
        here = self._image_service
        if here is None:
            return []
        own, host = self.compute.adapter.region_name, urlsplit(here).hostname
        others = [self.in_region(name) for name in self.regions() if name != own]
        return [
            other
            for other in others
            if urlsplit(other._image_service or "").hostname == host
        ]

    def regions(self) -> list[str]:
        """Return the regions in which the user's catalog lists a compute service."""
        adapter = self.compute.adapter
        auth: Any = adapter.auth or adapter.session.auth
        catalog = auth.get_access(adapter.session).service_catalog
        found = catalog.get_endpoints_data(
            service_type=adapter.service_type,
            interface=adapter.interface,
            service_name=adapter.service_name,
        )
        names = [point.region_name for points in found.values() for point in points]
        return sorted({name for name in names if name})
