"""The tags of a server as callers see and change them: without those of schedules.

What replaces or removes all tags leaves the schedule. Single tags are Nova's own, so
whatever sets schedules as tags can do so.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from webob import Response

from rax_scheduled_images_ext.model.schedule_tags import is_own_tag
from rax_scheduled_images_ext.service.api.answers import (
    Refused,
    fault,
    json_answer,
    json_body,
)
from rax_scheduled_images_ext.service.api.nova import Nova
from rax_scheduled_images_ext.service.api.rights import Rights
from rax_scheduled_images_ext.service.api.servers import other_tags, read_schedule


def all_tags(nova: Nova, rights: Rights) -> Response | None:
    """Answer a request about all tags of a server; None if it is Nova's to answer."""
    if nova.older is not None:
        return None
    if nova.request.method == "GET":
        return _without_schedule(nova.pass_on())
    if nova.request.method == "PUT":
        return _replace(nova, rights)
    return _remove(nova)


def may_change_tag(nova: Nova, rights: Rights, tag: str) -> None:
    """See that the caller may change a tag, if it is one of a schedule.

    :param tag: as it is in the path of a WSGI environment.
    :raises Refused: if not.
    """
    environ = nova.request.environ
    may = rights.may_set if nova.request.method == "PUT" else rights.may_remove
    if _is_like_own(tag.encode("latin-1").decode(errors="replace")) and not may(
        environ
    ):
        raise Refused(_forbidden(nova))


def _replace(nova: Nova, rights: Rights) -> Response | None:
    wanted = _wanted_tags(nova)
    if wanted is None:
        return None
    if any(map(_is_like_own, wanted)):
        if not rights.may_remove(nova.request.environ):
            raise Refused(_forbidden(nova))
        return _without_schedule(nova.pass_on())
    kept = _schedule_tags(nova.send("GET", nova.tail))
    if not kept:
        return None
    answer = nova.send("PUT", nova.tail, body={"tags": [*wanted, *kept]})
    return _without_schedule(answer)


def _remove(nova: Nova) -> Response | None:
    kept = _schedule_tags(nova.send("GET", nova.tail))
    if not kept:
        return None
    answer = nova.send("PUT", nova.tail, body={"tags": kept})
    return json_answer(status=204, about=answer) if answer.status_int < 300 else answer


def _wanted_tags(nova: Nova) -> list[str] | None:
    """Return the tags that are to be a server's, None for what is no such request."""
    try:
        body = nova.request.json
    except ValueError:
        return None
    tags = body.get("tags") if isinstance(body, dict) and len(body) == 1 else None
    if isinstance(tags, list) and all(isinstance(tag, str) for tag in tags):
        return tags
    return None


def _schedule_tags(answer: Response) -> list[str]:
    """Return those of a server's tags that stand for its schedule.

    :raises Refused: if they are unknown.
    """
    tags = (json_body(answer) or {}).get("tags")
    if not isinstance(tags, list):
        raise Refused(answer)
    if read_schedule(tags) is None:
        return []
    return [tag for tag in tags if is_own_tag(str(tag))]


def _is_like_own(tag: str) -> bool:
    """Whether a tag may be one of a schedule to Nova's database.

    Some take letters for the same that differ in case or accents, and pass over spaces.
    """
    letters = unicodedata.normalize("NFKD", tag.strip())
    plain = "".join(each for each in letters if not unicodedata.combining(each))
    return is_own_tag(plain.casefold())


def _without_schedule(answer: Response) -> Response:
    body = json_body(answer)
    tags: Any = body.get("tags") if body else None
    if isinstance(tags, list) and read_schedule(tags) is not None:
        answer.json = {"tags": other_tags(tags)}
    return answer


def _forbidden(nova: Nova) -> Response:
    message = "Policy doesn't allow the tags of a schedule to be changed."
    return nova.in_own_form(fault(403, message))
