"""The test servers by which images are proven."""

from __future__ import annotations

from typing import Any

from rax_scheduled_images_ext.model.verify import is_test_server
from rax_scheduled_images_ext.sandbox import Sandbox


def left_in(cloud: Sandbox, image: str | None = None) -> list[str]:
    """The IDs of the test servers that there are, or of those of an image."""
    return [
        each.id
        for each in cloud.servers()
        if is_test_server(each.name) and image in (None, each.image_id)
    ]


def failing(cloud: Sandbox, why: str, image: str | None = None) -> None:
    """Let each new test server be in ERROR, or only those of an image."""

    def middleware(app: Any) -> Any:
        def answer(environ: Any, start_response: Any) -> Any:
            body = b"".join(app(environ, start_response))
            new = environ["PATH_INFO"].endswith("/servers")
            if new and environ["REQUEST_METHOD"] == "POST":
                for server_id in left_in(cloud, image):
                    with cloud.region() as region:
                        region.servers.reset_state(server_id, "error", why)
            return [body]

        return answer

    cloud.wrap(middleware)
