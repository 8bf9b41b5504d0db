"""Extensions of the network API."""

from __future__ import annotations

from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.sandbox.http.common import Call

_NAMES = {
    "port-security": "Port Security",
    "security-group": "security-group",
    "fields": "Fields in lists",
    "pagination": "Pagination support",
}


def index(_call: Call) -> ResponseReturnValue:
    """GET /extensions"""
    extensions = [
        {
            "alias": alias,
            "name": name,
            "description": name,
            "links": [],
            "updated": "2016-06-12T00:00:00-00:00",
        }
        for alias, name in _NAMES.items()
    ]
    return {"extensions": extensions}
