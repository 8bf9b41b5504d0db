"""Logging in and out: by the one-time token, or with Keystone."""

from __future__ import annotations

from dataclasses import replace

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
from rax_scheduled_images_ext.client.identity import Scope, scope_of
from rax_scheduled_images_ext.client.identity import log_in as check
from rax_scheduled_images_ext.client.openstacksdk import configured_cloud
from rax_scheduled_images_ext.client.pool import Throttle
from rax_scheduled_images_ext.model.durations import format_duration
from rax_scheduled_images_ext.panel.addresses import (
    form_address,
    local_address,
    project_of,
    this_address,
)
from rax_scheduled_images_ext.panel.guesses import GuessLimit, network_of
from rax_scheduled_images_ext.panel.jobs import within
from rax_scheduled_images_ext.panel.pages.common import page_of_problem
from rax_scheduled_images_ext.panel.sessions import Problem, Visitor, Visitors
from rax_scheduled_images_ext.panel.settings import Settings, auth_option
from rax_scheduled_images_ext.panel.words import in_words

pages = Blueprint("entry", __name__)
# Seconds that a login may take.
_PATIENCE = 20.0
# Browsers keep cookies of 4096 characters.
_LONGEST_IN_COOKIE = 2500


def settings() -> Settings:
    """Return the panel's settings."""
    found: Settings = current_app.extensions["panel"]
    return found


def visitors() -> Visitors:
    """Return all sessions."""
    found: Visitors = current_app.extensions["visitors"]
    return found


def to_the_door() -> ResponseReturnValue:
    """Send a visitor without a session to log in; what was typed comes back."""
    home = f"{request.root_path}/"
    back = this_address() if request.method == "GET" else form_address()
    if settings().entry is not None:
        asked = local_address(request.args.get("next")) or back or home
        if asked != home and len(asked) <= _LONGEST_IN_COOKIE:
            cookie["back"] = asked
        if "HX-Request" in request.headers:
            return "", 204, {"HX-Redirect": home}
        if request.method != "GET":
            return redirect(home, 303)
        return render_template("enter.html"), 403
    door = url_for(
        "entry.log_in",
        next=None if back in (None, home) else back,
        ended=None if back == home else "yes",
    )
    if "HX-Request" in request.headers:
        return "", 204, {"HX-Redirect": door}
    return redirect(door, 303)


def leave() -> ResponseReturnValue:
    """End the session of the request, and send its user to log in."""
    if g.visitor is not None:
        visitors().end(g.visitor)
    cookie.clear()
    return to_the_door()


@pages.get("/health")
def health() -> ResponseReturnValue:
    """Whether the panel answers, regardless of the cloud."""
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
    """Start the session of the user who started the panel."""
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
        back = local_address(cookie.get("back"))
        _begin(visitor)
        if project_of(back) == scope.project.id:
            return redirect(str(back))
    return redirect(url_for("entry.home"))


@pages.get("/login")
def log_in() -> ResponseReturnValue:
    """Show the login form."""
    if settings().entry is not None:
        return redirect(url_for("entry.home"))
    refused = cookie.pop("refused", {})
    page = render_template(
        "login.html",
        next=local_address(request.args.get("next")),
        error=refused.get("error"),
        user=refused.get("user", ""),
        domain=refused.get("domain", _usual_domain(settings().config)),
    )
    return page, refused.get("status", 200)


@pages.post("/login")
def check_login() -> ResponseReturnValue:
    """Log in with a user, a password and a domain."""
    if settings().entry is not None:
        return redirect(url_for("entry.home"), 303)
    form, config = request.form, settings().config
    user, password = form.get("user", "").strip(), form.get("password", "")
    domain = form.get("domain", "").strip()
    if not user or not password:
        return refuse(400, "Give a user name and a password.")
    guesses: GuessLimit = current_app.extensions["guesses"]
    # Keystone accepts the names of domains and users in any letter case.
    who = (user.casefold(), domain.casefold(), network_of(request.remote_addr))
    wait = guesses.begin(who)
    if wait:
        return refuse(
            429,
            "Too many wrong passwords for this user from your address. Try again in"
            f" {format_duration(max(1.0, wait))}.",
        )
    try:
        url, session = auth_option(config, "auth_url"), settings().session
        found = within(
            _PATIENCE, lambda: check(session, str(url), user, password, domain)
        )
    except keystone.Unauthorized:
        return refuse(403, "Wrong user name, password or domain.")
    except (keystone.ClientException, OSError) as error:
        guesses.unknown(who)
        return refuse(502, in_words(error))
    guesses.right(who)
    _begin(Visitor(settings().session, login=found))
    back = local_address(form.get("next"))
    return redirect(url_for("entry.choose", next=back), 303)


def refuse(status: int, error: str) -> ResponseReturnValue:
    """Show the form again, with what was typed except the password."""
    typed = {key: request.form.get(key, "")[:255] for key in ("user", "domain")}
    cookie["refused"] = {"status": status, "error": error[:1000], **typed}
    back = local_address(request.form.get("next"))
    return redirect(url_for("entry.log_in", next=back), 303)


@pages.get("/project")
def choose() -> ResponseReturnValue:
    """Choose the project, unless the URL of the request names it."""
    visitor: Visitor = g.visitor
    if visitor.login is None:
        return redirect(url_for("entry.home"))
    back = local_address(request.args.get("next"))
    projects = visitor.login.projects()
    known = [project.id for project in projects]
    error = request.args.get("refused")
    if error is None and visitor.scope is None:
        named = project_of(back)
        if named in known or len(known) == 1:
            return _enter(named if named in known else known[0], back)
    if error is not None:
        error = (
            f"The catalog of project {error} has no compute service."
            if error in known
            else f"You have no role in the project {error}."
        )
    page = render_template("choose.html", projects=projects, next=back, error=error)
    return page, 200 if error is None else 403


@pages.post("/project")
def enter_project() -> ResponseReturnValue:
    """Enter a project."""
    visitor: Visitor = g.visitor
    if visitor.login is None:
        return redirect(url_for("entry.home"), 303)
    back = local_address(request.form.get("next"))
    wanted = request.form.get("project", "")
    if wanted in [project.id for project in visitor.login.projects()]:
        return _enter(wanted, back)
    return redirect(url_for("entry.choose", refused=wanted, next=back), 303)


def _enter(project_id: str, back: str | None) -> ResponseReturnValue:
    """Enter a project, and go where the user was going, or to its servers."""
    visitor: Visitor = g.visitor
    scope = visitor.login.scope(project_id)  # type: ignore[union-attr]
    if not scope.regions:
        url = url_for("entry.choose", refused=project_id, next=back)
        return redirect(url, 303)
    visitor.enter(scope, _cloud(scope))
    if back is not None and project_of(back) == scope.project.id:
        return redirect(back, 303)
    if len(scope.regions) == 1:
        return redirect(_servers(scope, None), 303)
    return redirect(url_for("entry.regions"), 303)


@pages.get("/regions")
def regions() -> ResponseReturnValue:
    """Choose a region of the project."""
    if g.visitor.scope is None:
        return redirect(url_for("entry.choose"))
    return render_template("regions.html", scope=g.visitor.scope)


@pages.get("/problems/<number>")
def problem(number: str) -> ResponseReturnValue:
    """Show why a form was refused."""
    found = g.visitor.problem(number)
    if found is None:
        return redirect(url_for("entry.home"))
    return page_of_problem(found)


@pages.get("/nothing-done")
def nothing_done() -> ResponseReturnValue:
    """Say that a form does not belong to this session."""
    text = (
        "This form is not from a page of your session, so nothing was done. Load the"
        " page again and send it from there."
    )
    return page_of_problem(
        Problem(400, "Nothing was done", text, url_for("entry.home"))
    )


@pages.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session, and revoke its tokens."""
    visitors().end(g.visitor)
    cookie.clear()
    return redirect(url_for("entry.bye"), 303)


@pages.get("/bye")
def bye() -> ResponseReturnValue:
    """Say that the session has ended."""
    if g.visitor is not None:
        return redirect(url_for("entry.home"))
    return render_template("bye.html")


def _usual_domain(config: CloudRegion) -> str:
    """Return the domain of most users, empty for an API without domains."""
    known = auth_option(config, "user_domain_name")
    version = str(config.config.get("identity_api_version") or "3")
    return str(known or ("" if version.startswith("2") else "Default"))


def _begin(visitor: Visitor) -> None:
    if g.visitor is not None:
        visitors().end(g.visitor)
    # Keep nothing of a cookie that someone else may have planted.
    cookie.clear()
    cookie["visitor"] = visitor.id
    visitors().add(visitor)
    g.visitor = visitor


def _cloud(scope: Scope) -> Cloud:
    found = configured_cloud(settings().config, settings().session, scope.auth)
    throttle: Throttle = current_app.extensions["throttle"]
    return replace(found, throttle=throttle)


def _servers(scope: Scope, region: str | None) -> str:
    known = region if region in scope.regions else scope.regions[0]
    return url_for("servers.listed", project_id=scope.project.id, region=known)
