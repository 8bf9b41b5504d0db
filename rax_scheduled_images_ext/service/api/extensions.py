"""``/extensions``, with ours among them."""

from __future__ import annotations

from webob import Response

from rax_scheduled_images_ext.model.extension import ALIAS, EXTENSION
from rax_scheduled_images_ext.service.api.answers import json_answer, json_body
from rax_scheduled_images_ext.service.api.nova import Nova


def extension_list(nova: Nova) -> Response:
    """Answer with Nova's extensions and ours."""
    answer = nova.pass_on()
    body = json_body(answer)
    listed = (body or {}).get("extensions")
    if isinstance(listed, list):
        others = [each for each in listed if each.get("alias") != ALIAS]
        answer.json = {"extensions": [*others, EXTENSION]}
    return answer


def our_extension(nova: Nova) -> Response:
    """Answer with our extension, if Nova shows the caller its own."""
    answer = nova.send("GET", "/extensions", with_tags=False)
    if answer.status_int != 200:
        return answer
    return json_answer({"extension": EXTENSION}, about=answer)
