"""Somebody who looks at the panel in a browser, and what the browser saw."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Response, expect, sync_playwright

from ..functional.panels import Panel
from ..waiting import until

#: Milliseconds that anything may take on a busy machine.
TIME_LIMIT = 60_000
#: The browser asks for nothing of itself, and finds no other machine.
ARGUMENTS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: As the browser writes it, and htmx.
_STATUS = re.compile(r"(?:responded with a status of|Response Status Error Code) (\d+)")


def browser_path(downloaded: Path) -> str | None:
    """Where a browser is installed, None if there is none.

    :param downloaded: where Playwright would have put one of its own.
    """
    installed = (shutil.which(name) for name in _NAMES)
    return next(
        filter(None, installed), str(downloaded) if downloaded.exists() else None
    )


@contextmanager
def launched() -> Iterator[Browser]:
    """Start a browser; skip the test where none is installed."""
    expect.set_options(timeout=TIME_LIMIT)
    with sync_playwright() as playwright:
        path = browser_path(Path(playwright.chromium.executable_path))
        if path is None:
            pytest.skip("no browser is installed; Debian's is the package chromium")
        browser = playwright.chromium.launch(
            executable_path=path, args=ARGUMENTS, timeout=TIME_LIMIT
        )
        yield browser
        browser.close()


class Visit:
    """A browser window with cookies of its own, open at a panel.

    ``requests`` are the method and path of all that it asked the panel for, and
    ``problems`` what was wrong: errors in the console, requests to another host.

    :param failures: HTTP statuses that the panel is to answer with.
    :param options: of a context of Playwright's, such as ``java_script_enabled``.
    """

    def __init__(
        self,
        browser: Browser,
        panel: Panel | str,
        *,
        failures: tuple[int, ...] = (),
        **options: Any,
    ) -> None:
        self.panel = panel
        self.url = panel if isinstance(panel, str) else panel.url
        self.requests: list[tuple[str, str]] = []
        self.problems: list[str] = []
        self._failures = failures
        # No colour is seen halfway from one to another.
        options = {"timezone_id": "America/New_York", **options}
        self.context = browser.new_context(
            locale="en-GB", reduced_motion="reduce", **options
        )
        self.context.set_default_timeout(TIME_LIMIT)
        self.context.on("request", lambda sent: self._note(sent.method, sent.url))
        self.context.on("console", lambda said: self._heed(said.type, said.text))
        self.context.on(
            "weberror", lambda raised: self._heed("error", str(raised.error))
        )
        self.context.on("dialog", lambda shown: self.problems.append(shown.message))
        self.page = self.context.new_page()

    def _note(self, method: str, url: str) -> None:
        parts = urlsplit(url)
        if f"{parts.scheme}://{parts.netloc}" != self.url:
            self.problems.append(f"a request to another host: {url}")
        self.requests.append((method, parts.path))

    def _heed(self, kind: str, text: str) -> None:
        status = _STATUS.search(text)
        announced = status is not None and int(status[1]) in self._failures
        if kind in ("error", "warning") and not announced:
            self.problems.append(f"{kind} in the console: {text}")

    def end(self) -> None:
        """Close the window; nothing may have been wrong."""
        self.context.close()
        assert not self.problems, self.problems[:5]

    def sent(self, ending: str) -> int:
        """How many forms were sent to addresses that end so."""
        return sum(
            method == "POST" and path.endswith(ending) for method, path in self.requests
        )

    # -- ways

    def open(self, path: str) -> Response:
        """Open an address of the panel."""
        answer = self.page.goto(urljoin(f"{self.url}/", path))
        assert answer is not None
        return answer

    def enter(self) -> Visit:
        """Open the panel as the user who started it, or find its login page."""
        assert isinstance(self.panel, Panel)
        entry = self.panel.settings.entry
        self.open(f"/enter?token={entry.token}" if entry else "/")
        return self

    def log_in(self, user: str = "admin", region: str = "DFW") -> Visit:
        """Log in as a user of the cloud; where there are two regions, choose one."""
        assert isinstance(self.panel, Panel)
        self.enter()
        self.page.get_by_label("User").fill(user)
        password = self.panel.cloud.env(user)["OS_PASSWORD"]
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()
        if self.panel.cloud.like == "rackspace":
            self.page.get_by_role("link", name=region).click()
        expect(self.page.locator("#user")).to_have_text(user)
        return self

    def server(self, name: str) -> Visit:
        """Go from the servers to the page of one."""
        self.page.get_by_role("link", name=name, exact=True).click()
        expect(self.page.locator("h1")).to_have_text(name)
        return self

    def edit(self) -> Visit:
        """Open the form of the schedule."""
        form = self.page.locator("#edit")
        if form.get_attribute("open") is None:
            form.locator("> summary").click()
        return self

    def refreshed(self) -> None:
        """Wait until the page has looked again, and shows what it saw."""
        for _ in range(2):
            # The second request leaves when the first one's answer is on the page.
            self.page.wait_for_event(
                "requestfinished",
                lambda sent: "x-panel-refresh" in sent.headers,
            )

    def reload_until(self, rows: Locator, number: int) -> None:
        """Load the page again until it shows so many rows."""

        def shown() -> bool:
            self.page.reload()
            return rows.count() == number

        until(shown)

    def tab_to(self, wanted: Locator) -> None:
        """Press the tab key until an element has the focus, and shows it."""
        expect(wanted).to_be_visible()
        for _ in range(100):
            self.page.keyboard.press("Tab")
            if wanted.evaluate("element => element === document.activeElement"):
                outline = wanted.evaluate("e => getComputedStyle(e).outlineStyle")
                assert outline != "none"
                return
        raise AssertionError(f"the tab key does not lead to {wanted}")
