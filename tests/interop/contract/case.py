"""One request of the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Service = Literal[
    "identity",
    "compute",
    "image",
    "volume",
    "identity root",
    "compute root",
    "image root",
    "volume root",
]
Who = Literal["user", "member", "reader", "stranger", "nobody", "liar"]


@dataclass(frozen=True)
class Case:
    """A request, and what of its answer is compared beside status, headers and shape.

    Words in braces, anywhere in it, are replaced by what the stage calls so.

    :param who: ``nobody`` sends no token, ``liar`` a wrong one; ``reader`` may only
        look, ``stranger`` is of another project; ``member`` is one where ``user`` is
        an administrator.
    :param version: the microversion to ask for.
    :param body: bytes are sent as they are, anything else as JSON.
    :param show: paths to values that must be the same, such as ``images.*.name``.
    :param keep: a new word for the value at a path, for the cases that follow.
    :param deep: compare the body below its first level, too.
    :param idle: wait before it until no task is under way on the server.
    """

    service: Service
    method: str
    path: str
    note: str = ""
    who: Who = "user"
    version: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    show: tuple[str, ...] = ()
    keep: Mapping[str, str] = field(default_factory=dict)
    deep: bool = True
    idle: bool = False

    @property
    def name(self) -> str:
        """What it is called in reports; no two are called the same."""
        parts = (
            f"{self.service}:",
            self.method,
            self.path,
            self.version and f"at {self.version}",
            self.who != "user" and f"by {self.who}",
            self.note and f"({self.note})",
        )
        return " ".join(part for part in parts if part)
