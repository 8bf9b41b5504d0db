"""The tags of a server as callers see and change them: without those of schedules.

Replacing or removing all tags leaves the schedule. Single tags are passed to Nova, so
that programs can still set schedules as tags.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from webob import Response

from rax_scheduled_images_ext.errors import MalformedTag
from rax_scheduled_images_ext.model.policies import PolicyTag
from rax_scheduled_images_ext.model.schedule_tags import (
    MARKER_TAG,
    is_own_tag,
    read_schedule_tags,
)
from rax_scheduled_images_ext.service.api.answers import (
    Refused,
    fault,
    json_answer,
    json_body,
)
from rax_scheduled_images_ext.service.api.nova import Nova
from rax_scheduled_images_ext.service.api.rights import CallerRights
from rax_scheduled_images_ext.service.api.servers import other_tags, read_schedule

if TYPE_CHECKING:
    from typing import TypeGuard


def all_tags(nova: Nova, rights: CallerRights) -> Response | None:
    """Answer a request about all tags of a server; None if Nova answers it."""
    nova.pin_version()
    if nova.older is not None:
        return None
    if nova.request.method == "GET":
        return _without_schedule(nova.pass_on())
    if nova.request.method == "PUT":
        return _replace(nova, rights)
    return _remove(nova)


def may_change_tag(nova: Nova, rights: CallerRights, tag: str) -> None:
    """Check that the caller may change a tag, if it belongs to a schedule.

    :param tag: as in the path of a WSGI environment.
    :raises Refused: if not.
    """
    nova.pin_version()
    if nova.request.method == "PUT" and nova.request.is_body_readable:
        nova.read_json()
    name = tag.encode("latin-1").decode()
    if not rights.limited or not _is_like_own(name):
        return
    if nova.request.method == "DELETE":
        _may_remove(nova, rights)
        return
    beside: list[str] = []
    if name == MARKER_TAG and nova.older is None:
        # The marker turns existing tags into a schedule.
        beside = _own_tags(
            nova.send("GET", nova.tail.rpartition("/tags/")[0] + "/tags")
        )
    _may_set(nova, rights, [*beside, name])


def new_server(nova: Nova, rights: CallerRights) -> None:
    """Check that the caller may give a new server its tags.

    :raises Refused: if not.
    """
    if not rights.limited:
        return
    body = nova.read_json()
    server = body.get("server") if isinstance(body, dict) else None
    tags = server.get("tags", []) if isinstance(server, dict) else []
    if not _are_tags(tags):
        raise Refused(fault(400, "The tags of a server must be a list of strings."))
    own = list(filter(_is_like_own, tags))
    if own:
        _may_set(nova, rights, own)


def _may_set(nova: Nova, rights: CallerRights, tags: list[str]) -> None:
    """Check that the caller may add tags like those of schedules.

    A caller who may not remove a schedule may not make it invalid either.

    :raises Refused: if not.
    """
    found = rights.of(nova.request.environ)
    if not (found.change if _are_schedule(tags) else found.disable):
        raise Refused(_forbidden())


def _may_remove(nova: Nova, rights: CallerRights) -> None:
    if not rights.of(nova.request.environ).disable:
        raise Refused(_forbidden())


def _replace(nova: Nova, rights: CallerRights) -> Response:
    wanted = _wanted_tags(nova)
    if any(map(_is_like_own, wanted)):
        _may_remove(nova, rights)
        return _without_schedule(nova.pass_on())
    kept = _kept_tags(nova)
    if not kept:
        return nova.pass_on()
    answer = nova.send("PUT", nova.tail, body={"tags": [*wanted, *kept]})
    return _without_schedule(answer)


def _remove(nova: Nova) -> Response | None:
    kept = _kept_tags(nova)
    if not kept:
        return None
    answer = nova.send("PUT", nova.tail, body={"tags": kept})
    return json_answer(status=204, about=answer) if answer.status_int < 300 else answer


def _wanted_tags(nova: Nova) -> list[str]:
    """Return the tags that a request sets.

    :raises Refused: for a malformed request.
    """
    body = nova.read_json()
    tags = body.get("tags") if isinstance(body, dict) and len(body) == 1 else None
    if not _are_tags(tags):
        message = "The body must be an object with a list of strings 'tags'."
        raise Refused(fault(400, message))
    return tags


def _are_tags(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(tag, str) for tag in value)


def _kept_tags(nova: Nova) -> list[str]:
    """Return the tags of a server that stay when all are replaced or removed.

    They are those that go with schedules, whatever their form: whoever replaces all
    tags does not mean them.

    :raises Refused: if they are unknown.
    """
    return list(filter(_is_like_own, _tags_of(nova.send("GET", nova.tail))))


def _tags_of(answer: Response) -> list[str]:
    """Return the tags in a response.

    :raises Refused: if they are unknown.
    """
    tags = (json_body(answer) or {}).get("tags")
    if not isinstance(tags, list):
        raise Refused(answer, own=False)
    return list(map(str, tags))


def _own_tags(answer: Response) -> list[str]:
    return list(filter(is_own_tag, _tags_of(answer)))


def _are_schedule(tags: list[str]) -> bool:
    """Whether the tags, with the marker, are a valid schedule's, or a policy's."""
    if tags and all(map(PolicyTag.parse, tags)):
        return True
    try:
        return all(map(is_own_tag, tags)) and bool(
            read_schedule_tags([MARKER_TAG, *tags])
        )
    except MalformedTag:
        return False


def _is_like_own(tag: str) -> bool:
    """Whether some Nova or its database may take a tag for one of a schedule.

    Some databases ignore case and accents of letters, spaces and invisible characters;
    some releases of Nova ignore a suffix.
    """
    letters = unicodedata.normalize("NFKD", tag)
    plain = "".join(
        each for each in letters if unicodedata.category(each)[0] not in "CMZ"
    )
    return plain.casefold().startswith(MARKER_TAG)


def _without_schedule(answer: Response) -> Response:
    body = json_body(answer)
    tags: Any = body.get("tags") if body else None
    if isinstance(tags, list) and read_schedule(tags) is not None:
        answer.json = {"tags": other_tags(tags)}
    return answer


def _forbidden() -> Response:
    message = "Policy doesn't allow the tags of a schedule to be changed."
    return fault(403, message)
