"""Floating IPs of the network API: there are none."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.http.common import Call


def index(_call: Call) -> ResponseReturnValue:
    """GET /floatingips"""
    return {"floatingips": []}
