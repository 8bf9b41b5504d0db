"""The definition of the marker for Glance."""

from __future__ import annotations

from rax_scheduled_images_ext.model.image import MARKER_KEY, MARKER_VALUE
from rax_scheduled_images_ext.model.metadefs import definition


def test_the_definition_is_that_of_the_marker() -> None:
    properties = definition()["properties"]
    assert {MARKER_KEY} == properties.keys()
    assert properties[MARKER_KEY]["enum"] == [MARKER_VALUE]
