"""Turns the options of a command into the dataclass that an operation accepts."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def chosen(kind: type[Options], args: Any) -> Options:
    """Return the dataclass, filled from the arguments of the same names."""
    return kind(**{each.name: getattr(args, each.name) for each in fields(kind)})
