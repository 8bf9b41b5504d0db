"""The pictures in the documents."""

from __future__ import annotations

import struct


def png_size(png: bytes) -> tuple[int, int]:
    """Return the width and height of a picture in pixels."""
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    return width, height
