"""The image service's race: it writes an image as it read it before."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rax_scheduled_images_ext.sandbox import Sandbox

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class StaleWriter:
    """Somebody who changes an image at the same time as others.

    Each of the next changes of the image is undone: right after it the image is written
    with the properties that it has now.

    :ivar left: how many more changes are undone.
    """

    def __init__(self, cloud: Sandbox, image_id: str, times: int) -> None:
        self.left = times
        self._cloud, self._image_id = cloud, image_id
        with cloud.region() as region:
            self._stale = dict(region.images.get(image_id).properties)
        cloud.wrap(self._around)

    def _around(self, application: WSGIApplication) -> WSGIApplication:
        def undo(
            environ: WSGIEnvironment, start_response: StartResponse
        ) -> Iterable[bytes]:
            answer = application(environ, start_response)
            of_image = f"/images/{self._image_id}" in environ["REQUEST_URI"]
            if self.left and of_image and environ["REQUEST_METHOD"] != "GET":
                self.left -= 1
                with self._cloud.region() as region:
                    region.images.update(self._image_id, properties=self._stale)
            return answer

        return undo
