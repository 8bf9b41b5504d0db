"""The panel as a WSGI application."""

from __future__ import annotations

import re
import secrets
from typing import Any

from flask import Flask, Response, current_app, g, redirect, request, url_for
from flask import session as cookie
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError, CSRFProtect
from jinja2.ext import Extension
from markupsafe import Markup
from werkzeug.exceptions import HTTPException, SecurityError

from rax_scheduled_images_ext.client.pool import Throttle
from rax_scheduled_images_ext.console.images import size_for_people
from rax_scheduled_images_ext.errors import (
    NoSuchImage,
    NoSuchServer,
    UsageError,
)
from rax_scheduled_images_ext.model.image import removed_marker
from rax_scheduled_images_ext.model.schedule import INTERVALS
from rax_scheduled_images_ext.panel import login, words
from rax_scheduled_images_ext.panel.addresses import this_address
from rax_scheduled_images_ext.panel.forms import FURTHER_RULES
from rax_scheduled_images_ext.panel.guesses import GuessLimit
from rax_scheduled_images_ext.panel.look import current_look
from rax_scheduled_images_ext.panel.pages import (
    calendar,
    gone,
    images,
    jobs,
    look,
    restore,
    sandbox,
    server,
    servers,
)
from rax_scheduled_images_ext.panel.pages.common import SignedOut, page_for_error
from rax_scheduled_images_ext.panel.places import Readings
from rax_scheduled_images_ext.panel.review import Reviews
from rax_scheduled_images_ext.panel.security import is_refresh, protect
from rax_scheduled_images_ext.panel.sessions import Visitor, Visitors
from rax_scheduled_images_ext.panel.settings import Settings
from rax_scheduled_images_ext.text import printable

_OPEN = {
    "static",
    *(f"entry.{name}" for name in ("bye", "check_login", "enter", "health")),
    *(f"entry.{name}" for name in ("log_in", "nothing_done")),
}


def create_app(settings: Settings) -> Flask:
    """Return the panel for one cloud."""
    app = Flask(__name__)
    app.jinja_env.finalize = _shown
    app.jinja_env.trim_blocks = True
    app.jinja_env.add_extension(_NotIndented)
    app.jinja_env.filters.update(
        brief=words.brief,
        described=words.described,
        duration=words.duration,
        fold=words.folded,
        kept=words.kept_words,
        moment=words.moment,
        is_overdue=words.is_overdue,
        overdue_since=words.overdue_since,
        schedule=words.schedule_words,
        size=size_for_people,
        state_words=words.state_words,
        task=words.task_words,
        was_scheduled=lambda each: bool(removed_marker(each.image)),
        words=words.in_words,
    )
    app.extensions["panel"] = settings
    app.extensions["visitors"] = Visitors(settings.idle)
    app.extensions["readings"] = Readings(
        settings.refresh, settings.patience, settings.policies
    )
    app.extensions["guesses"] = GuessLimit()
    app.extensions["reviews"] = Reviews()
    app.extensions["throttle"] = Throttle()
    protect(app, settings)
    app.before_request(_know_visitor)
    # After that: visitors without a session are sent to log in, with what they typed.
    CSRFProtect(app)
    app.context_processor(_common)
    app.jinja_env.globals["this_address"] = this_address
    app.jinja_env.globals["further_rules"] = FURTHER_RULES
    app.jinja_env.globals["intervals"] = INTERVALS
    app.register_error_handler(CSRFError, _bad_form)
    app.register_error_handler(HTTPException, _error_page)
    app.register_error_handler(SignedOut, lambda _: login.leave())
    app.register_error_handler(Exception, _unforeseen)
    for module in (
        login,
        servers,
        server,
        images,
        calendar,
        gone,
        restore,
        jobs,
        look,
        sandbox,
    ):
        app.register_blueprint(module.pages)
    return app


class _NotIndented(Extension):
    """Leaves out how templates are indented: a page has a hundred rows."""

    def preprocess(
        self, source: str, name: str | None, filename: str | None = None
    ) -> str:
        return re.sub("^ +", "", source, flags=re.MULTILINE)


def _shown(value: Any) -> Any:
    """Return what a template prints, with invisible characters escaped."""
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return printable(value) if is_text else value


def _know_visitor() -> ResponseReturnValue | None:
    """Find the visitor's session; without one only the login pages are open."""
    g.visitor = None
    visitors: Visitors = _extension("visitors")
    if "visitor" in cookie:
        found = visitors.find(cookie["visitor"], active=not is_refresh())
        if found is not None and not found.is_accepted():
            visitors.end(found)
            found = None
        g.visitor = found
    if g.visitor is not None or request.endpoint in _OPEN:
        return None
    return login.to_the_door()


def _common() -> dict[str, Any]:
    """Return the variables of all templates."""
    visitor: Visitor | None = g.get("visitor")
    messages = []
    if visitor is not None and "HX-Request" not in request.headers:
        messages, visitor.messages = visitor.messages, []
    return {
        "visitor": visitor,
        "place": g.get("place"),
        "look": current_look(),
        "messages": messages,
        "once": lambda: secrets.token_urlsafe(9),
        "is_sandbox": _extension("panel").sandbox is not None,
        "own": _extension("panel").entry is not None,
        "refresh": f"{_extension('panel').refresh:g}s",
    }


def _bad_form(_error: CSRFError) -> ResponseReturnValue:
    if request.endpoint == "entry.check_login":
        return login.refuse(400, "This page has expired. Nothing was done. Try again.")
    return redirect(url_for("entry.nothing_done"), 303)


def _error_page(error: HTTPException) -> ResponseReturnValue:
    if isinstance(error, SecurityError):
        # No template: its URLs would contain the very name that is unknown.
        text = "This panel does not accept that host name. See --allow-host.\n"
        return Response(text, 400, content_type="text/plain; charset=utf-8")
    if error.response is not None or error.code is None or error.code < 400:
        return error.get_response()
    return page_for_error(error.code, error.name, error.description or "")


def _unforeseen(error: Exception) -> ResponseReturnValue:
    text = words.in_words(error)
    if words.signed_out(error):
        return login.leave()
    if isinstance(error, (NoSuchServer, NoSuchImage)):
        return page_for_error(404, "Not found", text)
    if isinstance(error, UsageError):
        return page_for_error(409, "Not possible", text)
    return page_for_error(502, "Error", text)


def _extension(name: str) -> Any:
    return current_app.extensions[name]
