"""What goes wrong, in a backup and in a restore."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from .gate import Fault, Passage

# Bytes of some thirty MB.
_SOME = 8 << 20


@dataclass(frozen=True)
class Case:
    """Something that goes wrong.

    :param kind: whether to a backup or a restore.
    :param fault: what happens at the gate.
    :param kills: whether the tool's process is killed when that happens.
    :param glance_is_full: whether Glance can store no more than a few MB.
    :param disk_is_full: the same of the disk that the tool itself writes to.
    :param moves_data: whether it happens only to a tool through which the data pass.
    """

    kind: str
    title: str
    fault: Callable[[], Fault] | None = None
    kills: bool = False
    glance_is_full: bool = False
    disk_is_full: bool = False
    moves_data: bool = False


def _asks_for_image(passage: Passage) -> bool:
    return _is_post(passage, "/action")


def _asks_for_server(passage: Passage) -> bool:
    return _is_post(passage, "/servers")


def _is_post(passage: Passage, end: str) -> bool:
    is_request = passage.service == "nova" and passage.method == "POST"
    return is_request and passage.is_tool and passage.path.endswith(end)


def _asks_glance(passage: Passage) -> bool:
    return passage.service == "glance"


def _moves(method: str, is_tool: bool) -> Callable[[Passage], bool]:
    def moves(passage: Passage) -> bool:
        of = (passage.service, passage.method, passage.is_tool)
        return of == ("glance", method, is_tool) and passage.path.endswith("/file")

    return moves


def _image_lost() -> Fault:
    return Fault(_asks_for_image)


def _server_lost() -> Fault:
    return Fault(_asks_for_server)


def _upload_inside() -> Fault:
    return Fault(_moves("PUT", is_tool=False), times=None, after=_SOME)


def _upload() -> Fault:
    return Fault(_moves("PUT", is_tool=True), after=_SOME)


def _download() -> Fault:
    return Fault(_moves("GET", is_tool=True), after=_SOME)


def _once_it_waits() -> Fault:
    """Refuse the first request to Glance after Nova has been asked for the image."""
    asked = False

    def waits(passage: Passage) -> bool:
        nonlocal asked
        asked = asked or _asks_for_image(passage)
        return asked and _asks_glance(passage) and passage.is_tool

    return Fault(waits, refused=True)


def _first_of_tool() -> Fault:
    return Fault(lambda p: _asks_glance(p) and p.is_tool, refused=True)


def _all() -> Fault:
    return Fault(_asks_glance, times=None, refused=True)


_BACKUPS = (
    Case("backup", "Nova's answer to the request is lost", _image_lost),
    Case("backup", "the tool is killed once Nova has the request", _image_lost, True),
    Case("backup", "Nova's upload to Glance breaks off", _upload_inside),
    Case("backup", "Glance answers everything with 503", _all),
    Case("backup", "Glance's disk is full", glance_is_full=True),
    Case("backup", "Glance answers one request with 503", _once_it_waits),
)
_RESTORES = (
    Case("restore", "Nova's answer to the request is lost", _server_lost),
    Case("restore", "the tool is killed once Nova has the request", _server_lost, True),
    Case("restore", "Glance's disk is full", glance_is_full=True),
    Case("restore", "Glance answers everything with 503", _all),
    Case("restore", "Glance answers one request with 503", _first_of_tool),
)
_MOVING = (
    Case("backup", "the disk for the backup is full", disk_is_full=True),
    Case("backup", "the tool is killed during the download", _download, True),
    Case("restore", "the upload to Glance breaks off", _upload),
    Case("restore", "the tool is killed during the upload", _upload, True),
)
#: The last ones happen only to a tool through which the data pass.
CASES = (
    *(each for pair in zip(_BACKUPS, _RESTORES, strict=False) for each in pair),
    _BACKUPS[-1],
    *(replace(case, moves_data=True) for case in _MOVING),
)
