"""The page that shows how far a change has come."""

from __future__ import annotations

from flask import g, render_template
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.panel.pages.common import page_for_error, project_pages
from rax_scheduled_images_ext.panel.sessions import Visitor

pages = project_pages("jobs")


@pages.get("/jobs/<job_id>")
def shown(job_id: str) -> ResponseReturnValue:
    """Show a change that was asked for in this session."""
    visitor: Visitor = g.visitor
    job = visitor.job(job_id)
    if job is None:
        text = (
            "It belongs to another session, or it ended more than a day ago. What it"
            " did shows on the servers' pages."
        )
        return page_for_error(404, "This change is not known", text)
    return render_template("job.html", job=job)
