"""What every test starts from: no cloud of the person's own, and no home."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# Whatever of these is set would send a test to a real cloud.
CLOUD_VARIABLES = ("OS_", "NOVA", "SANDBOX_")

# A shell starts its background jobs, and nohup any, with some of these ignored.
SIGNALS: dict[signal.Signals, Any] = {
    signal.SIGINT: signal.default_int_handler,
    signal.SIGHUP: signal.SIG_DFL,
    signal.SIGQUIT: signal.SIG_DFL,
    signal.SIGTERM: signal.SIG_DFL,
}


# How long an example takes depends on what else the machine does; and what is found
# once is to be found again.
settings.register_profile(
    "steady",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
# For development: `pytest --hypothesis-profile dev`. A test that needs more examples
# or fewer takes a multiple of the profile's.
settings.register_profile("dev", settings.get_profile("steady"), max_examples=10)
settings.load_profile("steady")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-documents",
        action="store_true",
        help="let the sessions in the documents be what is printed now",
    )
    parser.addoption(
        "--rewrite-pictures",
        action="store_true",
        help="let the pictures in the documents show what there is now",
    )


def pytest_configure() -> None:
    """Handle signals however the tests were started; their programs inherit it."""
    for number, heeded in SIGNALS.items():
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, heeded)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what another release of novaclient may change: what runs its shell.

    A test of the panel uses the shell only to set its cloud up.
    """
    for item in items:
        asked = {*getattr(item, "fixturenames", ())}
        if asked & {"nova", "driver"} and not asked & {"panel", "reader"}:
            item.add_marker("novaclient")


@pytest.fixture(autouse=True)
def bare_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Hide the person's cloud, proxies and home; the new, empty home comes back."""
    for name in list(os.environ):
        if name.startswith(CLOUD_VARIABLES) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / ".cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / ".state"))
    # Programs are the ones installed beside this interpreter.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    return home
