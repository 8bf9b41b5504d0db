"""Clouds that make scheduled images themselves, and clouds that do not."""

from __future__ import annotations

import pytest

from rax_scheduled_images_ext.sandbox import Sandbox

from ..functional.runners import runner_of

FACES = {
    "extension": {},
    "tags": {"extension": False},
    "rackspace": {"like": "rackspace"},
}
on_all_faces = pytest.mark.parametrize(
    "cloud", FACES.values(), ids=list(FACES), indirect=True
)


def let_days_pass(cloud: Sandbox, days: int) -> None:
    """Let time pass; where the cloud makes no images, the service makes them."""
    if cloud.cloud.extension:
        cloud.advance(f"{days}d")
        return
    runner = runner_of(cloud)
    for _ in range(4 * days):
        cloud.advance("6h")
        runner.tick()
