"""The page that advances a sandbox cloud, or breaks it."""

from __future__ import annotations

from flask import (
    Blueprint,
    abort,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue

from rax_scheduled_images_ext.panel.addresses import local_address
from rax_scheduled_images_ext.panel.pages.common import say
from rax_scheduled_images_ext.panel.settings import Playground

pages = Blueprint("sandbox", __name__)
_DURATIONS = {"1h": "an hour", "1d": "a day", "7d": "a week", "30d": "30 days"}
_FAULTS = {
    "lose-image": "Snapshots fail: their images are lost",
    "POST /action 503": "Snapshots are refused: the compute service has an error",
    "GET /images 503 x5": "Images cannot be read, five times",
    "GET delay 3s": "The cloud is slow: three seconds a request",
    "DELETE 503": "Nothing can be deleted",
}


def _playground() -> Playground:
    """Return the sandbox; other clouds have no such page."""
    found: Playground | None = current_app.extensions["panel"].sandbox
    if found is None:
        abort(404)
    return found


@pages.get("/sandbox")
def ask() -> ResponseReturnValue:
    """Show what can be done with the sandbox, and what is broken."""
    return render_template(
        "sandbox.html",
        durations=_DURATIONS,
        faults=_FAULTS,
        broken=[(_FAULTS.get(text, text), n) for text, n in _playground().faults()],
        back=_back(),
    )


@pages.post("/sandbox/time")
def advance() -> ResponseReturnValue:
    """Let the sandbox's time pass, with all images that are due in it."""
    duration = request.form.get("duration", "")
    if duration not in _DURATIONS:
        abort(400, f"'{duration}' is not one of {', '.join(_DURATIONS)}")
    _playground().advance(duration)
    _forget()
    say("done", f"In the sandbox {_DURATIONS[duration]} more has passed.")
    return redirect(_back(), 303)


@pages.post("/sandbox/faults")
def change_faults() -> ResponseReturnValue:
    """Break something, or without a fault mend everything."""
    fault, sandbox = request.form.get("fault", ""), _playground()
    if fault in _FAULTS:
        sandbox.fault(fault)
        say("news", f"Broken: {_FAULTS[fault]}.")
    else:
        sandbox.clear_faults()
        say("done", "Everything in the sandbox works again.")
    _forget()
    return redirect(_back(), 303)


def _forget() -> None:
    """Discard all that is known of the cloud."""
    current_app.extensions["readings"].forget()


def _back() -> str:
    return local_address(request.values.get("back")) or url_for("entry.home")
