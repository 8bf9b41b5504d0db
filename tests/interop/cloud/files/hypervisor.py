"""Nova's fake hypervisor, with snapshots that go through to an active image.

Nova's own fake driver stops at image_uploading and sends no data;
its images stay queued.

Knobs are text files in $CLOUD_KNOBS, read while a snapshot is under way:

    seconds  how long each of the task states lasts (0)
    hold     the task state in which snapshots stay, as long as the file names it
    bytes    the size of the image (4096)
    fail     as long as there is such a file, uploads fail
"""

import io
import os
import pathlib
import time
from typing import Any

from nova import exception
from nova.compute import power_state, task_states
from nova.image import glance
from nova.virt import fake

KNOBS = pathlib.Path(os.environ["CLOUD_KNOBS"])


def knob(name: str, default: str) -> str:
    try:
        return (KNOBS / name).read_text().strip() or default
    except FileNotFoundError:
        return default


def linger(task_state: str) -> None:
    time.sleep(float(knob("seconds", "0")))
    while knob("hold", "") == task_state:
        time.sleep(0.1)


class Driver(fake.FakeDriverWithoutFakeNodes):
    def resume_state_on_host_boot(
        self, context: Any, instance: Any, *rest: Any
    ) -> None:
        # The guests are in memory only: after a restart there are none.
        guest = fake.FakeInstance(instance.name, power_state.RUNNING, instance.uuid)
        self.instances[instance.uuid] = guest

    def snapshot(
        self, context: Any, instance: Any, image_id: str, update_task_state: Any
    ) -> None:
        if instance.uuid not in self.instances:
            raise exception.InstanceNotRunning(instance_id=instance.uuid)
        linger(task_states.IMAGE_SNAPSHOT)
        update_task_state(task_state=task_states.IMAGE_PENDING_UPLOAD)
        linger(task_states.IMAGE_PENDING_UPLOAD)
        update_task_state(
            task_state=task_states.IMAGE_UPLOADING,
            expected_state=task_states.IMAGE_PENDING_UPLOAD,
        )
        linger(task_states.IMAGE_UPLOADING)
        if (KNOBS / "fail").exists():
            raise exception.NovaException("the upload was told to fail")
        self._upload(context, image_id)

    def _upload(self, context: Any, image_id: str) -> None:
        images = glance.API()
        form = {
            "name": images.get(context, image_id)["name"],
            "status": "active",
            "disk_format": "raw",
            "container_format": "bare",
            "properties": {},
        }
        data = io.BytesIO(os.urandom(int(knob("bytes", "4096"))))
        images.update(context, image_id, form, data)
