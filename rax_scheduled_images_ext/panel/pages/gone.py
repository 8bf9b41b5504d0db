"""The page of the servers that are gone, with what is left of them."""

from __future__ import annotations

from flask import render_template, request
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.console.gone import gone_columns
from rax_scheduled_images_ext.model.gone import Trace
from rax_scheduled_images_ext.model.retention import kept_for_good
from rax_scheduled_images_ext.model.space import Space
from rax_scheduled_images_ext.panel.labels import short_label
from rax_scheduled_images_ext.panel.pages.common import (
    as_csv_file,
    asked_page,
    check_token,
    page_of_rows,
    place,
    project_pages,
)

pages = project_pages("gone")


@pages.get("/gone")
def listed() -> ResponseReturnValue:
    """Show the servers that are gone."""
    view = place().gone()
    check_token()
    found = view.value
    if found is None:
        what = "the servers that are gone"
        return render_template("waiting.html", view=view, what=what), 503
    if request.args.get("format") == "csv":
        return as_csv_file("gone", gone_columns(found), found.servers)
    rows, page, last = page_of_rows(found.servers, asked_page())
    spaces = {e.id: found.sizes.space(e.images) for e in found.servers}
    return render_template(
        "gone.html",
        view=view,
        found=found,
        short_label=short_label,
        rows=rows,
        page=page,
        last=last,
        kept={each.id: sum(map(kept_for_good, each.decisions)) for each in rows},
        spaces=spaces,
        total=sum(spaces.values(), Space()),
        unknown=Trace.REGION_UNKNOWN,
        rights=place().rights,
    )
