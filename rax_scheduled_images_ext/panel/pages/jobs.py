"""The page that shows the progress of a change."""

from __future__ import annotations

from flask import g, render_template
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.panel.pages.common import page_for_error, project_pages
from rax_scheduled_images_ext.panel.sessions import Visitor

pages = project_pages("jobs")


@pages.get("/jobs/<job_id>")
def shown(job_id: str) -> ResponseReturnValue:
    """Show a change that was requested in this session."""
    visitor: Visitor = g.visitor
    job = visitor.job(job_id)
    if job is None:
        text = (
            "It belongs to another session, or ended more than a day ago. The servers'"
            " pages show what it did."
        )
        return page_for_error(404, "Unknown change", text)
    return render_template("job.html", job=job)
