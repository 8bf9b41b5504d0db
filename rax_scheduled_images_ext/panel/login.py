"""The way in and out: the one-time token, or a login with Keystone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from flask import (
    Blueprint,
    current_app,
    g,
    redirect,
    render_template,
    request,
    url_for,
)
from flask import session as cookie
from flask.typing import ResponseReturnValue
from keystoneauth1 import exceptions as keystone
from openstack.config.cloud_region import CloudRegion

from rax_scheduled_images_ext.client.cloud import Cloud
from rax_scheduled_images_ext.client.connection import from_region
from rax_scheduled_images_ext.client.identity import Scope, scope_of
from rax_scheduled_images_ext.client.identity import log_in as check
from rax_scheduled_images_ext.client.pool import Throttle
from rax_scheduled_images_ext.panel.jobs import within
from rax_scheduled_images_ext.panel.pages.common import page_of_problem
from rax_scheduled_images_ext.panel.sessions import Visitor, Visitors
from rax_scheduled_images_ext.panel.settings import Settings, auth_option
from rax_scheduled_images_ext.panel.words import in_words

pages = Blueprint("entry", __name__)
# Seconds that a login may take.
_PATIENCE = 20.0


def settings() -> Settings:
    """Return how the panel is set up."""
    found: Settings = current_app.extensions["panel"]
    return found


def visitors() -> Visitors:
    """Return all sessions."""
    found: Visitors = current_app.extensions["visitors"]
    return found


def to_the_door() -> ResponseReturnValue:
    """Send whoever has no session to where one begins."""
    if settings().entry is not None:
        return render_template("enter.html"), 403
    back: str | None = request.root_path + request.full_path.rstrip("?")
    if request.method != "GET":
        back = None
    home = request.root_path + "/"
    door = url_for(
        "entry.log_in",
        next=None if back in (None, home) else back,
        ended=None if back == home else "yes",
    )
    if "HX-Request" in request.headers:
        return "", 204, {"HX-Redirect": door}
    return redirect(door, 303)


def leave() -> ResponseReturnValue:
    """End the session of the request, and send its user to the door."""
    if g.visitor is not None:
        visitors().end(g.visitor)
    cookie.clear()
    return to_the_door()


@pages.get("/health")
def health() -> ResponseReturnValue:
    """Whether the panel answers; it says nothing of a cloud."""
    return "ok\n", {"Content-Type": "text/plain; charset=utf-8"}


@pages.get("/")
def home() -> ResponseReturnValue:
    """Go to the servers of the visitor's project."""
    scope: Scope | None = g.visitor.scope
    if scope is None:
        return redirect(url_for("entry.choose"))
    return redirect(_servers(scope, settings().config.get_region_name()))


@pages.get("/enter")
def enter() -> ResponseReturnValue:
    """Begin the session of whoever started the panel."""
    entry = settings().entry
    if entry is None:
        return redirect(url_for("entry.log_in"))
    if g.visitor is None:
        if not entry.use(request.args.get("token", "")):
            return render_template("enter.html"), 403
        session = settings().session
        scope = scope_of(session, session.auth)  # type: ignore[arg-type]
        visitor = Visitor(session)
        visitor.enter(scope, _cloud(scope))
        _begin(visitor)
    return redirect(url_for("entry.home"))


@pages.route("/login", methods=["GET", "POST"])
def log_in() -> ResponseReturnValue:
    """Log in with a user, a password and a domain."""
    if settings().entry is not None:
        return redirect(url_for("entry.home"))
    form = request.form
    config = settings().config
    answer = {
        "next": _local(request.values.get("next")),
        "error": None,
        "form": form,
        "domain": form.get("domain", _usual_domain(config)),
    }
    if request.method == "GET":
        return render_template("login.html", **answer)
    user, password = form.get("user", "").strip(), form.get("password", "")
    if not user or not password:
        answer["error"] = "Give a user name and a password."
        return render_template("login.html", **answer), 400
    try:
        url, domain = auth_option(config, "auth_url"), form.get("domain", "").strip()
        session = settings().session
        found = within(
            _PATIENCE, lambda: check(session, str(url), user, password, domain)
        )
    except keystone.Unauthorized:
        answer["error"] = "Keystone knows no such user with that password and domain."
        return render_template("login.html", **answer), 403
    except (keystone.ClientException, OSError) as error:
        answer["error"] = in_words(error)
        return render_template("login.html", **answer), 502
    _begin(Visitor(settings().session, login=found))
    return redirect(url_for("entry.choose", next=answer["next"]))


@pages.route("/project", methods=["GET", "POST"])
def choose() -> ResponseReturnValue:
    """Choose the project and the region."""
    visitor: Visitor = g.visitor
    if visitor.login is None:
        return redirect(url_for("entry.home"))
    back = _local(request.values.get("next"))
    projects = visitor.login.projects()
    wanted = request.form.get("project")
    if request.method == "GET" and visitor.scope is None:
        # An address that was sent names its project.
        wanted = _named(back) or (projects[0].id if len(projects) == 1 else None)
    error = None
    if wanted in [project.id for project in projects]:
        scope = visitor.login.scope(str(wanted))
        if scope.regions:
            visitor.enter(scope, _cloud(scope))
            return _entered(scope, back)
        error = f"The catalog of project {scope.project.name} has no compute service."
    elif wanted is not None:
        error = f"You have no role in the project {wanted}."
    page = render_template("choose.html", projects=projects, next=back, error=error)
    return page, 200 if error is None else 403


def _entered(scope: Scope, back: str | None) -> ResponseReturnValue:
    """Go where the user was going, or to the servers of a region."""
    if back is not None and _named(back) == scope.project.id:
        return redirect(back)
    if len(scope.regions) == 1:
        return redirect(_servers(scope, None))
    return render_template("regions.html", scope=scope)


@pages.get("/problems/<number>")
def problem(number: str) -> ResponseReturnValue:
    """Show why a form was not acted on."""
    found = g.visitor.problem(number)
    if found is None:
        return redirect(url_for("entry.home"))
    return page_of_problem(found)


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session, and revoke its tokens."""
    visitors().end(g.visitor)
    cookie.clear()
    g.visitor = None
    return render_template("bye.html")


def _usual_domain(config: CloudRegion) -> str:
    """Return the domain that most users are of, empty for an API without domains."""
    known = auth_option(config, "user_domain_name")
    version = str(config.config.get("identity_api_version") or "3")
    return str(known or ("" if version.startswith("2") else "Default"))


def _begin(visitor: Visitor) -> None:
    if g.visitor is not None:
        visitors().end(g.visitor)
    # Nothing of a cookie that somebody else may have planted stays.
    cookie.clear()
    cookie["visitor"] = visitor.id
    visitors().add(visitor)
    g.visitor = visitor


def _cloud(scope: Scope) -> Cloud:
    found = from_region(settings().config, settings().session, scope.auth)
    throttle: Throttle = current_app.extensions["throttle"]
    return replace(found, throttle=throttle)


def _servers(scope: Scope, region: str | None) -> str:
    known = region if region in scope.regions else scope.regions[0]
    return url_for("servers.listed", project_id=scope.project.id, region=known)


def _local(address: str | None) -> str | None:
    """Return an address of this panel's own, None for any other."""
    if not address or not address.startswith("/") or "\\" in address:
        return None
    parts: Any = urlsplit(address)
    if address.startswith("//") or parts.scheme or parts.netloc:
        return None
    return address


def _named(address: str | None) -> str | None:
    """Return the project that an address names."""
    parts = (address or "").removeprefix(request.root_path).split("/")
    return parts[2] if len(parts) > 3 and parts[1] == "p" else None
