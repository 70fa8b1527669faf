"""A real browser for tests, and what it must not do: ask anybody but the page's own server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Locator,
    Page,
    Request,
    expect,
    sync_playwright,
)

from parley_testing.waiting import HANG_SECONDS

HANG_MILLISECONDS = HANG_SECONDS * 1000

_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    # Nobody else is found, so that nothing reaches them. The tests' own thread need not look at
    # each request for that: it may be waiting for a server that waits for one.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]

# Before any script of the page's: what its policy forbids, and what goes wrong unseen.
_WATCH = """
window.faults = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.faults.push(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
window.addEventListener("error", (event) => window.faults.push(`error: ${event.message}`));
window.addEventListener("unhandledrejection", (event) =>
  window.faults.push(`rejection: ${event.reason}`));
"""


def chromium() -> str:
    """Return where Chromium is.

    The shell is the same engine without a browser's own windows. A whole one draws the buttons of a
    window for each person's tabs, as a page of their own: three times the processor's time.

    Raises:
        FileNotFoundError: It is not installed, and a test of a page cannot be run.
    """
    for name in ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    raise FileNotFoundError("There is no chromium; `make browser` installs it.")


@contextmanager
def started() -> Iterator[Browser]:
    """Start a browser; its profile is an empty folder, which goes when it ends."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium(), headless=True, args=_FLAGS, timeout=HANG_MILLISECONDS
        )
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """What one person's browser shows, without cookies or storage of others.

    Attributes:
        context: Its tabs.
        strangers: Requests to other servers than the page's, which came to nothing.
        console: What was written to the console as an error.
    """

    def __init__(self, browser: Browser, origin: str, *allowed: str, **settings: Any) -> None:
        self.origin = origin
        self.context = browser.new_context(base_url=origin, **settings)
        self.context.set_default_timeout(HANG_MILLISECONDS)
        self.context.add_init_script(_WATCH)
        self.strangers: list[str] = []
        self.console: list[str] = []
        self._allowed = {urlsplit(each).netloc for each in (origin, *allowed)}
        self.context.on("request", self._seen)

    def tab(self) -> Page:
        """Open another tab."""
        page = self.context.new_page()
        page.on("console", self._heard)
        return page

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.console.append(said.text)

    def _seen(self, request: Request) -> None:
        place = urlsplit(request.url)
        if place.scheme in ("http", "https", "ws", "wss") and place.netloc not in self._allowed:
            self.strangers.append(request.url)

    def check(self) -> None:
        """Look at what its tabs did since the last look.

        Raises:
            AssertionError: A page has asked a stranger, or done what its policy forbids.
        """
        faults = [fault for page in self.context.pages for fault in _faults(page)]
        strangers = self.strangers.copy()
        self.strangers.clear()
        assert not strangers, f"the page asked others: {strangers}"
        assert not faults, f"faults on the page: {faults}"

    def close(self) -> None:
        """Close its tabs.

        Raises:
            AssertionError: A page has asked a stranger, or done what its policy forbids.
        """
        try:
            self.check()
        finally:
            self.context.close()


def _faults(page: Page) -> list[str]:
    found: list[str] = page.evaluate("(window.faults ?? []).splice(0)")
    return found


def sign_in(page: Page, user: str, at: str = "/chat") -> None:
    """Sign in at a page as a user of `make dev`; at the operations page, as an administrator."""
    page.goto(at)
    sign_in_here(page, user)


def sign_in_here(page: Page, user: str) -> None:
    """Sign in at the page that is shown, where nobody is."""
    page.get_by_label("Your name").fill(user)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("Signed in as")).to_be_attached()


def say(page: Page, text: str) -> None:
    """Send a message."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()


def turns(page: Page) -> Locator:
    """The turns that are shown, oldest first."""
    return page.locator(".turn")


def turn(page: Page, text: str) -> Locator:
    """The turn of a message."""
    return turns(page).filter(has=page.locator(".said", has_text=text))
