"""The arguments of a simulated schedule."""

from __future__ import annotations

from datetime import date

from rax_scheduled_images_ext.console import arguments
from rax_scheduled_images_ext.console.arguments import argument
from rax_scheduled_images_ext.model.times import END, FIRST
from rax_scheduled_images_ext.programs.arguments import checked, invalid, one_of


def start_date(text: str) -> date:
    """Parse the day on which a simulated year begins.

    :raises InvalidValue: for anything else.
    """
    try:
        day = date.fromisoformat(text)
        if len(text) == 10 and FIRST.year <= day.year < END.year - 1:
            return day
    except ValueError:
        pass
    raise invalid(f"'{text}' is not a day: write it as 2026-01-01")


START = argument(
    "--start",
    metavar="<day>",
    type=checked(start_date),
    help="The day on which the year begins, such as 2026-01-01; today by default.",
)
FORMAT = argument(
    "--format",
    metavar="<format>",
    type=one_of("calendar", "table", "json", "csv", "value"),
    default="calendar",
    help="Print a calendar (the default), or the images that are left as rows: table,"
    " json, csv or value.",
)
SIMULATED = (
    arguments.AT,
    arguments.retention(),
    arguments.keep(),
    arguments.keep_within(),
    START,
    FORMAT,
)
