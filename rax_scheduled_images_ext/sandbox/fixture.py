"""A whole cloud in this process, for tests and for the command line."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.model.durations import parse_duration
from rax_scheduled_images_ext.model.image import SERVER_KEY
from rax_scheduled_images_ext.sandbox.backend.clock import Clock
from rax_scheduled_images_ext.sandbox.backend.cloud import Cloud
from rax_scheduled_images_ext.sandbox.backend.directory import CloudType, Directory
from rax_scheduled_images_ext.sandbox.backend.models import (
    BlockDevice,
    Image,
    ImageQuery,
    Server,
    ServerQuery,
)
from rax_scheduled_images_ext.sandbox.backend.region import Region
from rax_scheduled_images_ext.sandbox.backend.seed_data import (
    MYSERVER,
    add_fleet,
    seed_cloud,
)
from rax_scheduled_images_ext.sandbox.backend.state import HYPERVISORS
from rax_scheduled_images_ext.sandbox.backend.store import Store
from rax_scheduled_images_ext.sandbox.dispatcher import Dispatcher, Seen, mounts
from rax_scheduled_images_ext.sandbox.environment import client_environment
from rax_scheduled_images_ext.sandbox.faults.grammar import parse_fault
from rax_scheduled_images_ext.sandbox.http.common import Services
from rax_scheduled_images_ext.sandbox.http.injection import Injector
from rax_scheduled_images_ext.sandbox.http.server import Server as HttpServer

if TYPE_CHECKING:
    from rax_scheduled_images_ext.sandbox.dispatcher import Middleware

REGIONS: Mapping[CloudType, tuple[str, ...]] = {
    "openstack": ("RegionOne", "RegionTwo", "RegionThree"),
    "rackspace": ("DFW", "ORD", "IAD"),
}
_USUAL_REGIONS: Mapping[CloudType, int] = {"openstack": 1, "rackspace": 2}
# How many requests are kept: a sandbox may run for weeks.
_REMEMBERED = 100_000


class Requests(list[Seen]):
    """The newest 100,000 requests to the cloud's APIs, oldest first.

    Each equals a tuple of method, path with query, and status. Requests under
    ``/sandbox/`` are not among them.
    """

    def append(self, seen: Seen) -> None:
        """Add one, and drop the oldest if there are too many."""
        super().append(seen)
        if len(self) > _REMEMBERED:
            del self[: _REMEMBERED // 10]


class Sandbox:
    """A cloud with servers, images and scheduled images, on a port of its own.

    ::

        with Sandbox(speed=0) as sandbox:
            subprocess.run(["nova", "list"], env={**os.environ, **sandbox.env()})
            sandbox.advance("10d")

    It opens its port when created, serves from ``start`` to ``stop`` in threads of this
    process, and leaves nothing behind.

    :param like: ``openstack`` (Keystone v3, Nova v2.1 with microversions, Glance
        v2) or ``rackspace`` (Keystone v2.0 with API keys, Nova v2 with the tenant in
        its URLs, Glance v2).
    :param regions: how many regions it has, up to 3; by default one, or two for
        ``rackspace``.
    :param servers: further servers, named ``server-00001`` and so on.
    :param images_per_server: how many daily images each of those has.
    :param state: an SQLite file to keep the cloud in; None keeps it in memory.
    :param speed: virtual seconds per second; with 0 only ``advance`` moves time, so
        that the same calls always give the same cloud.
    :param start: the time of a new cloud in unix seconds; now by default.
    :param seed: determines IDs, secrets and times of day.
    :param max_limit: the most entries on a page of a list.
    :param image_quota: how many images a project may have; None for no limit.
    :param server_quota: how many servers a project may have; None for no limit.
    :param shared_images: whether all regions have one image service, as some clouds
        do; by default each has its own.
    :param port: the port to listen on; 0 for any free one.
    :param host: the address to listen on.
    :param latency: how many seconds every response takes at least.
    :param verbose: print a line for each request on stderr.
    :param faults: faults from the start (see :meth:`fault`).
    :param extension: whether it has the scheduled images extension, which a plain
        OpenStack lacks.
    :param hypervisor: ``xen``, with the task states that Rackspace documents, or
        ``libvirt``, with those of Nova on libvirt: the disk is copied in a second
        ``image_pending_upload``.
    :raises ValueError: for another ``like`` or ``hypervisor``, a negative
        ``speed`` or a malformed fault.
    :raises CannotListen: if it cannot listen on the port.
    """

    def __init__(
        self,
        like: CloudType = "openstack",
        *,
        regions: int | None = None,
        servers: int = 0,
        images_per_server: int = 0,
        state: str | os.PathLike[str] | None = None,
        speed: float = 1.0,
        start: float | None = None,
        seed: int = 1,
        max_limit: int = 1000,
        image_quota: int | None = None,
        server_quota: int | None = None,
        shared_images: bool = False,
        port: int = 0,
        host: str = "127.0.0.1",
        latency: float = 0.0,
        verbose: bool = False,
        faults: Sequence[str] = (),
        extension: bool = True,
        hypervisor: str = "xen",
    ) -> None:
        if like not in REGIONS:
            raise ValueError(f"like {like!r} is not one of {', '.join(REGIONS)}")
        if hypervisor not in HYPERVISORS:
            known = ", ".join(HYPERVISORS)
            raise ValueError(f"hypervisor {hypervisor!r} is not one of {known}")
        wrong = [parse_fault(text) for text in faults]
        clock = Clock(start=start, speed=speed)
        self.like = like
        self.regions = REGIONS[like][: regions or _USUAL_REGIONS[like]]
        self.requests = Requests()
        self._verbose = verbose
        self._directory = Directory(like, seed)
        with ExitStack() as opened:
            store = Store(None if state is None else os.fspath(state))
            opened.callback(store.close)
            store.check_regions(self.regions)
            self._server = HttpServer(host, port)
            opened.callback(self._server.stop)
            self.cloud = Cloud(
                store,
                clock,
                regions=self.regions,
                seed=seed,
                extension=extension,
                # Rackspace's documents know no state before image_snapshot.
                timings=HYPERVISORS[hypervisor](queue=0 if like == "rackspace" else 2),
                shared_images=shared_images,
            )
            self._seed(servers, images_per_server)
            # What was there before them may be more.
            self.cloud.image_quota, self.cloud.server_quota = image_quota, server_quota
            self.cloud.inject(wrong)
            closing = threading.Event()
            opened.callback(closing.set)
            self._opened = opened.pop_all()
        services = Services(
            self.cloud, self._directory, self.regions, like == "rackspace", max_limit
        )
        self._dispatcher = Dispatcher(
            mounts(services, self.env),
            Injector(services, closing),
            latency=latency,
            now=clock.now,
            seen=self._saw,
        )

    @property
    def url(self) -> str:
        """The address of all services, without a trailing slash."""
        host = self._server.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._server.port}"

    def start(self) -> None:
        """Start to serve."""
        self._server.start(self._dispatcher)

    def stop(self) -> None:
        """End all threads and connections, and close the file."""
        self._opened.close()

    def __enter__(self) -> Sandbox:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def advance(self, duration: str | float) -> float:
        """Let virtual time pass, with everything that happens in it.

        :param duration: such as ``10d`` or ``1d12h``, or seconds.
        :returns: the new virtual time, in unix seconds.
        :raises ValueError: for an invalid or negative duration.
        """
        seconds = parse_duration(duration) if isinstance(duration, str) else duration
        return self.cloud.advance(seconds)

    def fault(self, *faults: str) -> None:
        """Add faults to those that there are.

        :param faults: such as ``POST /action$ 503 retry-after=2 x2``; README.rst
            describes the grammar.
        :raises ValueError: for a malformed one; then none is added.
        """
        self.cloud.inject([parse_fault(text) for text in faults])

    def clear_faults(self) -> None:
        """Remove all faults; frozen snapshots continue."""
        self.cloud.clear_faults()

    def faults(self) -> list[tuple[str, int]]:
        """Return the faults in order, and how often each has happened."""
        return self.cloud.faults.counts()

    @contextmanager
    def region(self, name: str | None = None) -> Iterator[Region]:
        """Read and change a region without the APIs, in one transaction.

        :param name: the first region by default.
        """
        with self.cloud.transaction():
            yield self.cloud.region(name or self.regions[0])

    def servers(self) -> list[Server]:
        """Return the servers of the first region, newest first."""
        with self.region() as region:
            return region.servers.select(ServerQuery())

    def images(self, server_id: str | None = None) -> list[Image]:
        """Return the images of the first region, or of one server, newest first."""
        of_server = {} if server_id is None else {SERVER_KEY: server_id}
        with self.region() as region:
            return region.images.select(ImageQuery(properties=of_server))

    def boot(
        self,
        name: str,
        *,
        server_id: str | None = None,
        image_id: str | None = None,
        volume_size: int | None = None,
    ) -> Server:
        """Boot a server in the default project in the first region.

        :param server_id: a new ID by default.
        :param image_id: by default the image of ``myserver``.
        :param volume_size: the size in GiB of a new volume to boot from; by default
            there is none.
        """
        with self.region() as region:
            model = region.servers.get(MYSERVER)
            source = image_id or model.image_id
            root = BlockDevice("image", source, volume_size, boot_index=0)
            return region.servers.boot(
                project_id=model.project_id,
                user_id=model.user_id,
                name=name,
                image_id=source if volume_size is None else "",
                flavor_id=model.flavor_id,
                server_id=server_id,
                devices=() if volume_size is None else (root,),
            )

    def add_fleet(self, servers: int, images_per_server: int = 0) -> None:
        """Add servers with their images, as the parameters of that name do."""
        user = self._directory.users[0]
        add_fleet(
            self.cloud,
            project_id=user.project.id,
            user_id=user.id,
            servers=servers,
            images_per_server=images_per_server,
        )

    def wrap(self, middleware: Middleware) -> None:
        """Put a WSGI middleware around the cloud's APIs, the latest outermost.

        It can do what faults cannot: invent, change or delay requests and responses. It
        sees ``REQUEST_URI`` as sent. If it starts no response, the connection ends.
        ``requests`` records what clients received.
        """
        self._dispatcher.wrap(middleware)

    def env(self, user: str = "admin", region: str | None = None) -> dict[str, str]:
        """Return only the variables with which clients reach this cloud.

        A program needs a whole environment: see :meth:`environ`.

        :param user: admin, creator, observer, global-admin, global-observer, admin2,
            creator2, observer2; stranger, who is in another project; or, unless the
            cloud is like Rackspace's, operator, who is in both and may see everything.
        :param region: the first one by default.
        :raises ValueError: for an unknown user or region.
        """
        known = {each.name: each for each in self._directory.users}
        if user not in known:
            raise ValueError(f"there is no user {user}: one of {', '.join(known)}")
        region = region or self.regions[0]
        if region not in self.regions:
            raise ValueError(f"there is no region {region}: {', '.join(self.regions)}")
        project = known[user].project
        common = {
            "SANDBOX_URL": self.url,
            "OS_USERNAME": user,
            "OS_PASSWORD": self._directory.password,
            "OS_PROJECT_NAME": project.name,
            "OS_REGION_NAME": region,
        }
        if self.like == "rackspace":
            return common | {
                "OS_AUTH_URL": f"{self.url}/identity/v2.0/",
                "OS_IDENTITY_API_VERSION": "2.0",
                "OS_TENANT_NAME": project.name,
                "OS_API_KEY": self._directory.api_key,
            }
        return common | {
            "OS_AUTH_URL": f"{self.url}/identity/v3",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USER_DOMAIN_NAME": "Default",
            "OS_PROJECT_DOMAIN_NAME": "Default",
        }

    def environ(self, user: str = "admin", region: str | None = None) -> dict[str, str]:
        """Return this process's environment with this cloud as its only one.

        It is for programs that use the cloud: variables that would lead them to another
        one (``OS_CLOUD``, ``OS_TOKEN`` and so on) are left out, and no proxy is used.

        :param user: as for :meth:`env`.
        :param region: as for :meth:`env`.
        :raises ValueError: for an unknown user or region.
        """
        return client_environment(self.env(user, region))

    def _seed(self, servers: int, images_per_server: int) -> None:
        user = self._directory.users[0]
        seed_cloud(
            self.cloud,
            project_id=user.project.id,
            user_id=user.id,
            servers=servers,
            images_per_server=images_per_server,
            network=self.like == "openstack",
        )

    def _saw(self, seen: Seen) -> None:
        self.requests.append(seen)
        if self._verbose:
            say(f"{seen.status} {seen.method} {seen.path}")
