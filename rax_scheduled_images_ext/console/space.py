"""Prints how much space images take, and what that costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rax_scheduled_images_ext.console.formats import Column, for_people
from rax_scheduled_images_ext.console.schedules import quota_line
from rax_scheduled_images_ext.console.terminal import say
from rax_scheduled_images_ext.model.quota import FullQuota
from rax_scheduled_images_ext.model.space import Space


def gib_column(space: Callable[[Any], Space | None]) -> Column[Any]:
    """Return the column of the GiB that the images of a row take."""
    return Column("gib", "GiB", lambda row: _of(space(row)), _places(3))


def space_columns(
    space: Callable[[Any], Space | None], price: float | None
) -> list[Column[Any]]:
    """Return the columns of what the images of a row take, and cost.

    :param price: of a GiB a month, None if unknown.
    """
    found = [gib_column(space)]
    if price is None:
        return found
    each = price

    def cost(row: Any) -> float | None:
        taken = space(row)
        return None if taken is None else taken.cost(each)

    return [*found, Column("month_cost", "Cost a month", cost, _places(2))]


def say_total(
    spaces: Iterable[Space | None],
    quotas: Iterable[FullQuota | None],
    price: float | None,
) -> None:
    """Report on stderr what the images of all servers take, and when quotas are full.

    :param price: as for :func:`space_columns`.
    """
    known = [space for space in spaces if space is not None and space.number]
    total = sum(known, Space())
    images = "1 image" if total.number == 1 else f"{total.number:,} images"
    servers = "1 server" if len(known) == 1 else f"{len(known):,} servers"
    least = "at least " if total.unknown else ""
    taken = Space(known=total.known)
    cost = f", {least}{taken.cost(price):,.2f} a month" if price is not None else ""
    say(f"In all: {least}{taken.gib:,.3f} GiB in {images} of {servers}{cost}.")
    if total.unknown:
        number = "1 image" if total.unknown == 1 else f"{total.unknown:,} images"
        say(f"The size of {number} is not known.")
    for quota in filter(None, quotas):
        say(quota_line(quota))


def _of(space: Space | None) -> float | None:
    return None if space is None else space.gib


def _places(number: int) -> Callable[[Any], str]:
    """Return a function that writes numbers with so many places."""
    return lambda value: for_people(value if value is None else f"{value:.{number}f}")
