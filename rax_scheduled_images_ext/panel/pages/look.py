"""The page on which users choose how the pages look."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.panel.addresses import local_address
from rax_scheduled_images_ext.panel.look import (
    COOKIE,
    THEMES,
    Look,
    current_look,
    time_zones,
)
from rax_scheduled_images_ext.panel.pages.common import say

pages = Blueprint("look", __name__)
_YEAR = 365 * 24 * 3600


@pages.get("/look")
def ask() -> ResponseReturnValue:
    """Show the choice."""
    return render_template(
        "look.html",
        look=current_look(),
        themes=THEMES,
        zones=sorted(time_zones()),
        back=local_address(request.args.get("back")) or url_for("entry.home"),
    )


@pages.post("/look")
def choose() -> ResponseReturnValue:
    """Remember the choice in this browser."""
    chosen = Look.read(request.form.get("theme", ""), request.form.get("zone", ""))
    back = local_address(request.form.get("back")) or url_for("entry.home")
    response = redirect(back, 303)
    response.set_cookie(
        COOKIE,
        chosen.cookie,
        max_age=_YEAR,
        path=f"{request.root_path}/",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    say("done", "The appearance is saved in this browser.")
    return response
