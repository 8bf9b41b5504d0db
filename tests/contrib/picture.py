"""A picture of the dashboard, drawn from what its queries find.

Grafana itself is not needed: each panel has its title, its place and its series here,
not its looks.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

#: The series that a target of a panel finds: names, and values by time.
Series = list[tuple[str, list[tuple[float, float]]]]

WIDTH, COLUMNS = 12.8, 24  # inches, and how many columns Grafana divides them into
ROW = 0.36  # inches
BACK, PANEL, TEXT = "#111217", "#181b1f", "#ccccdc"
COLORS = ("#73bf69", "#f2495c", "#5794f2", "#ff9830", "#b877d9", "#fade2a")


def draw(
    dashboard: Mapping[str, Any], find: Callable[[Mapping[str, Any]], Series]
) -> bytes:
    """Return a PNG of a dashboard.

    :param find: asks what a target finds, at the end of the time range if it is
        ``instant``, else over all of it.
    """
    panels = dashboard["panels"]
    rows = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in panels)
    height = rows * ROW
    figure = Figure(figsize=(WIDTH, height), dpi=65, facecolor=BACK)
    for panel in panels:
        place = panel["gridPos"]
        left, width = place["x"] / COLUMNS, place["w"] / COLUMNS
        top = 1 - place["y"] / rows
        title: dict[str, Any] = {"color": TEXT, "fontsize": 9, "va": "top"}
        if panel["type"] == "row":
            down = top - 0.3 * ROW / height
            figure.text(left + 0.01, down, panel["title"], weight="bold", **title)
            continue
        figure.text(left + 0.01, top - 0.25 * ROW / height, panel["title"], **title)
        bottom = top - place["h"] / rows
        # Room for the title, the axes and the names of the series.
        inches = (0.55, 0.45, 0.15, 0.35)
        box = (
            left + inches[0] / WIDTH,
            bottom + inches[1] / height,
            width - (inches[0] + inches[2]) / WIDTH,
            place["h"] / rows - (inches[1] + inches[3]) / height,
        )
        found = [each for target in panel["targets"] for each in find(target)]
        PAINT[panel["type"]](figure.add_axes(box, facecolor=PANEL), panel, found)
    written = io.BytesIO()
    figure.savefig(written, format="png", facecolor=BACK)
    return written.getvalue()


def paint_number(axes: Any, panel: Mapping[str, Any], found: Series) -> None:
    """Show the only value, in the color of its threshold."""
    ((_, ((_, value),)),) = found
    defaults = panel["fieldConfig"]["defaults"]
    color = TEXT
    for step in defaults.get("thresholds", {}).get("steps", ()):
        if step["value"] is None or value >= step["value"]:
            color = step["color"]
    axes.axis("off")
    axes.text(
        0.5,
        0.5,
        in_unit(value, defaults["unit"]),
        color={"green": COLORS[0], "red": COLORS[1]}.get(color, color),
        fontsize=20,
        ha="center",
        va="center",
    )


def paint_table(axes: Any, panel: Mapping[str, Any], found: Series) -> None:
    axes.axis("off")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    for number, (name, ((_, value),)) in enumerate(found):
        line = 0.9 - 0.15 * number
        axes.text(0, line, name, color=TEXT, fontsize=8)
        axes.text(1, line, in_unit(value, unit), color=TEXT, fontsize=8, ha="right")


def paint_series(axes: Any, panel: Mapping[str, Any], found: Series) -> None:
    defaults = panel["fieldConfig"]["defaults"]
    bars = defaults.get("custom", {}).get("drawStyle") == "bars"
    below: dict[datetime, float] = {}
    # Names without values would leave no room for the others.
    told = [each for each in found if any(value for _, value in each[1])]
    for number, (name, points) in enumerate(told or found[:2]):
        times = [moment(each) for each, _ in points]
        values = [value for _, value in points]
        color = COLORS[number % len(COLORS)]
        if bars:
            bottom = [below.get(each, 0.0) for each in times]
            width = 0.6 if len(times) < 20 else 0.04
            axes.bar(times, values, width, bottom, label=name, color=color)
            for each, value in zip(times, values, strict=True):
                below[each] = below.get(each, 0.0) + value
        else:
            axes.plot(times, values, label=name, color=color, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.tick_params(colors=TEXT, labelsize=7)
    axes.grid(color="#2c2f36", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.xaxis.set_major_formatter(lambda days, _: f"{moment(days * 86400):%d %b}")
    if defaults["unit"] != "s":
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: in_unit(value, defaults["unit"]))
    for side in axes.spines.values():
        side.set_visible(False)
    axes.legend(
        loc="upper left",
        bbox_to_anchor=(-0.02, -0.12),
        ncols=4,
        fontsize=7,
        frameon=False,
        labelcolor=TEXT,
    )


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.utc)


def in_unit(value: float, unit: str) -> str:
    """Return a value as Grafana would write it, roughly."""
    if unit == "s":
        for size, name in ((86400, "d"), (3600, "h"), (60, "min")):
            if value >= size:
                return f"{value / size:.3g} {name}"
        return f"{value:.3g} s"
    return f"{value:.4g}"


PAINT: dict[str, Callable[[Any, Mapping[str, Any], Series], None]] = {
    "stat": paint_number,
    "table": paint_table,
    "timeseries": paint_series,
}
